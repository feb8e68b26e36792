"""Checkpoint folders as things on a shelf: packed into a zip, renamed, removed.

Nothing here asks whose a folder is: callers say which folders may be touched.
"""

import io
import os
import re
import zipfile
from contextlib import suppress
from pathlib import Path

from vaecore import hidden
from vaecore.folders import Parts, read_whole
from vaecore.safefiles import sync

# All that a checkpoint folder may hold, in the order of its zip. Unfinished runs and locks are no part of it.
FILES = (
    "config.json",
    "README.md",
    "metrics.json",
    "metrics.jsonl",
    "model.safetensors",
    "last.safetensors",
    "encoder.onnx",
    "decoder.onnx",
    "analysis.safetensors",
    "samples.png",
)
FOLDERS = ("snapshots", "embeddings")
REMOVED = "removed"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
DAWN = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip: the same folder gives the same bytes


def check_name(name: str) -> str:
    """`name`, if a checkpoint folder may be called so on any system; ValueError if not."""
    if not NAME.fullmatch(name) or name.endswith((".", ".partial")):
        raise ValueError(
            f"A checkpoint cannot be called {name[:70]!r}: a name has up to 64 letters, digits, dots, dashes and "
            "underscores, and begins with a letter or digit."
        )
    return name


def free_name(root: str | Path, name: str) -> str:
    """`name`, or the first of name-2, name-3, ... that no folder or unfinished run under `root` has yet."""
    taken = {file.name.lower().removesuffix(".partial") for file in Path(root).glob("*")}
    count, found = 1, check_name(name)
    while found.lower() in taken:
        count += 1
        found = f"{name[: 63 - len(str(count))]}-{count}"
    return found


def pack(folder: str | Path) -> bytes:
    """The checkpoint as a zip with one folder of its name: uncompressed, for weights hardly shrink.

    Raises ValueError where there is no checkpoint.
    """
    folder = must_be_checkpoint(folder)
    return read_whole(folder, FILES, lambda parts: zipped(parts, folder.name), os.O_NOFOLLOW)


def zipped(parts: Parts, name: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file, held in parts.items():
            about = zipfile.ZipInfo(f"{name}/{file}", DAWN)
            about.external_attr = 0o644 << 16
            archive.writestr(about, held.content)
    return packed.getvalue()


def rename(folder: str | Path, name: str) -> Path:
    """Call the checkpoint `name`, in the folder where it is; ValueError if that is no name or is taken."""
    folder = must_be_checkpoint(folder)
    target = folder.with_name(check_name(name))
    if target == folder:
        return folder
    if target.exists() or target.with_name(f"{name}.partial").exists():
        raise ValueError(f"There is something called {name} already: choose another name.")
    # The directory made first holds the name: of two who want it, one fails here. A rename replaces it, being empty.
    try:
        target.mkdir()
    except FileExistsError:
        raise ValueError(f"There is something called {name} already: choose another name.") from None
    try:
        folder.rename(target)
    except OSError:
        target.rmdir()
        raise
    sync(target.parent)
    return target


def remove(folder: str | Path) -> None:
    """Remove the checkpoint: for all readers at once, even where the process dies half-way."""
    folder = must_be_checkpoint(folder)
    with hidden.beside(folder) as grave:
        folder.rename(grave / REMOVED)
        sync(folder.parent)


def sweep(root: str | Path) -> None:
    """Remove the hidden folders that saves, copies and removals left under `root` when they were killed.

    Only those that hold nothing but what a checkpoint may hold: a hidden folder may also be somebody else's.
    """
    for folder in Path(root).glob(".*"):
        with suppress(FileNotFoundError):  # whoever sweeps too was faster
            if hidden.is_left(folder) and all(map(is_part, folder.iterdir())):
                hidden.drop(folder)


def is_part(file: Path) -> bool:
    """Whether a checkpoint in the making, or one being removed, may hold it."""
    known = (*FILES, *FOLDERS, REMOVED)
    return file.name in known or is_report(file) or any(file.name.startswith(f".{name}.") for name in FILES)


def is_report(file: Path) -> bool:
    return bool(re.fullmatch(r"health-[a-z]+-\d+\.json", file.name))


def size(folder: str | Path) -> int:
    """How many bytes its files have, but for what a writer that was killed has left there."""
    with os.scandir(folder) as found:
        return sum(
            entry.stat(follow_symlinks=False).st_size
            for entry in found
            if entry.is_file(follow_symlinks=False) and not entry.name.startswith(".")
        )


def must_be_checkpoint(folder: str | Path) -> Path:
    """ValueError for anything but a real folder with a config.json in it."""
    folder = Path(folder)
    if folder.is_symlink() or not (folder / "config.json").is_file():
        raise ValueError(f"{folder} is no checkpoint folder.")
    return folder
