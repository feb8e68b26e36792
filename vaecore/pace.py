"""How long a training will take and how much memory, from a few of its own steps.

`python -m vaecore.pace MEGABYTES` reads what is asked as JSON from stdin and says {"seconds"} as JSON, or a sentence on
stderr: a process of its own, with no more memory than that, in which an absurd size harms nobody.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from vaecore.datasets import Dataset, load_dataset
from vaecore.objectives import Batch
from vaecore.parallel import Workers
from vaecore.recipes import Stage, build_with, find_recipe
from vaecore.threads import threads_for
from vaecore.training import make_optimisers, one_epoch, planned
from vaecore.vae import VAE

ENOUGH = 0.3  # seconds of steps that tell a stage's pace
FEW = 16  # images of the first step: of many more is only said what these take
MARGIN = 1.5  # what a step's own tensors take beside those that it keeps for its gradient
SECONDS = 60  # of a processor, for the process that measures
COPIES = 4  # of each weight: itself, its gradient and Adam's two moments


def seconds_for(vae: VAE, recipe: str, train: Dataset, epochs: int, batch_size: int) -> float:
    """An estimate of what `fit` will take for these epochs, by some steps of each of its stages' kinds.

    A batch of which a part takes long enough is reckoned from that part. `vae` is trained on the way. Validation and
    what is written down are not in it: about a tenth more.
    """
    known = find_recipe(recipe)
    stages = known.stages(vae)
    plan = planned(stages, epochs)
    images = (train.images if train.grey is None else train.grey)[:batch_size]
    optimisers = make_optimisers(vae, stages)
    rates = {"learning_rate": 1e-6, "batch_size": batch_size, "workers": Workers(), "least_batch": known.least_batch}
    rates |= {"binarise": train.grey is not None, "average": None, "begun": False, "epochs": epochs}
    pace: dict[tuple, float] = {}
    for stage in plan:
        if stage.phases not in pace:

            def step(count: int, stage: Stage = stage) -> float:
                begun = time.perf_counter()
                one_epoch(vae, images[:count], stage, optimisers, rates, 0, lambda event: None)
                return time.perf_counter() - begun

            with threads_for(vae, batch_size), torch.enable_grad():  # as `fit` has them
                pace[stage.phases] = step_seconds(step, min(len(images), max(FEW, known.least_batch)), len(images))
    steps = -(-len(train) // batch_size)
    return steps * sum(pace[stage.phases] for stage in plan)


def step_seconds(step: Callable[[int], float], few: int, most: int) -> float:
    """Seconds of a step on `most` images; `step` says those of one on so many."""
    step(few)  # it warms up, and may take many times as long
    count, last = few, step(few)
    while count < most and last < ENOUGH:
        count = min(most, 4 * count)
        last = step(count)
    took = [step(count)] if last < ENOUGH else [last]
    while sum(took) < ENOUGH and len(took) < 10:
        took.append(step(count))
    return sum(took) / len(took) * most / count


def must_fit(vae: VAE, recipe: str, train: Dataset, batch_size: int, most: int) -> None:
    """ValueError where a step would take more than `most` bytes, with the batch size that takes no more.

    What a step keeps for its gradient is counted on few images and on twice as many: it grows in a straight line.
    """
    known = find_recipe(recipe)
    weights = COPIES * sum(weight.nbytes for weight in vae.parameters())
    few = max(2, known.least_batch)
    once, twice = (
        max(kept_bytes(vae, stage, train.images[:count]) for stage in known.stages(vae)) for count in (few, 2 * few)
    )
    each = MARGIN * (twice - once) / few
    fixed = weights + max(0.0, MARGIN * once - each * few)
    if fixed > most:
        raise ValueError(f"{told(vae)} would take {megabytes(fixed)} as they learn; {room(most)}: choose smaller ones.")
    if fixed + each * batch_size > most:
        raise ValueError(
            f"A batch size of {batch_size:,} would take {megabytes(fixed + each * batch_size)} with these networks; "
            f"{room(most)}: choose at most {max(1, int((most - fixed) / each)):,}, or smaller networks."
        )


def kept_bytes(vae: VAE, stage: Stage, x: torch.Tensor) -> int:
    """The bytes that the phases of a step on x [N, C, H, W] keep for the gradient, the weights not counted."""
    own, found = {weight.data_ptr() for weight in vae.parameters()}, {}

    def note(kept: torch.Tensor) -> torch.Tensor:
        try:
            storage = kept.untyped_storage()
            place, size = storage.data_ptr(), storage.nbytes()
        except RuntimeError:  # of a transformed function, whose tensors have none of their own
            place, size = id(kept), kept.nbytes
        if place not in own:
            found[place, size] = size
        return kept

    held, most = vae.train(), 0
    for phase in stage.phases:
        found.clear()
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda kept: kept):
            objective = phase.objective(held, Batch(x, 0, 0))
            most = max(most, sum(found.values()))
            del objective
    return most


def told(vae: VAE) -> str:
    sizes = {"latent_dim": vae.config["latent_dim"], **vae.config["options"]}
    said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in sizes.items())
    return f"These networks ({said})"


def megabytes(size: float) -> str:
    return f"about {size / 1e6:,.0f} MB"


def room(most: int) -> str:
    return f"a training may take {most / 1e6:,.0f} MB on this computer"


def largest_run() -> int:
    """Bytes that a training may take here: half of the computer's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def bounded(megabytes: int) -> None:
    """No more memory than that beyond what this process has, and a minute of work."""
    pages = Path("/proc/self/statm").read_text().split()[0] if Path("/proc/self/statm").exists() else 0
    limits = {resource.RLIMIT_CPU: SECONDS, resource.RLIMIT_CORE: 0}
    if pages:
        limits[resource.RLIMIT_AS] = int(pages) * resource.getpagesize() + (megabytes << 20)
    for what, most in limits.items():
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard < 0 else min(most, hard),) * 2)


def main() -> None:
    torch.set_num_threads(1)
    asked = json.load(sys.stdin)
    try:
        train = load_dataset(asked["dataset"], "train")
        bounded(int(sys.argv[1]))
        torch.manual_seed(0)
        vae = build_with(asked["recipe"], tuple(train.images.shape[1:]), asked["latent_dim"], asked["options"])
        must_fit(vae, asked["recipe"], train, asked["batch_size"], largest_run())
        found = seconds_for(vae, asked["recipe"], train, asked["epochs"], asked["batch_size"])
    except ValueError as error:
        sys.exit(str(error))
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        sys.exit(f"A few images alone take more than {int(sys.argv[1]):,} MB in these networks: choose smaller ones.")
    print(json.dumps({"seconds": found}))


if __name__ == "__main__":
    main()
