"""What one visitor's ONNX pair costs is bounded and stops nobody else."""

import threading
from collections.abc import Iterator
from pathlib import Path

import graphs
import numpy as np
import pytest
import torch

from app import learned_later, visits
from vaecore import imports
from vaecore.onnx.request import Request
from vaecore.onnx.runner import Runner
from vaecore.safefiles import BadFile

ROWS = np.ones((256, 2), np.float32)


class Gone(BaseException):
    """As Streamlit's, with which a script ends."""


@pytest.fixture
def slow() -> Iterator[Runner]:
    """A pair whose decoder works for minutes, and says so when it has begun."""
    made = Runner(graphs.small_pair()[0], graphs.endless())
    yield made
    made.close()


def test_all_calls_of_a_request_share_its_seconds() -> None:
    run, asked = Runner(*graphs.small_pair()), Request(60.0)
    run.request = lambda: asked
    run(1, ROWS[:1])
    assert 0 < asked.spent < 60
    asked.spent = 60.0
    with pytest.raises(BadFile, match="60 s"):
        run(1, ROWS[:1])


def test_a_request_that_nobody_waits_for_is_cancelled_and_its_process_killed(slow: Runner) -> None:
    looks = []

    def wanted() -> None:
        looks.append(slow.child)
        if len(looks) > 3 and slow.child:
            raise Gone

    slow.request = lambda: Request(600.0, wanted)
    with pytest.raises(Gone):
        slow(1, ROWS)
    assert slow.child is None
    assert looks[-1].poll() is not None
    assert not slow.lock.locked()


def test_the_process_ends_in_the_midst_of_its_work_when_its_owner_is_gone(slow: Runner) -> None:
    def killed() -> None:
        if slow.child:
            slow.child.stdin.close()  # as the system does for an owner that was killed
            raise Gone

    slow.request = lambda: Request(600.0, killed)
    kept = []
    slow.close = lambda: kept.append(slow.child)
    with pytest.raises(Gone):
        slow(1, ROWS)
    assert kept[0].wait(timeout=60) == 0
    del slow.close


def test_who_waits_for_a_pair_that_others_keep_busy_is_told_so() -> None:
    run = Runner(*graphs.small_pair())
    run.request = lambda: Request(0.3)
    with run.lock, pytest.raises(BadFile, match="kept the ONNX pair waiting"):
        run(1, ROWS[:1])


def test_while_a_strangers_process_works_the_turn_is_free_and_random_numbers_go_on(slow: Runner) -> None:
    begun, other = threading.Event(), threading.Event()

    def wanted() -> None:
        begun.set()
        if other.is_set():
            raise Gone

    def attack() -> None:
        slow.request = lambda: Request(600.0, wanted, visits.turn.aside)
        with visits.turn, visits.turn, torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            with pytest.raises(Gone):
                slow(1, ROWS)
            drawn.append(torch.rand(4))

    drawn, thread = [], threading.Thread(target=attack)
    thread.start()
    assert begun.wait(60)
    with visits.turn:  # waits for ever where the attack keeps it
        torch.manual_seed(7)
        torch.rand(5)
        other.set()
    thread.join(60)
    torch.manual_seed(3)
    assert torch.equal(drawn[0], torch.rand(4))


def test_a_visitors_allowance_is_spent_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(visits, "monotonic", lambda: clock[0])
    own = visits.Allowance()
    own.spent = 45.0
    clock[0] += 10
    asked = own.request(lambda: None)
    assert (asked.seconds, asked.spent) == (visits.SECONDS, 35.0)
    clock[0] += 100
    assert own.request(lambda: None).spent == 0


def test_cost_that_grows_with_the_batch_is_found_as_it_is_brought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trial of three rows takes no time."""
    from vaecore.imports import graphs as brought

    monkeypatch.setattr(brought, "TRIAL", 3.0)
    with pytest.raises(BadFile, match="longer than 3 s"):
        imports.from_onnx(graphs.small_pair()[0], graphs.growing(), tmp_path, likelihood="bernoulli", output="logits")
    assert not list(tmp_path.iterdir())


def test_background_work_of_one_visitor_leaves_a_seat_for_another_and_ends_when_it_is_left() -> None:
    stuck, free = threading.Event(), threading.Event()

    def wait(report: object) -> None:
        while not free.wait(0.05):
            report(0.5)
            stuck.set()

    works = [learned_later.Work() for _ in range(4)]
    threads = [
        threading.Thread(target=learned_later.run, args=(work, wait, f"first-{works[0].seen}")) for work in works[:3]
    ]
    for thread in threads:
        thread.start()
    assert stuck.wait(60)
    learned_later.run(works[3], lambda report: "done", f"second-{works[0].seen}")
    assert works[3].value == "done"
    for work in works[:3]:
        work.seen -= 2 * learned_later.LEFT
    for thread in threads:
        thread.join(60)
    assert all(isinstance(work.error, learned_later.Left) for work in works[:3])
