"""Long commands of the library as processes of their own, which any page may follow and stop.

A job outlives the page that started it, and the server too. What is known of it lies in a folder under the user's
cache, so that a second visitor or a restarted server sees the same: what runs, where, since when, how far it is, and
how it ended. There is one such folder for each kind of job and each place it works on.

A job holds the lock of a file in its folder, which it inherited and which only its end gives back: it lives exactly
while nobody else can take it. Its command begins when the job is recorded: a process that nobody knows of does nothing.

The command ends on SIGTERM with its work kept, and says at its end one JSON object on stdout, with "stopped" true where
it was asked to end, or one sentence on stderr. An analysis gets `--progress FILE` and writes {"step", "steps",
"seconds"} there; a training keeps its progress in the run's own folder, and waits until it is its turn (`turn`).
"""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from app import bounds, job_files, turn
from vaecore.safefiles import BadFile
from vaecore.text import counted

TAIL = 1 << 16  # bytes of what a command said last
NOBODY = 0  # as the process of a job whose record cannot be read
MOST = 2  # analyses at once: more would only share the same cores
GRACE = 60.0  # seconds between a request to end and the end: time to finish a portion and write it down
THREADS = "1"  # two that share a busy core wait for each other, and take many times as long as one
NICE = 10  # the pages come first

# Waits for a line, which is written when the job is known; if none comes, whoever would have is dead or has no room.
WHEN_KNOWN = ["sh", "-c", 'read -r known && exec "$@" </dev/null', "sh"]


@dataclass(frozen=True)
class Job:
    """A job as it stands. state: waiting, running, stopping, done, stopped or failed; sentence: why it failed."""

    kind: str
    target: str
    pid: int
    started: float
    state: str = "running"
    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    first: tuple[int, float] = (0, 0.0)  # the step and seconds first seen: a job that goes on does not begin at 0
    result: dict | None = None
    sentence: str = ""
    ticket: str = ""  # of a training, its place in the queue
    owner: str = ""  # see `owners`

    @property
    def active(self) -> bool:
        return self.state in ("waiting", "running", "stopping")

    @property
    def share(self) -> float:
        return min(1.0, self.step / self.steps) if self.steps > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """By the pace since it was first seen; None before there is one."""
        done, took = self.step - self.first[0], self.seconds - self.first[1]
        return took * (self.steps - self.step) / done if done > 0 and self.step <= self.steps else None


def analyse(folder: Path, owner: str = "") -> Job:
    """Start, or go on with, the analysis of a checkpoint's test images."""
    return start("analyse", str(folder.resolve()), ["analyse", str(folder.resolve())], owner)


def analysis_of(folder: Path) -> Job | None:
    """The newest analysis of this checkpoint, as it stands now."""
    return find("analyse", str(folder.resolve()))


def train(folder: Path, arguments: list[str], owner: str = "") -> Job:
    """Start, or go on with, the training of a run as soon as it is its turn."""
    return start("train", str(folder.resolve()), arguments, owner)


def training_of(folder: Path) -> Job | None:
    """The newest training of this run, as it stands now."""
    return find("train", str(folder.resolve()))


def ahead(job: Job) -> int:
    """How many trainings wait before this one that waits."""
    waiting = turn.tickets(queue())
    return waiting.index(job.ticket) if job.ticket in waiting else 0


def start(kind: str, target: str, arguments: list[str], owner: str = "") -> Job:
    """Run `python -m vaecore ARGUMENTS`; what already runs for this target is not started twice.

    Raises ValueError where as many analyses run as may, trainings wait instead, or where `bounds` says so.
    """
    with locked():
        there = find(kind, target)
        if there and there.active:
            return there
        if kind != "train" and sum(job.active and job.kind != "train" for job in every()) >= MOST:
            raise ValueError(f"{counted(MOST, 'job')} are running already; start this one when one of them is done.")
        bounds.must_have_place(kind, owner, every())
        place = home(kind, target)
        shutil.rmtree(place, ignore_errors=True)
        command = [sys.executable, "-m", "vaecore", *arguments]
        known = {"kind": kind, "target": target, "started": time.time(), "owner": owner}
        try:
            place.mkdir(parents=True)
            if kind != "train":
                return launch(place, known, [*command, "--progress", str(place / "progress.json")])
            with turn.draw(queue()) as ticket:
                known["ticket"] = Path(ticket.name).name
                waiting = [sys.executable, "-P", turn.__file__, ticket.name, str(ticket.fileno())]
                return launch(place, known, [*waiting, *command], ticket.fileno())
        except OSError:  # a full disk: what was begun is taken back
            shutil.rmtree(place, ignore_errors=True)
            if ticket := known.get("ticket"):
                (queue() / ticket).unlink(missing_ok=True)
            raise


def launch(place: Path, known: dict, command: list[str], *held: int) -> Job:
    """Record a job and let its command begin, as a process that outlives this one.

    It holds the lock of its place, and what else is `held`.
    """
    child = waiting_child(place, command, held)
    threading.Thread(target=child.wait, daemon=True, name="bury").start()  # lest it stay as a zombie
    with child.stdin as told:
        known["pid"] = child.pid
        write(place / "job.json", known)
        told.write(b"known\n")
    return Job(**known)


