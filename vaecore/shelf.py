"""Checkpoint folders as things on a shelf: packed into a zip, renamed, removed.

Nothing here asks whose a folder is: callers say which folders may be touched.
"""

import io
import os
import re
import shutil
import tempfile
import zipfile
from pathlib import Path

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
    folder, packed = must_be_checkpoint(folder), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in FILES:
            if (file := folder / name).is_file() and not file.is_symlink():
                about = zipfile.ZipInfo(f"{folder.name}/{name}", DAWN)
                about.external_attr = 0o644 << 16
                archive.writestr(about, file.read_bytes())
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
    grave = Path(tempfile.mkdtemp(prefix=f".{folder.name[:40]}.", dir=folder.parent))
    folder.rename(grave / "removed")
    sync(folder.parent)
    shutil.rmtree(grave, ignore_errors=True)


def size(folder: str | Path) -> int:
    """How many bytes its files have."""
    with os.scandir(folder) as found:
        return sum(entry.stat(follow_symlinks=False).st_size for entry in found if entry.is_file(follow_symlinks=False))


def must_be_checkpoint(folder: str | Path) -> Path:
    """ValueError for anything but a real folder with a config.json in it."""
    folder = Path(folder)
    if folder.is_symlink() or not (folder / "config.json").is_file():
        raise ValueError(f"{folder} is no checkpoint folder.")
    return folder
