"""Folders that are read as wholes, while others may replace them.

Whoever reads a folder by its path, file by file, may get one file of it and the next of the folder that took its place.
Here all files are opened relative to one handle of the folder, and what was opened is compared with what lies there
then: before that nothing is read, and after it no removal can take anything away.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeVar

from vaecore.safefiles import LARGEST_JSON, LARGEST_TENSORS, BadFile, Held, must_have_at_most

MISSING = 1.0  # seconds that a folder or a file may be away while somebody puts another in its place
CHANGING = 5.0  # seconds of one replacement after another, before that is said
PAUSE = 0.002  # seconds between two attempts

T = TypeVar("T")


class Missing(BadFile):
    """A folder or a file that is not there; while one folder takes another's place, only for a moment."""


class Parts(dict[str, Held]):
    """A folder's files by name, as they were at one moment; asking for one that was not there raises Missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __missing__(self, name: str) -> Held:
        raise Missing(f"{self.folder / name} is missing.")


def read_whole(folder: str | Path, names: Iterable[str], use: Callable[[Parts], T], flags: int = 0) -> T:
    """What `use` makes of those of the named files that the folder has, all of one and the same state of it.

    Args:
        flags: of opening each file; with O_NOFOLLOW links are left out.

    Raises BadFile where there is no folder, where `use` wants a file that is not there, where a file is too large, or
    where the folder is replaced again and again for CHANGING seconds.
    """
    folder, begun = Path(folder), time.monotonic()
    while True:
        parts = attempt(folder, tuple(names), flags)
        error: BadFile = Missing(f"There is no checkpoint folder {folder}.")
        if isinstance(parts, Parts):
            try:
                return use(parts)
            except Missing as missing:
                error = missing
        elif parts:
            error = BadFile(f"{folder} is replaced again and again while it is read: try once more.")
        patience = CHANGING if parts is True else MISSING if was_touched(folder) else 0.0
        if time.monotonic() - begun > patience:
            raise error
        time.sleep(PAUSE)


def was_touched(folder: Path) -> bool:
    """Whether something came or went just now, in the folder or where it lies: else nobody is at work there."""
    for place in (folder, folder.parent):
        with suppress(OSError):
            if abs(time.time() - place.stat().st_mtime) < 2 * MISSING:
                return True
    return False


def attempt(folder: Path, names: tuple[str, ...], flags: int) -> Parts | bool:
    """The files as they are now; False where there is no folder, True where it was changed meanwhile."""
    with ExitStack() as opened:
        try:
            place = open_in(opened, folder, os.O_DIRECTORY)
            found = {name: handle for name in names if (handle := open_part(opened, name, place, flags)) is not None}
            before = {name: state(os.fstat(handle)) for name, handle in found.items()}
            if before != present(names, place, flags) or not os.path.samestat(os.fstat(place), os.stat(folder)):
                return True
            parts = Parts(folder)
            parts |= {name: Held(str(folder / name), content(handle, folder / name)) for name, handle in found.items()}
            same = all(state(os.fstat(handle)) == before[name] for name, handle in found.items())
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno != errno.ESTALE:  # as a shared disk has it, of a file that was removed
                raise
            return True
        return parts if same else True


def open_in(opened: ExitStack, path: str | Path, flags: int, place: int | None = None) -> int:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=place)
    opened.callback(os.close, handle)
    return handle


def open_part(opened: ExitStack, name: str, place: int, flags: int) -> int | None:
    """A file of the folder `place`, opened; None where there is none, or something else than a file."""
    try:
        handle = open_in(opened, name, os.O_NONBLOCK | flags, place)  # a pipe would keep its reader waiting
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):  # a link where none is followed, a socket
            raise
        return None
    return handle if stat.S_ISREG(os.fstat(handle).st_mode) else None


def present(names: tuple[str, ...], place: int, flags: int) -> dict[str, tuple[int, ...]]:
    """What lies in the folder under the names now."""
    found = {}
    for name in names:
        with suppress(OSError):
            about = os.stat(name, dir_fd=place, follow_symlinks=not flags & os.O_NOFOLLOW)
            found |= {name: state(about)} if stat.S_ISREG(about.st_mode) else {}
    return found


def state(about: os.stat_result) -> tuple[int, ...]:
    """What changes with a file's content: which file it is, its size and stamp."""
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def content(handle: int, file: Path) -> bytes:
    most = LARGEST_JSON if file.suffix == ".json" else LARGEST_TENSORS
    must_have_at_most(most, os.fstat(handle).st_size, file)
    with open(handle, "rb", closefd=False) as opened:
        return opened.read()