def waiting_child(place: Path, command: list[str], held: tuple[int, ...]) -> subprocess.Popen:
    """A process that becomes the command when a line comes."""
    with (
        (place / "stdout").open("wb") as out,
        (place / "stderr").open("wb") as err,
        (place / "lock").open("wb") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        return subprocess.Popen(
            [*WHEN_KNOWN, "nice", "-n", str(NICE), *command],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            cwd=Path(__file__).resolve().parents[1],
            env={**os.environ, "OMP_NUM_THREADS": THREADS},
            start_new_session=True,
            pass_fds=(lock.fileno(), *held),
        )


def stop(job: Job) -> None:
    """Ask the job to end; it is killed if it has not ended after GRACE seconds."""
    place = home(job.kind, job.target)
    if not alive(job):
        return
    with suppress(OSError):  # a full disk keeps no job from being stopped
        write(place / "stop.json", {"pid": job.pid, "asked": time.time()})
    send(job, signal.SIGTERM)
    timer = threading.Timer(GRACE + 0.1, lambda: find(job.kind, job.target))
    timer.daemon = True
    timer.start()


def find(kind: str, target: str) -> Job | None:
    """The newest job of this kind on this target, as it stands now."""
    return read(home(kind, target), kind, target)


def every() -> list[Job]:
    """All jobs that are known, running or not; a record that is none is said where its job is asked for."""
    found = []
    for place in sorted(shelf().glob("*-*")):
        with suppress(BadFile):
            known = job_files.read(place / "job.json", job_files.KNOWN)
            if known and home(known["kind"], known["target"]) == place:
                found.append(find(known["kind"], known["target"]))
    return [job for job in found if job]


def forget(job: Job) -> None:
    """Remove what is known of a job that has ended."""
    if not job.active:
        shutil.rmtree(home(job.kind, job.target), ignore_errors=True)


def read(place: Path, kind: str, target: str) -> Job | None:
    """The job of that place as it stands now; one whose record is none has failed, with a sentence that says so."""
    # First whether it lives, then what it wrote: the other way round, the end would be missed in between.
    living = turn.is_held(place / "lock")
    try:
        known = job_files.read(place / "job.json", job_files.KNOWN)
        if known and (known["kind"], known["target"]) != (kind, target):
            raise BadFile(f"{place / 'job.json'} is the record of another job.")
    except BadFile as error:
        return Job(kind, target, NOBODY, 0.0, "running" if living else "failed", sentence=str(error))
    if known is None:
        return None
    job, asked = with_progress(Job(**known), place)
    return still_running(job, asked) if living else ended(job, asked, place)


def with_progress(job: Job, place: Path) -> tuple[Job, float | None]:
    """The job with how far it is, and when its end was asked for; where a file is no such file it says so."""
    try:
        stop = job_files.read(place / "stop.json", job_files.STOP) or {"asked": None}
        progress = job_files.read(place / "progress.json", job_files.PROGRESS)
        first = job_files.read(place / "first.json", job_files.FIRST)
    except BadFile as error:
        return replace(job, sentence=str(error)), None
    if progress is None:
        return job, stop["asked"]
    if first is None:
        first = {"step": progress["step"], "seconds": progress["seconds"]}
        with suppress(OSError):
            write(place / "first.json", first)
    return replace(job, **progress, first=(first["step"], first["seconds"])), stop["asked"]


def still_running(job: Job, asked: float | None) -> Job:
    if asked is not None and time.time() - asked > GRACE:
        send(job, signal.SIGKILL)
    if asked is not None:
        return replace(job, state="stopping")
    waits = job.ticket and job.ticket in turn.tickets(queue())
    return replace(job, state="waiting" if waits else "running")


def ended(job: Job, asked: float | None, place: Path) -> Job:
    """What became of a job that lives no more."""
    said = ""
    try:
        if result := job_files.read(place / "stdout", job_files.RESULT):
            return replace(job, state="stopped" if result.get("stopped") else "done", result=result)
    except BadFile as error:
        said = str(error)
    if asked is not None:
        return replace(job, state="stopped")
    return replace(job, state="failed", sentence=job.sentence or said or last_sentence(place / "stderr"))


def last_sentence(file: Path) -> str:
    """The last line of what the command said, without its progress bar."""
    with suppress(OSError), file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - TAIL))
        lines = opened.read(TAIL).decode(errors="replace").replace("\r", "\n").split("\n")
        said = [line.strip() for line in lines if line.strip() and "it/s" not in line and "step/s" not in line]
        if said and "|" not in said[-1]:
            return said[-1][:500]
    return "The process ended without a word; perhaps the memory did not suffice, or the computer was shut down."


def alive(job: Job) -> bool:
    """Whether the job's process holds its lock: no later process of the same number does."""
    return turn.is_held(home(job.kind, job.target) / "lock")


def send(job: Job, what: signal.Signals) -> None:
    if job.pid == NOBODY:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(job.pid, what)


def shelf() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vaescope" / "jobs"


def queue() -> Path:
    return shelf() / "queue"


def home(kind: str, target: str) -> Path:
    """The folder of what is known of a job."""
    return shelf() / f"{kind}-{hashlib.sha256(target.encode()).hexdigest()[:20]}"


@contextmanager
def locked() -> Iterator[None]:
    """Hold all other starts off, of other servers too."""
    shelf().mkdir(parents=True, exist_ok=True)
    with (shelf() / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def write(file: Path, held: dict) -> None:
    """Write beside and rename: a reader sees the old file or the new one."""
    beside = file.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
    try:
        beside.write_text(json.dumps(held))
        beside.replace(file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
