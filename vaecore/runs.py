"""The folder of a training run, as those see it who watch: what was asked, how far it is, how it ended, how to stop it.

    FOLDER.partial/
      run.json            what was asked, in the words of `train`
      lock                the process that trains holds it (flock): the run lives exactly while nobody else can
      metrics.jsonl       a line for a step now and then, one for each epoch; steps done again come again
      snapshots/          what a page shows of an epoch (`snapshots`)
      owner               whose it is, where a page began it; the checkpoint keeps it
      stop                somebody asks the run to end at its next step
      end.json            how it ended; its room is taken at the start, so that a full disk can still be told
      state.safetensors   the last whole epoch (`resuming`)

When the run is finished FOLDER is a checkpoint, with metrics.jsonl and snapshots/ in it. All this works over a shared
disk whose flock does, so that a run on another machine can be watched and stopped.
"""

import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ASKED, LOCK, LOG, SNAPSHOTS, STOP, END = "run.json", "lock", "metrics.jsonl", "snapshots", "stop", "end.json"
SUFFIX = ".partial"
OWNER = "owner"
ROOM = 2048  # bytes of end.json
OFTEN = 0.5  # seconds between two lines at first; later a 500th of what the run has taken, so that logs stay short


class Stopped(Exception):
    """The run was asked to end, and has at a step's end; its last whole epoch is kept."""


def partial_of(folder: Path) -> Path:
    return folder.with_name(folder.name + SUFFIX)


def find(root: Path) -> list[Path]:
    """The folders of the unfinished runs directly under `root`, by name, each without its suffix."""
    return sorted(file.parent.with_suffix("") for file in root.glob(f"[!.]*{SUFFIX}/{ASKED}"))


def ask(folder: Path, asked: dict) -> None:
    """Make the folder of a new run, for a process that will begin it; ValueError if the name is taken."""
    partial = partial_of(folder)
    if folder.exists():
        raise ValueError(f"{folder.name} is taken: choose another name.")
    try:
        partial.mkdir(parents=True)
    except FileExistsError:
        raise ValueError(f"{folder.name} is taken by an unfinished run: choose another name.") from None
    say_end(partial, "")
    (partial / ASKED).write_text(json.dumps(asked))


def stop(folder: Path, keep: bool = False) -> None:
    """Ask the run to end at its next step, wherever it runs; with `keep` its best epoch then becomes a checkpoint."""
    with suppress(FileNotFoundError):
        (partial_of(folder) / STOP).write_text("keep" if keep else "")


def is_to_be_kept(folder: Path) -> bool:
    with suppress(OSError):
        return (partial_of(folder) / STOP).read_bytes() == b"keep"
    return False


def is_alive(folder: Path) -> bool:
    """Whether a process holds the run's lock."""
    try:
        with (partial_of(folder) / LOCK).open("rb") as file:
            # Shared, so that two who look do not take each other for the run.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


@contextmanager
def opened(folder: Path, asked: dict) -> Iterator[Path]:
    """Hold the run's folder while it is trained, and keep the sentence that it ends with.

    A run that fails before its first whole epoch leaves nothing behind, unless its folder was there before.
    """
    partial = partial_of(folder)
    ours = not partial.exists()
    partial.mkdir(parents=True, exist_ok=True)
    with locked(partial):
        (partial / STOP).unlink(missing_ok=True)
        say_end(partial, "")
        if not (partial / ASKED).exists():
            (partial / ASKED).write_text(json.dumps(asked))
        try:
            yield partial
        except Stopped:
            say_end(partial, "stopped")
            raise
        except BaseException:
            if ours and not (partial / "state.safetensors").exists():
                shutil.rmtree(partial, ignore_errors=True)
            raise


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """Keep why a run failed, where its folder is there to keep it."""
    try:
        yield
    except Stopped:
        raise
    except Exception as error:
        said = in_words(error)
        if partial_of(folder).is_dir() and not is_alive(folder):
            say_end(partial_of(folder), "failed", said)
        raise


def in_words(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"The disk is full: {error.strerror}. Make room and resume; the last whole epoch, if any, is kept."
    return str(error) if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {error}".split("\n")[0]


@contextmanager
def locked(partial: Path) -> Iterator[None]:
    with (partial / LOCK).open("ab") as file:
        for attempt in range(20):  # one who looks holds it for a moment
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == 19:
                    raise ValueError(f"{partial} is being trained by another process.") from None
                time.sleep(0.05)
        yield


def say_end(partial: Path, state: str, sentence: str = "") -> None:
    """Write how the run ended over the room that is there, without asking the disk for more."""
    text = json.dumps({"state": state, "sentence": sentence[: ROOM // 8]}).encode().ljust(ROOM)
    file = partial / END
    with suppress(OSError), file.open("r+b" if file.exists() else "wb") as held:
        held.write(text)
        held.flush()
        os.fsync(held.fileno())


class Log:
    """metrics.jsonl, written line by line: a step's line now and then, an epoch's always."""

    def __init__(self, partial: Path) -> None:
        self.file = (partial / LOG).open("ab")
        # A process that was killed may have left half a line.
        self.file.write(b"\n" if self.file.tell() else b"")
        self.begun = time.monotonic()
        self.written = -1e9
        self.write({"event": "begin", "time": time.time()})

    def close(self) -> None:
        self.file.close()

    def write(self, line: dict) -> None:
        self.file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
        self.file.flush()

    def due(self) -> bool:
        """Whether a step deserves a line: at most some thousand of them, however long the run."""
        now = time.monotonic()
        if now - self.written < max(OFTEN, (now - self.begun) / 500):
            return False
        self.written = now
        return True

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun
