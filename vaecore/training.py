"""fit: stages of epochs, phases of a step; killed at any moment, it resumes from its last whole epoch."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from vaecore import diagnosis, parallel
from vaecore.averaging import Average
from vaecore.beginning import as_images, begin, check_batch, check_settings, pick_device
from vaecore.datasets import Dataset
from vaecore.inputs import images_of
from vaecore.objectives import Batch
from vaecore.parallel import Workers
from vaecore.protocols import Plateau
from vaecore.recipes import Phase, Recipe, Stage, find_recipe, is_short
from vaecore.resuming import Event, Run, claim, finish, keep, resume, weights
from vaecore.text import counted
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
        and kl, of which valid_elbo is the difference; and the best_epoch so far. A stage under a stand-in prior is
        validated under it too, and its epochs are chosen among while there are no others.

    Raises:
        ValueError: for settings that cannot be; `Diverged` where the objective is no longer finite.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    grey, workers = getattr(train, "grey", None), parallel.current()
    check_settings(vae, epochs, batch_size, learning_rate)
    images = as_images(vae, train)
    held_out = None if valid is None else images_of(vae, getattr(valid, "images", valid))
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
    average = None if recipe.averaging is None else Average(vae, recipe.averaging, warmed=is_short(vae))
    settings = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    settings |= {"start": None if start is None else str(start) if isinstance(start, str | Path) else "a VAE"}
    settings |= {"config": vae.config, "recipe": recipe.name, "images": len(images)}
    settings |= {"dataset": getattr(train, "name", None)} | ({"processes": workers.size} if workers.size > 1 else {})
    if held_out is None and any(stage.plateau for stage in stages):
        raise ValueError("This protocol halves its rate where the validation ELBO rests: give `valid` images.")
    run = Run() if partial is None else resume(partial, vae, optimisers, settings, average)
    with threads_for(vae, batch_size), torch.random.fork_rng(devices=devices):
        for epoch in range(run.epoch, epochs):
            # Seeded by the epoch, so that a resumed run needs no generator's state.
            torch.manual_seed(seed * 1_000_003 + epoch)
            clock, stage = time.perf_counter(), plan[epoch]
            rate = stage.learning_rate * factor
            if stage.plateau is not None:
                steps = epoch * -(-len(images) // batch_size)
                rate = rested(stage.plateau, rate * stage.plateau.decay**steps, run, optimisers)
                if rate is None:
                    settings |= {"note": f"ended by its plateaus after {epoch:,} of {counted(epochs, 'epoch')}"}
                    break
            rates = {"learning_rate": rate, "batch_size": batch_size, "workers": workers, "epochs": epochs}
            rates |= {"binarise": grey is not None, "least_batch": recipe.least_batch, "average": average}
            rates |= {"begun": start is not None}
            train_elbo = one_epoch(vae, images, stage, optimisers, rates, epoch, say)
            event = {"event": "epoch", "epoch": epoch + 1, "epochs": epochs, "train_elbo": train_elbo}
            # Without images held out, a few of the training ones still show weights that went astray in the last step.
            with averaged(average):
                scores = validate(vae, images[:256] if held_out is None else held_out, stage, epoch, rates)
                event["valid_elbo"] = None if held_out is None else scores["elbo"]
                event |= {name: scores[name] for name in ("reconstruction", "kl")}
                event |= {"learning_rate": rates["learning_rate"], "seconds": time.perf_counter() - clock}
                record(run, vae, event, plan)
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


def rested(plateau: Plateau, rate: float, run: Run, optimisers: dict) -> float | None:
    """The rate of the next epoch, with a fresh Adam where it was halved just now; None where the training ends.

    The history alone says it, so that a resumed run needs nothing more.
    """
    bounds = [event["valid_elbo"] for event in run.history]
    halvings = plateau.halvings(bounds)
    rate *= 0.5**halvings
    if plateau.ends(halvings, rate):
        return None
    if halvings > plateau.halvings(bounds[:-1]):
        for optimiser in optimisers.values():
            optimiser.state.clear()
    return rate


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
        x = x.bernoulli() if rates["binarise"] else x
        now = Batch(x, epoch * len(batches) + step, epoch, rates["begun"], rates["epochs"])
        for k, phase in enumerate(stage.phases):
            optimiser = optimisers[id(stage), k]
            optimiser.param_groups[0]["lr"] = rates["learning_rate"] * stage.decay**step
            try:
                settle(vae, phase, now, workers if step == 0 else Workers())
                objective = phase.objective(vae, now)
            except ValueError as error:
                # torch's distributions refuse weights that are no longer numbers; at first it is the images' fault.
                if epoch == step == 0:
                    raise
                raise diverged(vae, epoch, rates, diagnosis.cause(vae, x, stage.prior, error)) from None
            # Of several processes each must leave at the same step: by the gradients, which all of them know.
            if workers.size == 1 and not objective.isfinite():
                raise diverged(vae, epoch, rates, diagnosis.cause(vae, x, stage.prior))
            if not climb(objective * (len(mine) / len(batch)), phase, optimiser, workers):
                raise diverged(vae, epoch, rates, diagnosis.cause_in_gradients(vae))
        if rates["average"] is not None:
            rates["average"].follow(now.iteration)
        total += objective.detach() * len(mine)
        done = {"step": step + 1, "steps": len(batches), "epoch": epoch + 1, "objective": objective.detach()}
        say({"event": "step", **done})
    mean = float(workers.sum(total)) / sum(map(len, batches))
    if not math.isfinite(mean):
        raise diverged(vae, epoch, rates, f"the objective became {mean} in one of several processes")
    return mean


def settle(vae: VAE, phase: Phase, now: Batch, workers: Workers) -> None:
    """Let what begins by the first batch it sees (actnorm) begin alike in all processes: as in the first one."""
    if workers.size > 1:
        phase.objective(vae, now)
        workers.agree([*vae.parameters(), *vae.buffers()])


def climb(objective: Tensor, phase: Phase, optimiser: torch.optim.Adam, workers: Workers) -> bool:
    """One step of a phase, whose objective is this process' part of the mean over the batch; whether it could be taken:
    not where a gradient is not finite."""
    optimiser.zero_grad()
    parameters = optimiser.param_groups[0]["params"]
    (-objective).backward(inputs=parameters)
    workers.sum_gradients(parameters)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = get_total_norm(gradients)
    if not norm.isfinite() and not all(map(diagnosis.finite, gradients)):
        return False
    if phase.clip is not None:
        clip_grads_with_norm_(parameters, phase.clip, norm)
    optimiser.step()
    # The fused step leaves them at their old version, by which layouts of weights know that they are stale.
    torch.autograd.graph.increment_version(parameters)
    return True


def diverged(vae: VAE, epoch: int, rates: dict, why: str) -> Diverged:
    mend = diagnosis.remedy(vae, rates["learning_rate"])
    return Diverged(f"In epoch {epoch + 1} the training diverged: {why}.{mend}")


@torch.no_grad()
def mean_bound(vae: VAE, images: Tensor, workers: Workers, prior: Distribution | None = None) -> dict[str, float]:
    """The mean ELBO under `prior`, else the VAE's own, and its two terms, one sample for each image, nats per image."""
    vae.eval()
    pairs = [vae.bound(x.to(vae.device), p=prior) for x in workers.share(images).split(1024)]
    terms = torch.stack([torch.cat(term) for term in zip(*pairs, strict=True)]).double()
    sums = torch.stack([terms[0] - terms[1], *terms]).sum(1)
    means = workers.sum(sums) / len(images)
    return dict(zip(("elbo", "reconstruction", "kl"), means.tolist(), strict=True))


def validate(vae: VAE, images: Tensor, stage: Stage, epoch: int, rates: dict) -> dict[str, float]:
    try:
        means = mean_bound(vae, images, rates["workers"], stage.prior)
    except ValueError as error:
        raise diverged(vae, epoch, rates, diagnosis.cause(vae, images, stage.prior, error)) from None
    if not all(map(math.isfinite, means.values())):
        raise diverged(vae, epoch, rates, diagnosis.cause(vae, images[:1024].to(vae.device), stage.prior))
    return means


def record(run: Run, vae: VAE, event: Event, plan: list[Stage]) -> None:
    """The best epoch is one of those that were validated under the same prior as this one."""
    run.history.append(event)
    run.epoch = event["epoch"]
    comparable = [
        past for past, stage in zip(run.history, plan, strict=False) if stage.prior is plan[run.epoch - 1].prior
    ]
    scores = [past["valid_elbo"] for past in comparable if past["valid_elbo"] is not None]
    if event["valid_elbo"] is None or event["valid_elbo"] >= max(scores):
        run.best, run.best_epoch = weights(vae), run.epoch
    event["best_epoch"] = run.best_epoch
