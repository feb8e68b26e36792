"""Whose runs, jobs and brought checkpoints are: strangers see and download, only the browser that made them changes."""

import io
import os
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
import torch
from pages import set_apart, visited
from streamlit.testing.v1 import AppTest

import vaecore
from app import bounds, jobs, owners, serving, session, shelf, training
from vaecore import runs
from vaecore.resuming import Run, finish
from vaecore.shelf import pack

ASKED = {"recipe": "vae", "dataset": "digits", "latent_dim": 2, "epochs": 3, "batch_size": 128, "seed": 0}
ASKED |= {"learning_rate": None, "start": None, "options": {"net": "small"}}


class Visitor:
    """Who is at the app; `is_now` lets another browser come."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch

    def is_now(self, name: str) -> None:
        self.patch.setattr(owners, "number", lambda: name)


@pytest.fixture
def visitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visitor]:
    """The app open to strangers, with folders of its own, no process begun, and Ann at it."""
    (tmp_path / "shelf").mkdir()
    set_apart(tmp_path, tmp_path / "shelf", monkeypatch)
    monkeypatch.setenv("VAESCOPE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("VAESCOPE_PUBLIC", "1")
    monkeypatch.setattr(training, "estimate", lambda asked: 1.0)
    monkeypatch.setattr(jobs, "NICE", 0)
    # What runs is a sleep: it lives until it is stopped.
    shell = tmp_path / "sleeper"
    shell.write_text("#!/bin/sh\nexec sleep 600\n")
    shell.chmod(0o755)
    monkeypatch.setattr(jobs.sys, "executable", str(shell))
    monkeypatch.setattr(owners, "cookie", lambda: "")
    found = Visitor(monkeypatch)
    found.is_now("ann")
    yield found
    for job in jobs.every():
        if jobs.alive(job):
            os.killpg(job.pid, signal.SIGKILL)


def begun(name: str) -> Path:
    return training.begin(name, ASKED)


DEEDS = {
    "pause": training.end,
    "keep": training.keep,
    "resume": training.resume,
    "delete": training.delete,
    "rename": lambda folder: training.rename(folder, "mine"),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_a_stranger_does_not_touch_a_run(visitor: Visitor, deed: str) -> None:
    folder = begun("anns")
    visitor.is_now("bob")
    with pytest.raises(ValueError, match="anns belongs to the visitor whose browser made it"):
        DEEDS[deed](folder)
    assert jobs.training_of(folder).state in ("waiting", "running")
    assert not (runs.partial_of(folder) / runs.STOP).exists()
    visitor.is_now("ann")
    training.end(folder)
    assert jobs.training_of(folder).state in ("stopping", "stopped")


def test_a_run_of_the_command_line_is_nobodys_from_outside(
    visitor: Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs" / "shells"
    runs.ask(folder, ASKED)
    with pytest.raises(ValueError, match="belongs to"):
        training.delete(folder)
    monkeypatch.delenv("VAESCOPE_PUBLIC")
    training.delete(folder)
    assert not runs.partial_of(folder).exists()


def test_the_page_shows_a_strangers_run_without_its_buttons(visitor: Visitor) -> None:
    folder = begun("anns")
    own = visited("views/train.py", {"run": "anns"})
    visitor.is_now("bob")
    other = visited("views/train.py", {"run": "anns"})
    keys = [{button.key for button in app.button} for app in (own, other)]
    assert not own.exception
    assert not other.exception
    assert "train_pause" in keys[0]
    assert "train_pause" not in keys[1]
    assert any("belongs to the visitor" in caption.value for caption in other.caption)
    assert any(folder.name in title.value for title in other.subheader)


def test_a_strangers_job_is_seen_and_not_stopped(visitor: Visitor) -> None:
    job = jobs.start("analyse", "here", [], owners.me())
    assert owners.owns(job.owner)

    def page() -> None:
        from app import watching

        watching.follow("analyse", "here", "Working")

    visitor.is_now("bob")
    app = AppTest.from_function(page).run()
    assert not app.exception
    assert next(button for button in app.button if button.key == "stop-analyse").disabled
    from app import watching

    watching.stop(job)
    assert jobs.find("analyse", "here").state == "running"
    visitor.is_now("ann")
    watching.stop(job)
    assert jobs.find("analyse", "here").state in ("stopping", "stopped")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    torch.manual_seed(0)
    vae = vaecore.build("vae", (1, 8, 8), 2, net="small")
    return pack(vaecore.save(vae, tmp_path_factory.mktemp("made") / "vae", dataset="digits"))


def test_what_was_brought_is_its_bringers(visitor: Visitor, packed: bytes) -> None:
    name = shelf.take_zip(packed, "anns", None)
    entry = session.checkpoints()[name]
    visitor.is_now("bob")
    for deed in (lambda: shelf.remove(entry), lambda: shelf.rename(entry, "bobs")):
        with pytest.raises(ValueError, match="belongs to the visitor"):
            deed()
    app = visited("views/checkpoints.py", {"checkpoint": name})
    assert not {"shelf_delete", "shelf_rename"} & {button.key for button in app.button}
    with zipfile.ZipFile(io.BytesIO(shelf.pack(entry)())) as archive:
        assert f"{name}/config.json" in archive.namelist()
        assert not any("owner" in member for member in archive.namelist())
    visitor.is_now("ann")
    assert shelf.rename(entry, "still-anns") == "still-anns"
    entry = session.checkpoints()["still-anns"]
    app = visited("views/checkpoints.py", {"checkpoint": "still-anns"})
    assert {"shelf_delete", "shelf_rename"} <= {button.key for button in app.button}
    shelf.remove(entry)


def test_what_one_visitor_brings_is_bounded(visitor: Visitor, packed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(bounds.BROUGHT_EACH, str(-(-int(1.5 * len(packed)) // 10**6)))
    while (used := sum(len(packed) for _ in shelf.root().glob("[!.]*"))) + len(packed) <= bounds.brought_each():
        shelf.take_zip(packed, f"one-{used}", None)
    before = sorted(shelf.root().glob("*"))
    with pytest.raises(ValueError, match="What one visitor brings may take .* MB"):
        shelf.take_zip(packed, "more", None)
    assert sorted(shelf.root().glob("*")) == before
    visitor.is_now("bob")
    assert shelf.take_zip(packed, "bobs", None) == "bobs"


def test_trainings_are_bounded_for_each_and_in_all(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(bounds.RUNS, "3")
    begun("a1")
    begun("a2")
    with pytest.raises(ValueError, match="2 trainings of yours run or wait already; one visitor may have 2"):
        begun("a3")
    assert not runs.partial_of(session.runs_folder() / "a3").exists()
    visitor.is_now("bob")
    begun("b1")
    with pytest.raises(ValueError, match="3 trainings run or wait already, as many as may"):
        begun("b2")
    assert sum(job.active for job in jobs.every()) == 3


def test_other_jobs_are_bounded_for_each(visitor: Visitor) -> None:
    jobs.start("analyse", "one", [], owners.me())
    with pytest.raises(ValueError, match="You have 1 running already"):
        jobs.start("health", "two", [], owners.me())
    visitor.is_now("bob")
    jobs.start("health", "two", [], owners.me())


def test_a_checkpoint_keeps_the_owner_of_its_run(visitor: Visitor, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "anns"
    runs.ask(folder, ASKED)
    owners.sign(runs.partial_of(folder))
    torch.manual_seed(0)
    vae = vaecore.build("vae", (1, 8, 8), 2, net="small")
    finish(folder, vae, Run(1, 1, {}, [{"seconds": 1.0}]), {"dataset": "digits", "config": {}})
    assert folder.is_dir()
    assert owners.owner_of(folder) == owners.me() != ""


# ---- the cookie


def test_a_cookie_is_taken_only_with_our_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(owners.SECRET, raising=False)
    cookie = f"ann.{owners.signature_of('ann')}"
    assert owners.signed(cookie) == "ann"
    for forged in ("", ".", "ann", "ann.", f"bob.{owners.signature_of('ann')}", "ann.é", cookie[:-1]):
        assert owners.signed(forged) == ""
    file = jobs.shelf().parent / "secret"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_bytes()) == 64
    monkeypatch.setenv(owners.SECRET, "shared by replicas")
    assert owners.signed(cookie) == ""


@pytest.mark.parametrize(
    ("address", "public"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("10.0.0.5", True), (None, True)],
)
def test_an_address_that_others_reach_is_public(
    address: str | None, public: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VAESCOPE_PUBLIC", raising=False)
    monkeypatch.setattr(st, "get_option", lambda name: address)
    assert owners.public() is public
    monkeypatch.setenv("VAESCOPE_PUBLIC", "1")
    assert owners.public()


def test_here_alone_everyone_owns_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAESCOPE_PUBLIC", raising=False)
    assert owners.owns("")
    assert owners.owns("somebody's")
    assert owners.me() == ""


def test_the_log_says_what_is_open_to_whom(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delenv("VAESCOPE_PUBLIC", raising=False)
    monkeypatch.setenv(bounds.RUNS, "7")
    for address, count in (("127.0.0.1", 0), ("0.0.0.0", 1)):
        monkeypatch.setattr(st, "get_option", lambda name, address=address: {"server.address": address}.get(name, 8501))
        serving.announce.clear()
        serving.announce()
        serving.announce()  # not a second time
        assert len(caplog.records) == count
    text = caplog.records[0].getMessage()
    for part in ("at 0.0.0.0, port 8501", "2 for each visitor, 7 in all", "512 MB each", "nobody changes from outside"):
        assert part in text
    serving.announce.clear()


def test_every_setting_stands_in_the_page_on_serving() -> None:
    text = (Path(__file__).parents[1] / "docs" / "serving.md").read_text()
    names = [bounds.RUNS, bounds.RUNS_EACH, bounds.JOBS_EACH, bounds.BROUGHT_EACH, owners.PUBLIC, owners.SECRET]
    assert all(f"`{name}" in text for name in names)
    assert all(f"| `{name}` | {usual} |" in text for name, usual in bounds.USUAL.items())
