"""Data flows one way, and nothing heavy is imported before it is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What each file of vaecore may import of its own house; a file not named here is a new one to be placed.
ORDER = (
    "text distinct inputs threads eval_mode datasets distributions mutual weightnorm flows made resnets "
    "normed_resnets nets realnvp safefiles checking tensor_forms analysed metrics logged folders hidden shelf mirror "
    "runs standing parallel encoders priors processes pixelcnn lossy decoders vae refine objectives options "
    "protocols mae ranks exact paths recipes onnx model_index cards checkpoints imports averaging beginning resuming "
    "diagnosis training pace clusters evaluation snapshots recording aggregate verdicts health analysis learned "
    "embedding timing tables memory __init__ __main__"
).split()


def imported(file: Path) -> set[str]:
    """All modules that a file imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def place(file: Path) -> str:
    """The name in ORDER of a file of vaecore: its own, or its folder's."""
    return file.relative_to(ROOT / "vaecore").parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", sorted((ROOT / "vaecore").rglob("*.py")), ids=str)
def test_imports_point_down_and_the_library_knows_no_screen(file: Path) -> None:
    own = place(file)
    below = {own, *ORDER[: ORDER.index(own)]}
    for name in imported(file):
        top, _, rest = name.partition(".")
        assert top not in ("streamlit", "plotly", "app"), name
        used = rest.split(".")[0]
        if top == "vaecore" and used in ORDER:
            assert used in below, f"{own} imports {used}, which stands above it"


def test_importing_the_library_and_the_figures_costs_nothing() -> None:
    code = "import sys, vaecore; assert not {'torch', 'sklearn', 'pooch', 'tqdm'} & set(sys.modules), 'heavy'"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_shapes_of_a_mixture_are_known_without_torchs_compiler() -> None:
    """Some operations without memory import 800 modules of it, for which the first page would wait."""
    code = (
        "import json, sys; from vaecore import checkpoints; options = {'net': 'small'}\n"
        "held = {'recipe': 'rme', 'data_shape': [1, 8, 8], 'latent_dim': 2, 'options': options}\n"
        "checkpoints.shapes(json.dumps(held)); assert 'sympy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
