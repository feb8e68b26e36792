"""Folders read as wholes while others replace them, swapped at one moment, and swept when their maker was killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
import torch

import vaecore
from app import session
from app import shelf as app_shelf
from bench import folder_swaps
from vaecore import checkpoints, embedding, folders, health, hidden, mirror, safefiles, shelf
from vaecore.imports import keeping

ROOT = Path(__file__).parents[1]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two checkpoints whose weights have the same shapes."""
    return folder_swaps.make(tmp_path / "one", 0), folder_swaps.make(tmp_path / "two", 1)


@pytest.fixture
def swapped_while_read(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list]:
    """The first folder; the second takes its place, and the first is removed, as soon as its config.json is opened."""
    one, two = pair
    monkeypatch.setattr(folder_swaps, "DIGESTS", list(map(checkpoints.digest, pair)))
    swaps, open_part = [], folders.open_part

    def swap(stack: object, name: str, *given: object) -> int | None:
        handle = open_part(stack, name, *given)
        if not swaps:
            swaps.append(1)
            one.rename(one.with_name("away"))
            two.rename(one)
            shutil.rmtree(one.with_name("away"))
        return handle

    monkeypatch.setattr(folders, "open_part", swap)
    return one, swaps


READERS: dict[str, Callable[[Path], object]] = {
    "load": lambda folder: folder_swaps.number_of(vaecore.load(folder)),
    "what it says": lambda folder: checkpoints.read(folder).metrics["number"],
    "all": lambda folder: folder_swaps.look(folder),
    "analysis": lambda folder: checkpoints.read_analysis(folder)["number"].item(),
    "card": lambda folder: "data1" in checkpoints.card(folder),
    "zip": lambda folder: b'"number": 1' in shelf.pack(folder) and b"data1" in shelf.pack(folder),
}


@pytest.mark.parametrize("reader", list(READERS))
def test_a_folder_replaced_while_it_is_read_is_read_anew(swapped_while_read: tuple, reader: str) -> None:
    folder, swaps = swapped_while_read
    assert READERS[reader](folder) in (1, "whole")
    assert swaps


def test_loads_during_swaps_are_never_mixed() -> None:
    for how in ("exchange", "rename"):
        found = folder_swaps.measure(60, how)
        assert (found["mixed"], found["errors"]) == (0, 0), found


