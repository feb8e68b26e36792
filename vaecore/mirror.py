"""A shelf of checkpoints at an fsspec URL (s3://..., file://...), copied folder by folder into the user's cache.

A folder is copied again when the size or the stamp of one of its files has changed, and appears whole. What comes from
elsewhere is untrusted: only a checkpoint's own files are taken, of bounded size, and read by the checks of all folders.
"""

import fcntl
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vaecore import hidden
from vaecore.safefiles import LARGEST_TENSORS, cache
from vaecore.shelf import FILES, NAME, sweep
from vaecore.text import counted

MOST_FOLDERS, LARGEST = 256, 8 << 30  # checkpoints and bytes of one place
STAMPS = ("ETag", "etag", "LastModified", "last_modified", "mtime", "updated", "created", "md5")
REFRESH, PATIENCE = 30.0, 20.0  # seconds between two looks; without an answer, before that is said
FIRST = 3.0  # seconds that the first one who asks waits
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
CHUNK = 1 << 20
# What a checkpoint's own folders hold: pictures of its epochs, and maps of its codes.
INSIDE = re.compile(r"snapshots/\d{1,9}\.safetensors|embeddings/[A-Za-z0-9][A-Za-z0-9-]{0,79}\.safetensors")
MOST_INSIDE = 300  # of one checkpoint


class Mirror:
    """What lies at `url`, in a local folder that a thread of its own keeps up to date: nobody waits for it long."""

    def __init__(self, url: str) -> None:
        self.url, self.shown = url, re.sub(r"//[^@/]*@", "//", url)
        self.folder = cache() / "mirror" / hashlib.sha256(url.encode()).hexdigest()[:20]
        self.problem, self.moved, self.looked = "", time.monotonic(), -REFRESH
        self.thread: threading.Thread | None = None

    def refresh(self) -> str:
        """Look again if it is time; a sentence where the place cannot be read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        first = self.thread is None
        if not (self.thread and self.thread.is_alive()) and time.monotonic() - self.looked >= REFRESH:
            self.looked = self.moved = time.monotonic()
            self.thread = threading.Thread(target=self.work, daemon=True, name="mirror")
            self.thread.start()
            self.thread.join(FIRST if first else 0.0)
        if self.thread.is_alive() and (silent := time.monotonic() - self.moved) > PATIENCE:
            return f"It has not answered for {silent:.0f} s; what was copied before is shown."
        return self.problem

    def work(self) -> None:
        try:
            self.problem = ""
            copy(self.url, self.folder, self.tick)
        except ImportError as error:
            self.problem = f"The package that reads such a URL is not installed: {one_line(error)}."
        # Each protocol has errors of its own, which no common class holds.
        except Exception as error:  # noqa: BLE001
            self.problem = f"It could not be read ({type(error).__name__}: {one_line(error)})."

    def tick(self) -> None:
        self.moved = time.monotonic()


def one_line(error: Exception) -> str:
    return " ".join(re.sub(r"//[^@/\s]*@", "//", str(error)).split())[:300].rstrip(".")


def copy(url: str, folder: Path, tick: Any = lambda: None) -> None:  # noqa: ANN401
    """Make `folder` hold the checkpoints that lie directly at `url`; ValueError for more than is taken."""
    import fsspec

    system, root = fsspec.core.url_to_fs(url)
    system.invalidate_cache()
    there = listed(system.find(root, maxdepth=3, detail=True), root)
    tick()
    sizes = [about["size"] or 0 for files in there.values() for about in files.values()]
    if len(there) > MOST_FOLDERS or sum(sizes) > LARGEST:
        held = f"{counted(len(there), 'checkpoint')} of {counted(sum(sizes), 'byte')}"
        raise ValueError(f"it holds {held}; that is more than is copied")
    with alone(folder) as first:
        if first:
            take(system, there, folder, tick)


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether no other process copies into `folder` now, and none will meanwhile: what one copies, all read."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


def take(system: Any, there: dict[str, dict[str, dict]], folder: Path, tick: Any) -> None:  # noqa: ANN401
    """Copy what is new, in place of what it was before; remove what is not there any more."""
    sweep(folder)
    for old in folder.glob("[!.]*"):
        if old.name not in there:
            with hidden.beside(old) as grave:
                old.rename(grave)
    for name, files in there.items():
        about = {file: [info["size"], *(str(info.get(stamp)) for stamp in STAMPS)] for file, info in files.items()}
        stamp, known = json.dumps(about, sort_keys=True), folder / f".{name}.json"
        if not (folder / name).is_dir() or not known.is_file() or known.read_text() != stamp:
            with hidden.beside(folder / name) as made:
                for file, info in files.items():
                    (made / file).parent.mkdir(exist_ok=True)
                    fetch(system, info["name"], made / file, tick)
                made.chmod(0o555)  # results are kept elsewhere: this is a copy
                known.unlink(missing_ok=True)  # a stamp never stands beside the folder of another
                hidden.put(made, folder / name)
            known.write_text(stamp)


def listed(found: dict[str, dict], root: str) -> dict[str, dict[str, dict]]:
    """The checkpoints' files among those found, by folder and name."""
    there: dict[str, dict[str, dict]] = {}
    for path, about in sorted(found.items()):
        name, _, file = path.removeprefix(root).strip("/").partition("/")
        inside = INSIDE.fullmatch(file) and len(there.get(name, ())) < MOST_INSIDE
        if (file in FILES or inside) and NAME.fullmatch(name) and not name.endswith((".", ".partial")):
            there.setdefault(name, {})[file] = about
    return {name: files for name, files in there.items() if "config.json" in files}


def fetch(system: Any, path: str, to: Path, tick: Any) -> None:  # noqa: ANN401
    """Copy one file, however large it says that it is."""
    taken = 0
    with system.open(path, "rb") as source, to.open("wb") as target:
        while part := source.read(CHUNK):
            tick()
            if (taken := taken + len(part)) > LARGEST_TENSORS:
                raise ValueError(f"{path} has more than {counted(LARGEST_TENSORS, 'byte')}")
            target.write(part)


def places(named: str) -> list[str]:
    """The folders and URLs of a list that os.pathsep divides, which stands in a URL too."""
    found: list[str] = []
    for part in named.split(os.pathsep):
        before = found[-1] if found else ""
        scheme = os.pathsep == ":" and part.startswith("//") and URL.fullmatch(f"{before}://")
        port = URL.match(before) and "/" not in before.partition("://")[2] and re.match(r"\d+(/|$)", part)
        if scheme or port:
            found[-1] += os.pathsep + part
        else:
            found.append(part)
    return [part for part in found if part]
