"""Jobs from start to end, with commands of the test's own in place of the library's."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from app import jobs

# What a job's command does, as a package `vaecore` of its own: counts to N in portions, and ends well, badly or late.
COMMAND = """
import json, os, signal, sys, time
what, steps = sys.argv[1], int(sys.argv[2])
file = sys.argv[sys.argv.index("--progress") + 1] if "--progress" in sys.argv else os.devnull
stopped = []
signal.signal(signal.SIGTERM, signal.SIG_IGN if what == "deaf" else lambda *_: stopped.append(1))
if what == "bad":
    print("  5%|#     | 1/20 [00:01<00:19,  1.00step/s]", end="\\r", file=sys.stderr)
    sys.exit("analyse: There is no checkpoint folder nowhere.")
for step in range(steps):
    if stopped:
        print(json.dumps({"stopped": True}))
        sys.exit()
    time.sleep(0.02)
    if file == os.devnull:
        continue
    open(file + ".new", "w").write(json.dumps({"step": step + 1, "steps": steps, "seconds": 0.02 * (step + 1)}))
    os.replace(file + ".new", file)
print(json.dumps({"images": steps}))
"""


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., jobs.Job]:
    package = tmp_path / "vaecore"
    package.mkdir()
    (package / "__main__.py").write_text(COMMAND)
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command, **named: popen(command, **{**named, "cwd": tmp_path}))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    started = []

    def begin(what: str = "good", steps: int = 5, target: str = "here") -> jobs.Job:
        started.append(jobs.start("analyse", target, [what, str(steps)]))
        return started[-1]

    yield begin
    for job in started:
        if jobs.alive(job):
            os.killpg(job.pid, signal.SIGKILL)
    for job in started:
        buried(job)


def buried(job: jobs.Job) -> None:
    """Wait until nothing is left of the process, not even a zombie."""
    end = time.monotonic() + 60
    while True:
        try:
            os.kill(job.pid, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < end
        time.sleep(0.02)


def until(wanted: Callable[[jobs.Job], bool], target: str = "here", patience: float = 20) -> jobs.Job:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        job = jobs.find("analyse", target)
        if wanted(job):
            return job
        time.sleep(0.02)
    pytest.fail(f"The job is still {job}")


def test_a_job_runs_shows_its_progress_and_ends(begin: Callable) -> None:
    assert jobs.find("analyse", "here") is None
    begin(steps=100)
    half = until(lambda job: job.step > 3)
    assert half.state == "running"
    assert half.steps == 100
    later = until(lambda job: job.step > half.step)
    assert later.seconds_left == pytest.approx(0.02 * (100 - later.step))
    done = until(lambda job: not job.active)
    assert (done.state, done.result, done.share) == ("done", {"images": 100}, 1.0)


def test_it_runs_apart_from_the_server_and_gives_way_to_it(begin: Callable) -> None:
    job = begin(steps=1000)
    until(lambda job: job.step > 0)
    assert os.getsid(job.pid) == job.pid != os.getsid(0)
    assert os.getpriority(os.PRIO_PROCESS, job.pid) >= jobs.NICE


def test_stop_ends_it(begin: Callable) -> None:
    begin(steps=10_000)
    jobs.stop(until(lambda job: job.step > 2))
    assert until(lambda job: not job.active).state == "stopped"
    jobs.stop(jobs.find("analyse", "here"))  # once more does no harm
    assert begin(steps=2).state == "running"  # and it can be begun again
    assert until(lambda job: not job.active).state == "done"


def test_what_does_not_listen_is_killed(begin: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "GRACE", 0.3)
    begin("deaf", 10_000)
    job = until(lambda job: job.step > 0)
    jobs.stop(job)
    assert jobs.find("analyse", "here").state == "stopping"
    end = time.monotonic() + 20
    while jobs.alive(job):  # nobody asks for the job, and yet it ends
        assert time.monotonic() < end
        time.sleep(0.05)
    assert jobs.find("analyse", "here").state == "stopped"


def test_failure_is_the_commands_sentence(begin: Callable) -> None:
    begin("bad")
    failed = until(lambda job: not job.active)
    assert (failed.state, failed.sentence) == ("failed", "analyse: There is no checkpoint folder nowhere.")


def test_death_without_a_word_is_said(begin: Callable) -> None:
    job = begin(steps=10_000)
    until(lambda job: job.step > 0)
    os.killpg(job.pid, signal.SIGKILL)
    failed = until(lambda job: not job.active)
    assert failed.state == "failed"
    assert "ended without a word" in failed.sentence


def test_another_process_of_the_same_number_is_not_the_job(begin: Callable) -> None:
    job = begin(steps=10_000)
    os.killpg(job.pid, signal.SIGKILL)
    until(lambda job: not job.active)
    file = jobs.home("analyse", "here") / "job.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"pid": os.getpid()}))
    stale = jobs.find("analyse", "here")
    assert stale.state == "failed"
    jobs.stop(stale)  # which must not end this test


def test_a_restarted_server_sees_the_job_and_can_stop_it(begin: Callable) -> None:
    begin(steps=10_000)
    until(lambda job: job.step > 0)
    code = (
        "import sys, time; from app import jobs; [job] = jobs.every(); assert job.state == 'running', job; "
        "jobs.stop(job)\nwhile (job := jobs.every()[0]).active: time.sleep(0.05)\nprint(job.state)"
    )
    surroundings = {**os.environ, "PYTHONPATH": str(Path(jobs.__file__).parents[1])}
    other = subprocess.run([sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=False)
    assert not other.stderr
    assert other.stdout == "stopped\n"
    assert jobs.find("analyse", "here").state == "stopped"


def test_no_more_than_a_few_at_once_and_none_twice(begin: Callable) -> None:
    first = begin(steps=10_000)
    assert begin(steps=10_000).pid == first.pid
    begin(steps=10_000, target="there")
    with pytest.raises(ValueError, match="2 jobs are running already"):
        begin(target="elsewhere")
    assert len(jobs.every()) == 2


def test_what_has_ended_can_be_forgotten(begin: Callable) -> None:
    job = begin(steps=10_000)
    jobs.forget(job)
    assert jobs.find("analyse", "here")
    jobs.stop(job)
    jobs.forget(until(lambda job: not job.active))
    assert jobs.find("analyse", "here") is None


def test_an_ended_job_leaves_no_zombie(begin: Callable) -> None:
    job = begin(steps=1)
    until(lambda job: not job.active)
    buried(job)  # though nobody starts another one


class Full:
    """A disk that is full at its n-th write: whatever makes, fills or renames a file of the cache."""

    def __init__(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache, self.room = cache, 0
        for name in ("mkdir", "open", "write_text", "replace"):
            monkeypatch.setattr(Path, name, self.guarded(getattr(Path, name)))

    def guarded(self, act: Callable) -> Callable:
        def write(path: Path, *given: object, **named: object) -> object:
            writes = act.__name__ != "open" or any(letter in (*given, "r")[0] for letter in "wax")
            if writes and path.is_relative_to(self.cache):
                self.room -= 1
                if self.room == -1:
                    raise OSError(errno.ENOSPC, "No space left on device", str(path))
            return act(path, *given, **named)

        return write


@pytest.mark.parametrize("kind", ["analyse", "train"])
def test_on_a_full_disk_nothing_runs_that_nobody_knows_of(
    kind: str, begin: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children, popen = [], subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *given, **named: children.append(popen(*given, **named)) or children[-1]
    )
    begin(steps=1)
    until(lambda job: not job.active)
    disk, refused = Full(tmp_path / "cache", monkeypatch), 0
    while True:
        disk.room, count = refused, len(children)
        with suppress(OSError):
            job = jobs.start(kind, "full", ["good", "1"])
            break
        refused += 1
        assert all(child.wait(20) for child in children[count:])  # it came to an end, and not to a good one
        assert jobs.find(kind, "full") is None
        assert not jobs.home(kind, "full").exists()
        assert not list(jobs.shelf().glob("queue/ticket-*"))
    assert refused >= 5  # its folder, three files, the record
    assert state("full", "done", kind=kind).pid == job.pid
    buried(job)


def test_a_full_disk_keeps_no_job_from_being_seen_and_stopped(
    begin: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(steps=10_000)
    until(lambda job: (jobs.home("analyse", "here") / "progress.json").exists())
    monkeypatch.setattr(jobs, "write", lambda *given: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    (jobs.home("analyse", "here") / "first.json").unlink(missing_ok=True)
    job = jobs.find("analyse", "here")
    assert job.state == "running"
    jobs.stop(job)
    assert until(lambda job: not job.active).state == "stopped"


GOOD = {"kind": "analyse", "target": "torn", "pid": 4_000_000, "started": 1.0}
RECORDS = {
    "torn": ('{"kind": "analyse"', "does not hold valid JSON"),
    "of no process": (json.dumps(GOOD | {"pid": 0}), "pid: input should be greater than or equal to 2; it is 0"),
    "of a huge number": (json.dumps(GOOD | {"pid": 10**18}), "pid: input should be less than"),
    "without a target": (json.dumps({"kind": "analyse"}), "target: field required"),
    "of another": (json.dumps(GOOD | {"target": "other"}), "is the record of another job"),
    "of bytes": ("\udcff", "does not hold valid JSON"),
}


@pytest.mark.parametrize("case", RECORDS)
def test_a_record_that_is_none_is_a_failed_job_with_a_sentence(begin: Callable, case: str) -> None:
    text, sentence = RECORDS[case]
    place = jobs.home("analyse", "torn")
    place.mkdir(parents=True)
    (place / "job.json").write_bytes(text.encode(errors="surrogateescape"))
    job = jobs.find("analyse", "torn")
    assert job.state == "failed"
    assert "job.json" in job.sentence
    assert sentence in job.sentence
    assert jobs.every() == []
    jobs.stop(job)
    assert begin(target="torn").active


@pytest.mark.parametrize("name", ["progress.json", "first.json", "stop.json", "stdout"])
@pytest.mark.parametrize("text", ["[]", '{"step": 1e999}', '{"step": "x", "asked": "x", "stopped": 3}', "[" * 100_000])
def test_an_odd_file_of_a_job_is_a_sentence(begin: Callable, name: str, text: str) -> None:
    place = jobs.home("analyse", "torn")
    place.mkdir(parents=True)
    (place / "job.json").write_text(json.dumps(GOOD))
    (place / name).write_text(text)
    job = jobs.find("analyse", "torn")
    assert job.state == "failed"
    assert name in job.sentence


@pytest.fixture
def queued(begin: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable[..., jobs.Job]:  # noqa: ARG001
    """Starts trainings; those left over end with the test."""
    made = []

    def queued(target: str, steps: int = 10_000) -> jobs.Job:
        made.append(jobs.start("train", target, ["good", str(steps)]))
        return made[-1]

    yield queued
    for job in made:
        if jobs.alive(job):
            os.killpg(job.pid, signal.SIGKILL)


def state(target: str, *wanted: str, kind: str = "train") -> jobs.Job:
    end = time.monotonic() + 120
    while (job := jobs.find(kind, target)).state not in wanted:
        assert time.monotonic() < end, job
        time.sleep(0.05)
    return job


def test_trainings_wait_for_their_turn_in_order(queued: Callable) -> None:
    for target in ("one", "two", "three"):
        queued(target)
        state(target, "running" if target == "one" else "waiting")
    assert [jobs.ahead(jobs.find("train", target)) for target in ("two", "three")] == [0, 1]
    assert queued("three").pid == jobs.find("train", "three").pid
    jobs.stop(jobs.find("train", "one"))
    state("one", "stopped")
    state("two", "running")
    state("three", "waiting")
    jobs.stop(jobs.find("train", "three"))  # it never began, and leaves the queue
    state("three", "stopped")
    os.killpg(jobs.find("train", "two").pid, signal.SIGKILL)
    queued("four", 2)
    state("four", "done")  # a place whose holder was killed is free


def test_more_may_work_at_once(queued: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAESCOPE_RUNS_AT_ONCE", "2")
    for target in ("one", "two", "three"):
        queued(target)
    state("one", "running")
    state("two", "running")
    state("three", "waiting")
    begun = jobs.start("analyse", "here", ["good", "2"])  # an analysis does not wait for trainings
    assert until(lambda job: not job.active).pid == begun.pid


def test_the_queue_goes_on_without_the_server(queued: Callable) -> None:
    queued("one")
    queued("two", 2)
    state("two", "waiting")
    code = "from app import jobs; print([jobs.find('train', name).state for name in ('one', 'two')])"
    surroundings = {**os.environ, "PYTHONPATH": str(Path(jobs.__file__).parents[1])}
    seen = subprocess.run([sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=True)
    assert seen.stdout == "['running', 'waiting']\n"
    os.killpg(jobs.find("train", "one").pid, signal.SIGKILL)
    assert state("two", "done").result == {"images": 2}
