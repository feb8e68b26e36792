"""A training run on the disk: FOLDER.partial keeps its last whole epoch, FOLDER appears, whole, when it is finished."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from vaecore import checkpoints
from vaecore.averaging import Average
from vaecore.recipes import complete_options
from vaecore.runs import LOG, OWNER, SNAPSHOTS, partial_of
from vaecore.safefiles import LARGEST_TENSORS, BadFile, parse_json, read_header, read_tensors, write_tensors
from vaecore.text import counted
from vaecore.vae import VAE

Event = dict
State = dict[str, Tensor]
STATE = "state.safetensors"


@dataclass
class Run:
    """Where a training run stands after `epoch` whole epochs."""

    epoch: int = 0
    best_epoch: int = 0
    best: State = field(default_factory=dict)  # weights of the epoch with the highest validation ELBO
    history: list[Event] = field(default_factory=list)  # one event for each epoch


def weights(vae: VAE) -> State:
    return {name: tensor.detach().clone() for name, tensor in vae.state_dict().items()}


def claim(folder: Path, vae: VAE) -> Path:
    """The folder of the unfinished run; ValueError, before any work, if its checkpoint could not be written there."""
    checkpoints.must_be_savable(vae, folder)
    # Weights, averaged and best ones, and two moments share one file while the run goes on.
    if (size := sum(5 * p.numel() * p.element_size() for p in vae.parameters())) > LARGEST_TENSORS:
        taken = counted(size, "byte")
        raise ValueError(f"This VAE's training state takes {taken}; at most {LARGEST_TENSORS:,} can be kept.")
    partial = partial_of(folder)
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
    write_tensors(partial / STATE, tensors | adam_state(optimisers), metadata)


def stored(partial: Path) -> tuple[dict, State] | None:
    """What `keep` wrote last, and what it says of itself; None if there is nothing."""
    file = partial / STATE
    if not file.exists():
        return None
    try:
        about = parse_json(read_header(file)[1].get("run", "").encode(), file)
        must_be_run(about)
        return about, read_tensors(file)
    except ValueError as error:
        raise ValueError(f"{file} cannot be read ({error}): remove {partial} and start afresh.") from None


def must_be_run(about: object) -> None:
    """BadFile unless it is what `keep` says of a run; without pydantic, which a training must not need."""
    held = about if isinstance(about, dict) else {}
    settings, history = held.get("settings"), held.get("history")
    counts = [held.get("epoch"), held.get("best_epoch"), settings.get("epochs") if isinstance(settings, dict) else None]
    if not all(type(count) is int and 0 <= count < 10**9 for count in counts) or not isinstance(history, list):
        raise BadFile("it does not say how far the run is")
    if not all(isinstance(event, dict) and type(event.get("seconds")) in (int, float) for event in history):
        raise BadFile("its history is no list of epochs")
    config, dataset = settings.get("config"), settings.get("dataset", 0)
    kinds = {"recipe": str, "data_shape": list, "latent_dim": int, "options": dict}
    if not isinstance(config, dict) or not all(isinstance(config.get(key), kind) for key, kind in kinds.items()):
        raise BadFile("it does not say which VAE is trained")
    if not isinstance(dataset, str | None):
        raise BadFile("it does not say on which data")


def fill(vae: VAE, state: State, partial: Path) -> None:
    """Put the weights into the VAE; ValueError where they are not this VAE's."""
    wanted = {name: tensor.shape for name, tensor in vae.state_dict().items()}
    if {name: tensor.shape for name, tensor in state.items()} != wanted:
        raise ValueError(f"{partial / STATE} holds weights of another VAE: remove {partial} and start afresh.")
    vae.load_state_dict(state)


def part(tensors: State, kind: str) -> State:
    return {name[len(kind) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(kind + ".")}


def resume(partial: Path, vae: VAE, optimisers: dict, settings: dict, average: Average | None) -> Run:
    """The run that an earlier call left in `partial`, its weights in `vae`; a new one if there is none."""
    found = stored(partial)
    if found is None:
        return Run()
    about, tensors = found
    config = about["settings"]["config"]
    # A run may be older than an option that its recipe has today.
    config["options"] = complete_options(config)
    if about["settings"] != settings:
        other = [f"{key} {value}" for key, value in about["settings"].items() if settings.get(key) != value]
        raise ValueError(f"{partial} holds a run with other settings ({'; '.join(other)}): use those or remove it.")
    fill(vae, part(tensors, "last"), partial)
    if average is not None:
        average.take(part(tensors, "shadow"))
    restore_adam(optimisers, tensors)
    return Run(about["epoch"], about["best_epoch"], part(tensors, "best"), about["history"])


def finish(folder: Path, vae: VAE, run: Run, settings: dict, last: State | None = None) -> None:
    """Write the checkpoint, with the run's log and snapshots, and remove what is left of the run."""
    settings = dict(settings)
    dataset = settings.pop("dataset")
    del settings["config"]
    training = settings | {"best_epoch": run.best_epoch, "seconds": sum(e["seconds"] for e in run.history)}
    metrics, partial = {"training": training, "history": run.history}, partial_of(folder)
    log = [partial / name for name in (LOG, SNAPSHOTS, OWNER) if (partial / name).exists()]
    checkpoints.save(vae, folder, dataset=dataset, metrics=metrics, last=last, more=log)
    # The checkpoint is there: whatever hinders the tidying up must not make the run a failed one.
    shutil.rmtree(partial, ignore_errors=True)


def finish_early(folder: str | Path) -> Path:
    """Make the best epoch of a run that has ended before its end a checkpoint; ValueError where there is none yet."""
    folder = Path(folder)
    found = stored(partial_of(folder))
    if found is None:
        raise ValueError(f"The run {folder.name} has no whole epoch yet, so there is nothing to keep.")
    about, tensors = found
    vae = checkpoints.rebuild(about["settings"]["config"])
    fill(vae, part(tensors, "best"), partial_of(folder))
    note = f"ended after {about['epoch']} of {counted(about['settings']['epochs'], 'epoch')}"
    run = Run(about["epoch"], about["best_epoch"], {}, about["history"])
    finish(folder, vae.eval(), run, about["settings"] | {"epochs": about["epoch"], "note": note}, part(tensors, "last"))
    return folder
