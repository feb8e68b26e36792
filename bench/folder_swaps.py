"""Loads of a checkpoint while its folder is replaced by others, whose weights and metrics tell which they are.

    python -m bench.folder_swaps --loads 1000 [--how exchange|rename|rewrite]

exchange: two folders swap names at one moment. rename: one is renamed away and removed, and another takes its place.
rewrite: the folder is removed where it lies, and another takes its place. Two of the three have weights of the same
shapes. Prints, as JSON, how many loads gave an error, and how many a mixture: weights, configuration, metrics, digest
or analysis that belong to different checkpoints.
"""

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

import vaecore
from vaecore import checkpoints, hidden

HOWS = ("exchange", "rename", "rewrite")


def make(folder: Path, number: int) -> Path:
    """Checkpoint 0, 1 or 2: everything in it says which."""
    vae = vaecore.build("vae", (1, 8, 8), 2 + number // 2, net="small")
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.fill_(number)
    vaecore.save(vae, folder, dataset=f"data{number}", metrics={"number": number})
    checkpoints.write_analysis(folder, {"number": torch.tensor([number])})
    return folder


def swap(root: Path, how: str) -> None:
    """Put one checkpoint after the other into the place `root`/shown, until the parent ends this process."""
    shown, other = root / "shown", root / "other"
    for k in itertools.count():
        if how == "exchange":
            hidden.exchange(shown, root / f"source{k % 3}")
            continue
        shutil.copytree(root / f"source{k % 3}", other)
        if how == "rename":
            shown.rename(root / "away")
            other.rename(shown)
            shutil.rmtree(root / "away")
        else:
            shutil.rmtree(shown)
            other.rename(shown)


def look(folder: Path) -> str:
    """ "whole", "mixed", or the error of one load with all that a page reads beside it."""
    try:
        vae, found = checkpoints.load_known(folder)
        analysis = checkpoints.read_analysis(folder, digest=found.digest)
    except (ValueError, OSError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    same = {number_of(vae), found.metrics["number"], int(found.config["dataset"][-1]), DIGESTS.index(found.digest)}
    same |= {int(held) for held in analysis.values()}  # nothing, where another folder came meanwhile
    return "whole" if len(same) == 1 else "mixed"


DIGESTS: list[str] = []


def number_of(vae: vaecore.VAE) -> int:
    return int(next(vae.parameters()).detach().flatten()[0])


def measure(loads: int, how: str) -> dict:
    """Counts of what `loads` loads gave while another process swaps."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        DIGESTS[:] = [checkpoints.digest(make(root / f"source{number}", number)) for number in range(3)]
        shutil.copytree(root / "source0", root / "shown")
        swapper = subprocess.Popen([sys.executable, "-m", "bench.folder_swaps", "--swap", place, "--how", how])
        try:
            found = Counter(look(root / "shown") for _ in range(loads))
        finally:
            swapper.kill()
            swapper.wait()
    errors = {said: count for said, count in found.items() if said not in ("whole", "mixed")}
    return {"how": how, "loads": loads, "mixed": found["mixed"], "errors": sum(errors.values()), "said": errors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--loads", type=int, default=1000)
    parser.add_argument("--how", choices=HOWS, action="append")
    parser.add_argument("--swap", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.swap:
        swap(options.swap, options.how[0])
    for how in options.how or HOWS:
        begun = time.monotonic()
        print(json.dumps(measure(options.loads, how) | {"seconds": round(time.monotonic() - begun, 1)}), flush=True)


if __name__ == "__main__":
    main()
