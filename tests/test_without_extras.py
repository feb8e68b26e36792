"""Training needs torch, numpy and safetensors: nothing of the pages, and nothing that reads strangers' files."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCKED = ("pydantic", "pydantic_core", "streamlit", "plotly", "umap", "PIL")
BLOCKING = f"""
import sys
from pathlib import Path

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED}:
            raise ModuleNotFoundError(f"{{name}} is not installed")

sys.meta_path.insert(0, Blocked())
import vaecore
assert "torch" not in sys.modules  # importing the library costs nothing
"""
STEPS = """
from vaecore import checkpoints, runs
from vaecore.recording import recorded

folder = Path(sys.argv[1]) / "run"
train, test = (vaecore.load_dataset("digits", split).first(200) for split in ("train", "test"))

def trained(halt=0):
    vae = vaecore.build("vae", (1, 8, 8), 2, net="small")
    with runs.opened(folder, {"recipe": "vae"}) as partial, recorded(partial, vae, test, 3) as recorder:
        def hear(event):
            recorder(event)
            if event["event"] == "epoch" and event["epoch"] == halt:
                raise runs.Stopped
        return vaecore.fit(vae, "vae", train, test, epochs=3, folder=folder, on_event=hear, seed=0)

try:
    trained(halt=1)
    raise SystemExit("it was not interrupted")
except runs.Stopped:
    assert runs.partial_of(folder).is_dir()
assert [event["epoch"] for event in trained()] == [1, 2, 3]
vae = vaecore.load(folder)
vaecore.save(vae, folder.with_name("again"), dataset="digits", metrics={"evaluation": {"ELBO": -30.0, "protocol": "x"}})
assert checkpoints.digest(folder.with_name("again")) == checkpoints.digest(folder)
"""


def test_a_run_is_trained_interrupted_resumed_and_saved_without_them(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BLOCKING + STEPS, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
