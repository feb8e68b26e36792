"""Maps by t-SNE and UMAP that are kept with the checkpoint, and refused once its weights are others."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vaecore.checkpoints import load, read, read_kept, write_kept
from vaecore.datasets import Dataset
from vaecore.embedding.neighbours import FEWEST, METHODS, MOST, check, embed
from vaecore.embedding.parts import gather, stratified
from vaecore.learned import codes
from vaecore.safefiles import File
from vaecore.tensor_forms import held_to
from vaecore.text import counted


class Settings(NamedTuple):
    """What a map depends on beside the weights. points: at most so many, of each label its share."""

    method: str = "umap"
    split: str = "test"
    points: int = 2000
    seed: int = 0


def embed_checkpoints(
    folders: list[str | Path],
    settings: Settings,
    root: str | Path | None = None,
    on_event: Callable[[dict], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Path]:
    """Embed the codes of one checkpoint after another, and keep each map; the files, fewer where `stop` ended it.

    The codes are means of q(z|x) of what `gather` gives. Everything that can be refused is refused before the first
    map: one checkpoint whose codes have none costs no other its map half-way.
    """
    if settings.method not in METHODS:
        raise ValueError(f"method is {settings.method!r}; it must be one of {', '.join(METHODS)}.")
    if not FEWEST <= settings.points <= MOST:
        raise ValueError(f"points is {settings.points}; it must be from {FEWEST} to {MOST:,}.")
    sets = [embeddable(folder, settings, root) for folder in folders]
    work = [coded(folder, *data, settings) for folder, data in zip(folders, sets, strict=True)]
    files = []
    for place, (folder, (_, digest), (rows, found)) in enumerate(zip(folders, sets, work, strict=True)):

        def report(event: dict, before: int = place) -> None:
            if on_event:
                steps = event["steps"]
                on_event(event | {"step": before * steps + event["step"], "steps": len(sets) * steps})

        places = None if stop() else embed(found, settings.method, settings.seed, report, stop)
        if places is None:
            break
        tensors = {"places": places, "rows": rows.to(torch.int32)}
        files.append(write_kept(folder, name(settings), tensors, digest=digest))
    return files


def coded(folder: str | Path, data: Dataset, digest: str, settings: Settings) -> tuple[Tensor, Tensor]:
    """Which images are embedded, [n], and their codes [n, D]; ValueError where those have no map."""
    rows = stratified(len(data), settings.points, settings.seed, data.labels)
    found = codes(load(folder, digest=digest), data.images[rows], batch=256)
    try:
        check(found, settings.method, settings.seed)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    return rows, found


def embeddable(folder: str | Path, settings: Settings, root: str | Path | None) -> tuple[Dataset, str]:
    """The images of a checkpoint whose codes can be embedded, and its digest; ValueError if they cannot, and why."""
    found = read(folder)
    config = found.config
    if config["dataset"] is None:
        raise ValueError(f"{folder} does not say which data set it was trained on, so it has no images to embed.")
    if config["latent_dim"] <= 2:
        size = counted(config["latent_dim"], "dimension")
        raise ValueError(f"The codes of {folder} have {size}: they are drawn as they are, not embedded.")
    return gather(config["dataset"], settings.split, root), found.digest


def name(settings: Settings) -> str:
    """Under which name a map is kept, in the checkpoint's folder or the user's cache."""
    return "embeddings/{}-{}-{}-{}".format(*settings)


def kept(folder: str | Path, settings: Settings, rows: Tensor, *, digest: str = "") -> Tensor | None:
    """The places [n, 2] that were kept for these weights and these rows [n]; None if there are none, or of others.

    Raises BadFile where the file that should hold them does not.
    """
    found = read_kept(folder, name(settings), checked_map, digest=digest)
    if not found or not torch.equal(found["rows"].long(), rows.long()):
        return None
    return found["places"]


def checked_map(tensors: dict[str, Tensor], file: File, **_: int) -> dict[str, Tensor]:
    """What a map's file must hold: places [n, 2] of the images `rows` [n]; BadFile where it does not."""
    return held_to(FORM, tensors, file, FORM)


FORM = {"places": "float n 2", "rows": "int n"}
