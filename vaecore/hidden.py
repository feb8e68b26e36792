"""Folders that are made beside their place, under a hidden name `.NAME.xxxxxxxx`, and put there at one moment.

Their maker holds the folder's lock (flock) until it is done or dead, so that what a killed one left behind is known.
"""

import ctypes
import errno
import fcntl
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAMED = re.compile(r"\.[A-Za-z0-9].*\.[a-z0-9_]{8}")  # as tempfile names them
FRESH, DAY = 60.0, 86_400.0  # seconds: its maker may not have taken the lock yet; where locks tell nothing
SWAP, HERE = 2, -100  # RENAME_EXCHANGE and RENAME_SWAP; AT_FDCWD


@contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """A new hidden folder next to `folder`, to be filled and put in its place; what is left of it then is removed."""
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name[:40]}.", dir=folder.parent))
    handle = os.open(made, os.O_RDONLY)
    try:
        with suppress(OSError):  # a disk without locks: `is_left` then goes by age
            fcntl.flock(handle, fcntl.LOCK_SH)
        yield made
    finally:
        drop(made)
        os.close(handle)


def put(made: Path, folder: Path) -> None:
    """Let `made` take the place of `folder`, which may be there: a reader finds the old folder or the new one.

    At one moment where the system can swap two names; elsewhere nothing is there for the time of a rename.
    """
    if not folder.exists():
        made.rename(folder)
    elif not exchange(made, folder):
        with beside(folder) as old:
            folder.rename(old)
            made.rename(folder)


def exchange(one: Path, other: Path) -> bool:
    """Swap the names of two folders at one moment; False where the system or the disk cannot."""
    libc, names = ctypes.CDLL(None, use_errno=True), (os.fsencode(one), os.fsencode(other))
    try:
        if sys.platform == "darwin":
            code = libc.renamex_np(*names, SWAP)
        else:
            code = libc.renameat2(HERE, names[0], HERE, names[1], SWAP)
    except AttributeError:  # a C library that does not know it
        return False
    if code and (number := ctypes.get_errno()) not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM):
        raise OSError(number, os.strerror(number), str(other))
    return code == 0


def is_left(folder: Path) -> bool:
    """Whether a maker that is dead has left this hidden folder behind."""
    if not NAMED.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
        return False
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        least = FRESH
    except BlockingIOError:
        return False
    except OSError:
        least = DAY
    finally:
        os.close(handle)
    return time.time() - max(file.lstat().st_mtime for file in (folder, *folder.iterdir())) > least


def drop(folder: Path) -> None:
    """Remove a folder, read-only or not, if it is there."""
    with suppress(FileNotFoundError):
        folder.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
