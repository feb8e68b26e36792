"""What the page of checkpoints knows of them and does with them. Beside session.py, by its rules."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from app import bounds, health, jobs, owners, session
from app.plain import plain
from app.session import Checkpoint

if TYPE_CHECKING:
    from vaecore.imports.graphs import Sizes  # noqa: F401  for the form that shows them

SOURCES = {"pretrained": "shipped", "brought": "brought"}
GAP = "exact gap KL(q(z|x) || p(z|x))"


def root() -> Path:
    """Where what is brought is kept."""
    return session.ROOT / "brought"


def source(entry: Checkpoint) -> str:
    """Where a checkpoint comes from."""
    own = entry.folder.parent
    with suppress(ValueError):  # where there can be no runs, nothing was trained
        if own.resolve() == session.runs_folder().resolve():
            return "trained here"
    return SOURCES.get(own.name, "shared") if own.parent == session.ROOT else "shared"


def may_change(entry: Checkpoint) -> bool:
    """What ships, and what others share, is not ours to rename or delete."""
    return source(entry) in ("trained here", "brought")


@st.cache_resource(max_entries=512, show_spinner=False)
def weights(digest: str, _folder: Path) -> int:
    from vaecore import checkpoints

    try:
        return checkpoints.count_weights(_folder, digest=digest)
    except checkpoints.Replaced as error:
        raise session.Replaced(str(error)) from None


def table(entries: list[Checkpoint]) -> dict[str, list]:
    """The columns of the table, a row for each checkpoint; what was not measured is None."""
    from vaecore import shelf

    rows = []
    for entry in entries:
        training, found = (part(entry, name) for name in ("training", "evaluation"))
        if not found:  # what `learned` measured
            found = as_dict(part(entry, "learned").get("density"))
        rows.append(
            {
                "name": entry.name,
                "kind": entry.label,
                "data": entry.dataset or "unknown",
                "D": entry.latent,
                "ELBO": number(found, "ELBO"),
                "NLL": number(found, "NLL"),
                "exact gap": number(found, GAP),
                "active units": number(found, "active units"),
                "epochs": number(training, "epochs"),
                "minutes": None if (took := number(training, "seconds")) is None else took / 60,
                "weights": weights(entry.digest, entry.folder),
                "MB": shelf.size(entry.folder) / 1e6,
                "from": source(entry),
            }
        )
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def part(entry: Checkpoint, name: str) -> dict:
    """A part of metrics.json, which may lack it or hold something else there."""
    return as_dict((entry.metrics or {}).get(name))


def as_dict(found: object) -> dict:
    return found if isinstance(found, dict) else {}


def number(found: dict, name: str) -> float | None:
    value = found.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def card(entry: Checkpoint) -> str:
    """The model card, written anew from what the folder says, without the hub's front matter."""
    from vaecore import checkpoints

    whole = checkpoints.card(entry.folder, plain)
    return whole.split("---\n", 2)[2].strip().replace("## ", "###### ").replace("# ", "##### ", 1)


def pack(entry: Checkpoint) -> Callable[[], bytes]:
    """The zip, made when it is asked for."""
    from vaecore import shelf

    return lambda: shelf.pack(entry.folder)


def rename(entry: Checkpoint, name: str) -> str:
    """Call it `name`; the name it has then. Raises ValueError with a sentence."""
    from vaecore import shelf

    must_be_at_rest(entry)
    return shelf.rename(entry.folder, name).name


def remove(entry: Checkpoint) -> None:
    from vaecore import shelf

    must_be_at_rest(entry)
    shelf.remove(entry.folder)


def must_be_at_rest(entry: Checkpoint) -> None:
    if not may_change(entry):
        raise ValueError(f"{entry.name} was neither trained nor brought here: it stays as it is.")
    owners.must_own(entry.folder)
    if any(job and job.active for job in (jobs.analysis_of(entry.folder), health.job(entry))):
        raise ValueError(f"The test images of {entry.name} are being analysed; stop that first, or wait for its end.")


# ---- what is brought


def take_zip(content: bytes, name: str, dataset: str | None) -> str:
    """The new checkpoint's name. All of these raise ValueError or OSError with a sentence."""
    from vaecore import imports

    return taken(lambda: imports.from_zip(content, root(), name, dataset), len(content))


def take_files(weights: bytes, config: bytes, name: str) -> str:
    from vaecore import imports

    return taken(lambda: imports.from_files(weights, config, root(), name), len(weights))


def take_pair(encoder: bytes, decoder: bytes, name: str, **said: object) -> str:
    from vaecore import imports

    return taken(lambda: imports.from_onnx(encoder, decoder, root(), name, **said), len(encoder) + len(decoder))


def taken(take: Callable[[], Path], size: int) -> str:
    """The name of what `take` brings, `size` bytes about, as this visitor's; ValueError beyond the visitor's part.

    What turns out to be larger than it looked, or came at the same time as another, is taken back.
    """
    from vaecore import shelf

    must_have_part(size)
    folder = take()
    owners.sign(folder)
    try:
        must_have_part(0)
    except ValueError:
        shelf.remove(folder)
        raise
    return folder.name


def must_have_part(size: int) -> None:
    """ValueError where this visitor's checkpoints and `size` bytes more are over the part that is one visitor's."""
    from vaecore.imports.keeping import weight

    if not owners.public():
        return
    mine = [folder for folder in root().glob("[!.]*") if folder.is_dir() and owners.owns(owners.owner_of(folder))]
    if (used := sum(map(weight, mine))) + size > (most := bounds.brought_each()):
        raise ValueError(
            f"What one visitor brings may take {most / 1e6:,.0f} MB ({bounds.BROUGHT_EACH}). Yours takes "
            f"{used / 1e6:,.1f}, and this would add {size / 1e6:,.1f}: delete one on the page of checkpoints."
        )


def sizes(encoder: bytes, decoder: bytes):  # noqa: ANN201
    """What the two ONNX files say of their shapes."""
    from vaecore import imports

    return imports.onnx_sizes(encoder, decoder)


def datasets() -> list[str]:
    from vaecore.datasets import NAMES

    return list(NAMES)
