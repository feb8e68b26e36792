"""fit: stages of epochs, phases of a step; killed at any moment, it resumes from its last whole epoch."""

import json
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from vaecore import checkpoints, weightnorm
from vaecore.averaging import Average
from vaecore.datasets import Dataset
from vaecore.objectives import Batch
from vaecore.recipes import Recipe, Stage, find_recipe
from vaecore.safefiles import LARGEST_TENSORS, BadFile, read_header, read_tensors, write_tensors
from vaecore.vae import VAE

Event = dict
State = dict[str, Tensor]


class Diverged(ValueError):
    """The objective stopped being a number."""


@dataclass
class Run:
    """Where a training run stands after `epoch` whole epochs."""

    epoch: int = 0
    best_epoch: int = 0
    best: State = field(default_factory=dict)  # weights of the epoch with the highest validation ELBO
    history: list[Event] = field(default_factory=list)  # one event for each epoch


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """The GPU if there is one, else the CPU, for "auto"; otherwise the device named, if it is here."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ValueError(f"There is no device {str(device)!r} here; use auto, cpu or cuda.") from None
    return device


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

    Args:
        train, valid: a Dataset or images with shape [N, C, H, W]. Images of a dynamically binarised set are drawn anew
            from its grey ones for every batch.
        epochs: in all; each stage gets its share.
        learning_rate: scales the recipe's rates so that the first stage has this one.
        start: a trained VAE, or its folder, to begin with: all weights of the same system, or as `vae`'s paper does.
        on_event: called with a dict after each step ("step") and each epoch ("epoch").

    Returns:
        One event for each epoch, with train_elbo and valid_elbo in nats per image.

    Raises:
        ValueError: for settings that cannot be; `Diverged` where the objective is no longer finite.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    grey = getattr(train, "grey", None)
    images, held_out = as_images(train) if grey is None else grey, None if valid is None else as_images(valid)
    check_settings(vae, images, epochs, batch_size, learning_rate)
    check_batch(recipe, images, batch_size)
    device = pick_device(device)
    say = on_event or (lambda event: None)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        begun = begin(vae, images, start)
    partial = None if folder is None else claim(Path(folder), vae)
    vae.to(device)
    stages = tuple(stage for stage in recipe.stages(vae) if not (begun and stage.unless_begun))
    plan = [stage for stage, n in split_epochs(stages, epochs) for _ in range(n)]
    factor = 1.0 if learning_rate is None else learning_rate / stages[0].learning_rate
    optimisers = make_optimisers(vae, stages)
    average = None if recipe.averaging is None else Average(vae, recipe.averaging)
    settings = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    settings |= {"start": None if start is None else str(start) if isinstance(start, str | Path) else "a VAE"}
    settings |= {
        "config": vae.config,
        "recipe": recipe.name,
        "images": len(images),
        "dataset": getattr(train, "name", None),
    }
    run = Run() if partial is None else resume(partial, vae, optimisers, settings, average)
    say_of_steps = say if average is None else following(average, say)
    with torch.random.fork_rng(devices=devices):
        for epoch in range(run.epoch, epochs):
            # Seeded by the epoch, so that a resumed run needs no generator's state.
            torch.manual_seed(seed * 1_000_003 + epoch)
            clock, stage = time.perf_counter(), plan[epoch]
            rates = {"learning_rate": stage.learning_rate * factor, "batch_size": batch_size}
            rates |= {"binarise": grey is not None, "least_batch": recipe.least_batch}
            train_elbo = one_epoch(vae, images, stage, optimisers, rates, epoch, say_of_steps)
            event = {"event": "epoch", "epoch": epoch + 1, "epochs": epochs, "train_elbo": train_elbo}
            # Without images held out, a few of the training ones still show weights that went astray in the last step.
            with averaged(average):
                score = validate(vae, images[:256] if held_out is None else held_out, epoch, rates)
                event["valid_elbo"] = None if held_out is None else score
                event |= {"learning_rate": rates["learning_rate"], "seconds": time.perf_counter() - clock}
                record(run, vae, event)
            if partial is not None:
                keep(partial, run, vae, optimisers, settings, average)
            say(event)
    with averaged(average):
        last = weights(vae)
    vae.load_state_dict(run.best)
    vae.eval()
    if partial is not None:
        finish(Path(folder), partial, vae, run, last, settings | {"device": device.type})
    return run.history


def as_images(data: Dataset | Tensor) -> Tensor:
    return data if isinstance(data, Tensor) else data.images


def check_settings(vae: VAE, images: Tensor, epochs: int, batch_size: int, learning_rate: float | None) -> None:
    if epochs < 1 or batch_size < 1:
        raise ValueError(f"epochs is {epochs} and batch_size {batch_size}; both must be at least 1.")
    if learning_rate is not None and not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate is {learning_rate}; it must be a positive number.")
    if images.ndim != 4 or not len(images):
        raise ValueError(f"The training images have shape {list(images.shape)}; it must be [N, C, H, W] with N >= 1.")
    if not vae.differentiable:
        raise ValueError("This VAE's networks give values and no gradients: it cannot be trained.")
    shape = vae.config and vae.config["data_shape"]
    if shape and shape != list(images.shape[1:]):
        raise ValueError(f"The VAE was built for images of shape {shape}, the data has {list(images.shape[1:])}.")


def check_batch(recipe: Recipe, images: Tensor, batch_size: int) -> None:
    if min(len(images), batch_size) < (least := recipe.least_batch):
        there = f"there are {len(images)} images and batch_size is {batch_size}"
        raise ValueError(f"{recipe.name} compares the images of a batch: it needs at least {least}, and {there}.")


def averaged(average: Average | None) -> AbstractContextManager:
    """Within it the VAE has its averaged weights, where there are any."""
    return nullcontext() if average is None else average.in_place()


def following(average: Average, say: Callable[[Event], None]) -> Callable[[Event], None]:
    """`say`, which is called after each step, for a training whose weights are averaged."""

    def both(event: Event) -> None:
        average.follow()
        say(event)

    return both


def begin(vae: VAE, images: Tensor, start: str | Path | VAE | None) -> bool:
    """Begin with the trained VAE `start`, or let what is fresh see the images once.

    Returns whether encoder and decoder are now trained ones: a flow that a plain encoder lacks has yet to be.
    """
    if hasattr(vae.encoder, "train_size"):
        vae.encoder.train_size.fill_(len(images))
    fresh = (vae.prior, vae.decoder) if start is None else (vae.prior,)
    for part in fresh:
        if hasattr(part, "initialise"):
            part.initialise(images)
    if start is None:
        weightnorm.initialise(vae, images)
        return False
    trained = start if isinstance(start, VAE) else checkpoints.load(start)
    try:
        vae.decoder.load_state_dict(trained.decoder.state_dict())
        take_over(vae.prior, trained.prior)
        return take_over(vae.encoder, trained.encoder)
    except (RuntimeError, AttributeError):
        raise ValueError("The VAE to start from has other parts or sizes than the one to train.") from None


def take_over(part: nn.Module, trained: nn.Module) -> bool:
    """The same part's weights as they are, else what this one makes of a plain VAE's; whether they were the same."""
    same = part.state_dict().keys() == trained.state_dict().keys()
    if same:
        part.load_state_dict(trained.state_dict())
    else:
        part.begin_with(trained)
    return same


def split_epochs(stages: tuple[Stage, ...], epochs: int) -> list[tuple[Stage, int]]:
    """How many of the epochs each stage gets: the ends of the stages are rounded, so that the sum is exact."""
    epochs /= sum(stage.share for stage in stages)
    ends, done = [], 0.0
    for stage in stages:
        done += stage.share
        ends.append(round(epochs * done))
    return [(stage, b - a) for stage, a, b in zip(stages, [0, *ends], ends, strict=False)]


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
    total = torch.zeros((), device=vae.device, dtype=torch.float64)
    batches = [b for b in torch.randperm(len(images)).split(rates["batch_size"]) if len(b) >= rates["least_batch"]]
    for step, batch in enumerate(batches):
        x = images[batch].to(vae.device, non_blocking=True)
        now = Batch(x.bernoulli() if rates["binarise"] else x, epoch * len(batches) + step, epoch)
        for k, phase in enumerate(stage.phases):
            optimiser = optimisers[id(stage), k]
            optimiser.param_groups[0]["lr"] = rates["learning_rate"]
            try:
                objective = phase.objective(vae, now)
            except ValueError as error:
                # torch's distributions refuse weights that are no longer numbers; at first it is the images' fault.
                if epoch == step == 0:
                    raise
                raise diverged(epoch, rates, str(error).split(":")[0]) from None
            optimiser.zero_grad()
            parameters = optimiser.param_groups[0]["params"]
            (-objective).backward(inputs=parameters)
            if phase.clip is not None:
                torch.nn.utils.clip_grad_norm_(parameters, phase.clip)
            optimiser.step()
            # The fused step leaves them at their old version, by which layouts of weights know that they are stale.
            torch.autograd.graph.increment_version(parameters)
        total += objective.detach() * len(batch)
        say({"event": "step", "step": step + 1, "steps": len(batches), "epoch": epoch + 1})
    mean = float(total) / sum(map(len, batches))
    if not math.isfinite(mean):
        raise diverged(epoch, rates, f"the objective became {mean}")
    return mean


def diverged(epoch: int, rates: dict, why: str) -> Diverged:
    mend = f"A smaller learning rate than {rates['learning_rate']:g} usually mends it."
    return Diverged(f"In epoch {epoch + 1} the training diverged. {mend} ({why})")


@torch.no_grad()
def mean_elbo(vae: VAE, images: Tensor) -> float:
    """The mean ELBO, one sample for each image, nats per image."""
    vae.eval()
    return float(torch.cat([vae.elbo(x.to(vae.device)) for x in images.split(1024)]).double().mean())


def validate(vae: VAE, images: Tensor, epoch: int, rates: dict) -> float:
    try:
        mean = mean_elbo(vae, images)
    except ValueError as error:
        raise diverged(epoch, rates, str(error).split(":")[0]) from None
    if not math.isfinite(mean):
        raise diverged(epoch, rates, f"the validation ELBO became {mean}")
    return mean


def weights(vae: VAE) -> State:
    return {name: tensor.detach().clone() for name, tensor in vae.state_dict().items()}


def record(run: Run, vae: VAE, event: Event) -> None:
    run.history.append(event)
    run.epoch = event["epoch"]
    scores = [past["valid_elbo"] for past in run.history if past["valid_elbo"] is not None]
    if event["valid_elbo"] is None or event["valid_elbo"] >= max(scores):
        run.best, run.best_epoch = weights(vae), run.epoch


def claim(folder: Path, vae: VAE) -> Path:
    """The folder of the unfinished run; ValueError, before any work, if its checkpoint could not be written there."""
    checkpoints.must_be_savable(vae, folder)
    # Weights, averaged and best ones, and two moments share one file while the run goes on.
    if (size := sum(5 * p.numel() * p.element_size() for p in vae.parameters())) > LARGEST_TENSORS:
        raise ValueError(f"This VAE's training state takes {size:,} bytes; at most {LARGEST_TENSORS:,} can be kept.")
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    return partial


def adam_state(optimisers: dict) -> State:
    unique = list(dict.fromkeys(optimisers.values()))
    return {
        f"adam.{k}.{index}.{name}": value
        for k, adam in enumerate(unique)
        for index, state in adam.state_dict()["state"].items()
        for name, value in state.items()
    }


def restore_adam(optimisers: dict, tensors: State) -> None:
    # The fused step walks through memory, so a moment must lie there as its weights do (channels last, say).
    for k, adam in enumerate(dict.fromkeys(optimisers.values())):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith(f"adam.{k}."):
                index, name = key.split(".")[2:]
                like = adam.param_groups[0]["params"][int(index)]
                value = torch.empty_like(like).copy_(value) if value.shape == like.shape else value
                state.setdefault(int(index), {})[name] = value
        adam.load_state_dict({"state": state, "param_groups": adam.state_dict()["param_groups"]})


def keep(partial: Path, run: Run, vae: VAE, optimisers: dict, settings: dict, average: Average | None) -> None:
    """Everything that the next epoch needs, as one file that appears whole or not at all."""
    tensors = {f"last.{k}": v for k, v in weights(vae).items()} | {f"best.{k}": v for k, v in run.best.items()}
    if average is not None:
        tensors |= {f"shadow.{k}": v for k, v in average.shadow.items()}
    about = {"settings": settings, "epoch": run.epoch, "best_epoch": run.best_epoch, "history": run.history}
    metadata = {"run": json.dumps(about)}
    write_tensors(partial / "state.safetensors", tensors | adam_state(optimisers), metadata)


def resume(partial: Path, vae: VAE, optimisers: dict, settings: dict, average: Average | None) -> Run:
    """The run that an earlier call left in `partial`, its weights in `vae`; a new one if there is none."""
    file = partial / "state.safetensors"
    if not file.exists():
        return Run()
    try:
        about, tensors = json.loads(read_header(file)[1]["run"]), read_tensors(file)
    except (BadFile, KeyError, ValueError) as error:
        raise ValueError(f"{file} cannot be read ({error}): remove {partial} and start afresh.") from None
    if about["settings"] != settings:
        other = [f"{key} {value}" for key, value in about["settings"].items() if settings.get(key) != value]
        raise ValueError(f"{partial} holds a run with other settings ({'; '.join(other)}): use those or remove it.")
    kinds = ("last", "best", "shadow")
    part = {p: {k[len(p) + 1 :]: v for k, v in tensors.items() if k.startswith(p + ".")} for p in kinds}
    vae.load_state_dict(part["last"])
    if average is not None:
        average.take(part["shadow"])
    restore_adam(optimisers, tensors)
    return Run(about["epoch"], about["best_epoch"], part["best"], about["history"])


def finish(folder: Path, partial: Path, vae: VAE, run: Run, last: State, settings: dict) -> None:
    dataset = settings.pop("dataset")
    del settings["config"]
    training = settings | {"best_epoch": run.best_epoch, "seconds": sum(e["seconds"] for e in run.history)}
    checkpoints.save(vae, folder, dataset=dataset, metrics={"training": training, "history": run.history}, last=last)
    (partial / "state.safetensors").unlink(missing_ok=True)
    partial.rmdir()