def test_a_file_written_over_while_it_is_read_is_read_anew(pair: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = pair
    content, times = folders.content, []

    def late(handle: int, file: Path) -> bytes:
        found = content(handle, file)
        if not times:
            times.append(1)
            for name in ("config.json", "model.safetensors"):
                shutil.copyfile(two / name, one / name)
        return found

    monkeypatch.setattr(folders, "content", late)
    assert folder_swaps.number_of(vaecore.load(one)) == 1
    assert checkpoints.digest(one) == checkpoints.digest(two)


def test_a_folder_that_never_rests_is_said_to(pair: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "CHANGING", 0.0)
    monkeypatch.setattr(folders, "attempt", lambda *given: True)
    with pytest.raises(ValueError, match="replaced again and again"):
        vaecore.load(pair[0])


def test_a_pipe_or_a_folder_in_a_files_place_is_no_file(pair: tuple) -> None:
    for folder, spoil in zip(pair, (os.mkfifo, os.mkdir), strict=True):
        (folder / "model.safetensors").unlink()
        spoil(folder / "model.safetensors")
        with pytest.raises(ValueError, match=r"model\.safetensors is missing"):
            vaecore.load(folder)


def test_results_stay_with_the_weights_they_were_computed_from(pair: tuple) -> None:
    one, two = pair
    key, other = checkpoints.digest(one), checkpoints.digest(two)
    shutil.rmtree(one)
    two.rename(one)  # while something was computed from the first
    kept = checkpoints.write_analysis(one, {"codes": torch.zeros(2)}, digest=key)
    assert not kept.is_relative_to(one)
    assert checkpoints.read_analysis(one)["number"] == 1
    assert set(checkpoints.read_analysis(one, digest=key)) == {"codes"}
    assert checkpoints.read_analysis(one, digest=other)["number"] == 1
    assert not health.keep(one, {"seed": 0}, key=key).is_relative_to(one)
    for act in (
        lambda: checkpoints.add_metrics(one, key, evaluation={}),
        lambda: vaecore.load(one, digest=key),
        lambda: checkpoints.count_weights(one, digest=key),
    ):
        with pytest.raises(checkpoints.Replaced, match="was replaced meanwhile"):
            act()
    assert "evaluation" not in checkpoints.read_metrics(one)
    settings = embedding.Settings("tsne")
    assert embedding.kept(one, settings, torch.arange(2), digest=key) is None


def test_what_a_page_holds_of_a_replaced_checkpoint_is_refused(pair: tuple) -> None:
    one, two = pair
    entry = session.read_checkpoint(str(one), session.folder_stamp(one))
    hidden.exchange(one, two)
    with pytest.raises(session.Replaced):
        session.model(entry.digest, one)
    with pytest.raises(session.Replaced):
        app_shelf.weights(entry.digest, one)
    assert "number" not in session.analysis(entry.digest, one)
    again = session.read_checkpoint(str(one), session.folder_stamp(one))
    assert again.digest == checkpoints.digest(one) != entry.digest
    assert session.folder_stamp(one.with_name("gone")) == ()


@pytest.mark.parametrize("at_once", [True, False])
def test_a_folder_takes_anothers_place(pair: tuple, at_once: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without a system that swaps two names."""
    one, two = pair
    wanted = checkpoints.digest(two)
    if not at_once:
        monkeypatch.setattr(hidden, "exchange", lambda *given: False)
    with hidden.beside(one) as made:
        shutil.copytree(two, made, dirs_exist_ok=True)
        made.chmod(0o555)
        hidden.put(made, one)
    assert checkpoints.digest(one) == wanted
    assert sorted(folder.name for folder in one.parent.iterdir()) == ["one", "two"]


def test_a_mirror_never_lacks_what_it_copies_again(
    pair: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, seen = fsspec.filesystem("memory"), []

    def upload(folder: Path) -> None:
        for name in ("config.json", "model.safetensors", "metrics.json"):
            system.pipe_file(f"/whole/here/{name}", (folder / name).read_bytes())

    copy = tmp_path / "copy"
    copy.mkdir()
    upload(pair[0])
    mirror.copy("memory://whole", copy)
    exchange = hidden.exchange
    monkeypatch.setattr(hidden, "exchange", lambda *names: seen.append((copy / "here").is_dir()) or exchange(*names))
    upload(pair[1])
    mirror.copy("memory://whole", copy)
    assert seen == [True]
    assert checkpoints.digest(copy / "here") == checkpoints.digest(pair[1])
    with mirror.alone(copy) as first, mirror.alone(copy) as second:
        assert (first, second) == (True, False)


SAVING = """
import sys, time
import vaecore
from vaecore import checkpoints
def slowly(*given):
    print("now", flush=True)
    time.sleep(600)
checkpoints.write_metrics = slowly
vaecore.save(vaecore.build("vae", (1, 8, 8), 2, net="small"), sys.argv[1])
"""


def aged(*files: Path) -> None:
    for file in files:
        os.utime(file, (time.time() - 7200,) * 2)


def test_what_a_killed_save_left_counts_nowhere_and_is_swept(checkpoint: Path) -> None:
    root = checkpoint.parent
    before = checkpoints.find(root), keeping.weight(checkpoint), shelf.size(checkpoint), shelf.pack(checkpoint)
    saving = subprocess.Popen([sys.executable, "-c", SAVING, str(root / "new")], stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert saving.stdout.readline() == b"now\n"
        [left] = root.glob(".new.*")
        aged(left, *left.iterdir())
        shelf.sweep(root)
        assert left.is_dir()  # it is being written
    finally:
        saving.send_signal(signal.SIGKILL)
        saving.communicate()
    torn = checkpoint / ".model.safetensors.abcd1234"
    torn.write_bytes(b"x" * 1000)
    keeping.must_have_room(root, 0, keeping.weight(checkpoint))  # exactly what is there
    assert before == (
        checkpoints.find(root),
        keeping.weight(checkpoint),
        shelf.size(checkpoint),
        shelf.pack(checkpoint),
    )
    other = root / ".git.settings"
    (other / "hooks").mkdir(parents=True)
    aged(other, other / "hooks", torn)
    vaecore.save(vaecore.load(checkpoint), root / "later")
    assert sorted(folder.name for folder in root.iterdir()) == [".git.settings", checkpoint.name, "later"]
    safefiles.sweep(checkpoint / "model.safetensors")
    assert not torn.exists()
    assert json.loads((root / "later" / "metrics.json").read_text()) == {}
