"""How long another visitor's click takes while one visitor attacks.

python -m bench.attacks: a page of the app is clicked (headless, another image of digits each time) alone, beside a
foreign ONNX pair that takes the longer the more rows it is given, and beside the estimate of a ResNet with batches of
2,048. Prints JSON: seconds of the clicks (median, most), and what the attack came to.
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from app import session, training
from app.session import Pick
from tests import graphs
from vaecore import imports

PAGE = str(session.ROOT / "app" / "views" / "posterior.py")
ESTIMATE = {"recipe": "vae", "dataset": "mnist", "latent_dim": 2, "options": {"net": "resnet"}}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--clicks", type=int, default=8)
    clicks = options.parse_args().clicks
    with tempfile.TemporaryDirectory() as place:
        os.environ["VAESCOPE_CHECKPOINTS"] = place
        folder = imports.from_onnx(*graphs.small_pair(), place, "attack", likelihood="bernoulli", output="logits")
        (folder / "decoder.onnx").write_bytes(graphs.growing())
        attack = session.checkpoints()["attack"]
        attacks = {
            "alone": None,
            "ONNX pair": lambda: session.look(attack.digest, Pick("prior", 0), attack),
            "estimate": lambda: training.estimate({**ESTIMATE, "batch_size": 2048, "epochs": 10, "seed": 0}),
        }
        click(0)  # loads what every page needs
        found = {name: beside(each, clicks, 1 + place * clicks) for place, (name, each) in enumerate(attacks.items())}
    print(json.dumps({"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1), **found}, indent=2))


def click(index: int) -> float:
    app, begun = AppTest.from_file(PAGE, default_timeout=300), time.perf_counter()
    app.query_params.update({"checkpoint": "digits-vae-2d", "image": str(index)})
    app.run()
    assert not app.exception, app.exception
    return time.perf_counter() - begun


def beside(attack: Callable[[], object] | None, clicks: int, first: int) -> dict:
    """The clicks while the attack is under way, and how it ended."""
    ended: dict[str, object] = {}

    def run() -> None:
        begun = time.perf_counter()
        try:
            ended["gave"] = str(attack())[:80]
        except ValueError as error:
            ended["refused"] = str(error)
        ended["seconds"] = round(time.perf_counter() - begun, 1)

    thread = threading.Thread(target=run, daemon=True)
    if attack:
        thread.start()
        time.sleep(1)
    took = [click(first + number) for number in range(clicks)]
    during = thread.is_alive()
    if attack:
        thread.join()
    return {
        "median": round(statistics.median(took), 2),
        "most": round(max(took), 2),
        **({"still under way after the clicks": during, **ended} if attack else {}),
    }


if __name__ == "__main__":
    main()
