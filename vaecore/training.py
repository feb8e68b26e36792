"""fit: stages of epochs, phases of a step; killed at any moment, it resumes from its last whole epoch."""

import math
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor

from vaecore import parallel
from vaecore.averaging import Average
from vaecore.beginning import as_images, begin, check_batch, check_settings, pick_device
from vaecore.datasets import Dataset
from vaecore.objectives import Batch
from vaecore.parallel import Workers
from vaecore.recipes import Phase, Recipe, Stage, find_recipe
from vaecore.resuming import Event, Run, claim, finish, keep, resume, weights
from vaecore.threads import threads_for
from vaecore.vae import VAE


class Diverged(ValueError):
    """The objective stopped being a number."""


def fit(
    vae: VAE,
    recipe: str | Recipe,
    train: Dataset | Tensor,
    valid: Dataset | Tensor | None = None,
    *,
    epochs: int = 20,
    batch_size: int = 128,
    learning_rate: float | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    folder: str | Path | None = None,
    start: str | Path | VAE | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> list[Event]:
    """Train `vae` by its recipe's stages and leave the best epoch's weights in it, by validation ELBO where there is
    `valid`, else the last epoch's.

    With `folder`, the checkpoint appears there, whole, at the end. Until then `FOLDER.partial` keeps the last whole
    epoch; the same call goes on from there and ends with the same weights as an undisturbed run on a CPU.

    Within `parallel.joined` several processes train one model: each takes its share of every batch, the first writes.

    Args:
        train, valid: a Dataset or images with shape [N, C, H, W]. Images of a dynamically binarised set are drawn anew
            from its grey ones for every batch.
        epochs: in all; each stage gets its share.
        learning_rate: scales the recipe's rates so that the first stage has this one.
        start: a trained VAE, or its folder, to begin with: all weights of the same system, or as `vae`'s paper does.
        on_event: called with a dict after each step ("step"), after each epoch, before it is kept and while `vae` has
            the weights that were validated ("measured"), and once it is kept ("epoch"). What it raises ends the run.

    Returns:
        One event for each epoch, with train_elbo and valid_elbo in nats per image, and the validation's reconstruction
        and kl, of which valid_elbo is the difference.

    Raises:
        ValueError: for settings that cannot be; `Diverged` where the objective is no longer finite.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    grey, workers = getattr(train, "grey", None), parallel.current()
    images, held_out = as_images(train) if grey is None else grey, None if valid is None else as_images(valid)
    check_settings(vae, images, epochs, batch_size, learning_rate)
    check_batch(recipe, images, batch_size, workers.size)
    device = pick_device(device)
    say = on_event or (lambda event: None)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        begun = begin(vae, images, start)
    partial = None if folder is None else claim(Path(folder), vae)
    vae.to(device)
    workers.agree([*vae.parameters(), *vae.buffers()])
    stages = tuple(stage for stage in recipe.stages(vae) if not (begun and stage.unless_begun))
    plan = planned(stages, epochs)
    factor = 1.0 if learning_rate is None else learning_rate / stages[0].learning_rate
    optimisers = make_optimisers(vae, stages)
    average = None if recipe.averaging is None else Average(vae, recipe.averaging)
    settings = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    settings |= {"start": None if start is None else str(start) if isinstance(start, str | Path) else "a VAE"}
    settings |= {"config": vae.config, "recipe": recipe.name, "images": len(images)}
    settings |= {"dataset": getattr(train, "name", None)} | ({"processes": workers.size} if workers.size > 1 else {})
    run = Run() if partial is None else resume(partial, vae, optimisers, settings, average)
    with threads_for(vae, batch_size), torch.random.fork_rng(devices=devices):
        for epoch in range(run.epoch, epochs):
            # Seeded by the epoch, so that a resumed run needs no generator's state.
            torch.manual_seed(seed * 1_000_003 + epoch)
            clock, stage = time.perf_counter(), plan[epoch]
            rates = {"learning_rate": stage.learning_rate * factor, "batch_size": batch_size, "workers": workers}
            rates |= {"binarise": grey is not None, "least_batch": recipe.least_batch, "average": average}
            train_elbo = one_epoch(vae, images, stage, optimisers, rates, epoch, say)
            event = {"event": "epoch", "epoch": epoch + 1, "epochs": epochs, "train_elbo": train_elbo}
            # Without images held out, a few of the training ones still show weights that went astray in the last step.
            with averaged(average):
                scores = validate(vae, images[:256] if held_out is None else held_out, epoch, rates)
                event["valid_elbo"] = None if held_out is None else scores["elbo"]
                event |= {name: scores[name] for name in ("reconstruction", "kl")}
                event |= {"learning_rate": rates["learning_rate"], "seconds": time.perf_counter() - clock}
                record(run, vae, event)
                say(event | {"event": "measured"})
            if partial is not None and workers.first:
                keep(partial, run, vae, optimisers, settings, average)
            say(event)
    with averaged(average):
        last = weights(vae)
    vae.load_state_dict(run.best)
    vae.eval()
    if folder is not None and workers.first:
        finish(Path(folder), vae, run, settings | {"device": device.type}, last)
    return run.history


def averaged(average: Average | None) -> AbstractContextManager:
    """Within it the VAE has its averaged weights, where there are any."""
    return nullcontext() if average is None else average.in_place()


def split_epochs(stages: tuple[Stage, ...], epochs: int) -> list[tuple[Stage, int]]:
    """How many of the epochs each stage gets: the ends of the stages are rounded, so that the sum is exact."""
    epochs /= sum(stage.share for stage in stages)
    ends, done = [], 0.0
    for stage in stages:
        done += stage.share
        ends.append(round(epochs * done))
    return [(stage, b - a) for stage, a, b in zip(stages, [0, *ends], ends, strict=False)]


def planned(stages: tuple[Stage, ...], epochs: int) -> list[Stage]:
    """The stage of each epoch."""
    return [stage for stage, n in split_epochs(stages, epochs) for _ in range(n)]


def make_optimisers(vae: VAE, stages: tuple[Stage, ...]) -> dict[tuple[int, int], torch.optim.Adam]:
    """One Adam for each phase of each stage; stages with the same phases share theirs."""
    made: dict[tuple, torch.optim.Adam] = {}
    return {
        (id(stage), k): made.setdefault((k, stage.phases), torch.optim.Adam(phase.parameters(vae), fused=True))
        for stage in stages
        for k, phase in enumerate(stage.phases)
    }


def one_epoch(
    vae: VAE, images: Tensor, stage: Stage, optimisers: dict, rates: dict, epoch: int, say: Callable[[Event], None]
) -> float:
    """One pass over the images in random order; the mean of the last phase's objective, nats per image."""
    vae.train()
    workers: Workers = rates["workers"]
    total = torch.zeros((), device=vae.device, dtype=torch.float64)
    batches = list(torch.randperm(len(images)).split(rates["batch_size"]))
    batches = [batch for batch in batches if len(batch) >= rates["least_batch"] * workers.size]
    workers.scatter_noise(epoch)
    for step, batch in enumerate(batches):
        mine = workers.share(batch)
        x = images[mine].to(vae.device, non_blocking=True)
        now = Batch(x.bernoulli() if rates["binarise"] else x, epoch * len(batches) + step, epoch)
        for k, phase in enumerate(stage.phases):
            optimiser = optimisers[id(stage), k]
            optimiser.param_groups[0]["lr"] = rates["learning_rate"]
            try:
                settle(vae, phase, now, workers if step == 0 else Workers())
                objective = phase.objective(vae, now)
            except ValueError as error:
                # torch's distributions refuse weights that are no longer numbers; at first it is the images' fault.
                if epoch == step == 0:
                    raise
                raise diverged(epoch, rates, in_short(error)) from None
            climb(objective * (len(mine) / len(batch)), phase, optimiser, workers)
        if rates["average"] is not None:
            rates["average"].follow()
        total += objective.detach() * len(mine)
        done = {"step": step + 1, "steps": len(batches), "epoch": epoch + 1, "objective": objective.detach()}
        say({"event": "step", **done})
    mean = float(workers.sum(total)) / sum(map(len, batches))
    if not math.isfinite(mean):
        raise diverged(epoch, rates, f"the objective became {mean}")
    return mean


def settle(vae: VAE, phase: Phase, now: Batch, workers: Workers) -> None:
    """Let what begins by the first batch it sees (actnorm) begin alike in all processes: as in the first one."""
    if workers.size > 1:
        phase.objective(vae, now)
        workers.agree([*vae.parameters(), *vae.buffers()])


def climb(objective: Tensor, phase: Phase, optimiser: torch.optim.Adam, workers: Workers) -> None:
    """One step of a phase; the objective is this process' part of the mean over the batch."""
    optimiser.zero_grad()
    parameters = optimiser.param_groups[0]["params"]
    (-objective).backward(inputs=parameters)
    workers.sum_gradients(parameters)
    if phase.clip is not None:
        torch.nn.utils.clip_grad_norm_(parameters, phase.clip)
    optimiser.step()
    # The fused step leaves them at their old version, by which layouts of weights know that they are stale.
    torch.autograd.graph.increment_version(parameters)


def diverged(epoch: int, rates: dict, why: str) -> Diverged:
    mend = f"A smaller learning rate than {rates['learning_rate']:g} usually mends it."
    return Diverged(f"In epoch {epoch + 1} the training diverged. {mend} ({why})")


def in_short(error: ValueError) -> str:
    """torch's refusal of a distribution's parameter, without the tensor that it prints."""
    found = re.match(r"Expected parameter (\w+) .* of distribution (\w+)", str(error))
    return f"{found[1]} of a {found[2]} is no longer a number" if found else str(error).split(":")[0]


@torch.no_grad()
def mean_bound(vae: VAE, images: Tensor, workers: Workers) -> dict[str, float]:
    """The mean ELBO and its two terms, one sample for each image, nats per image."""
    vae.eval()
    pairs = [vae.bound(x.to(vae.device)) for x in workers.share(images).split(1024)]
    terms = torch.stack([torch.cat(term) for term in zip(*pairs, strict=True)]).double()
    sums = torch.stack([terms[0] - terms[1], *terms]).sum(1)
    means = workers.sum(sums) / len(images)
    return dict(zip(("elbo", "reconstruction", "kl"), means.tolist(), strict=True))


def validate(vae: VAE, images: Tensor, epoch: int, rates: dict) -> dict[str, float]:
    try:
        means = mean_bound(vae, images, rates["workers"])
    except ValueError as error:
        raise diverged(epoch, rates, in_short(error)) from None
    if not all(map(math.isfinite, means.values())):
        raise diverged(epoch, rates, f"the validation ELBO became {means['elbo']}")
    return means


def record(run: Run, vae: VAE, event: Event) -> None:
    run.history.append(event)
    run.epoch = event["epoch"]
    scores = [past["valid_elbo"] for past in run.history if past["valid_elbo"] is not None]
    if event["valid_elbo"] is None or event["valid_elbo"] >= max(scores):
        run.best, run.best_epoch = weights(vae), run.epoch
