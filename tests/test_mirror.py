"""Checkpoints at a URL: copied once, again when they change, and what cannot be read is said."""

import re
import time
from pathlib import Path

import fsspec
import pytest
import torch
from pages import set_apart, visited

from app import session
from vaecore import checkpoints, mirror, snapshots
from vaecore.mirror import Mirror, places


@pytest.fixture
def far(checkpoint: Path, request: pytest.FixtureRequest) -> str:
    """A place in memory with one checkpoint and much that is none."""
    url, system = f"memory://{request.node.name}", fsspec.filesystem("memory")
    for file in checkpoint.iterdir():
        system.pipe_file(f"/{request.node.name}/one/{file.name}", file.read_bytes())
    for path in ("one/evil.pkl", "one/deep/config.json", ".hidden/config.json", "notes.txt", "x.partial/config.json"):
        system.pipe_file(f"/{request.node.name}/{path}", b"{}")
    return url


def settled(held: Mirror) -> str:
    problem = held.refresh()
    held.thread.join(20)
    return problem


def test_it_is_copied_once_and_again_when_it_changes(
    far: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "REFRESH", 0.0)
    fetched, fetch = [], mirror.fetch
    monkeypatch.setattr(mirror, "fetch", lambda *given: (fetched.append(given[1]), fetch(*given)))
    held, system = Mirror(far), fsspec.filesystem("memory")
    assert settled(held) == ""
    assert [folder.name for folder in checkpoints.find(held.folder)] == ["one"]
    assert {file.name for file in (held.folder / "one").iterdir()} == {file.name for file in checkpoint.iterdir()}
    assert checkpoints.digest(held.folder / "one") == checkpoints.digest(checkpoint)
    count = len(fetched)
    settled(held)
    assert len(fetched) == count
    path = far.removeprefix("memory:/") + "/one/metrics.json"
    system.pipe_file(path, b'{"evaluation": {"ELBO": -7.0}}')
    settled(held)
    assert checkpoints.read_metrics(held.folder / "one") == {"evaluation": {"ELBO": -7.0}}
    system.rm(path.removesuffix("/one/metrics.json"), recursive=True)
    system.mkdir(path.removesuffix("/one/metrics.json"))
    settled(held)
    assert checkpoints.find(held.folder) == []


def test_pictures_of_epochs_and_maps_come_along(far: str, checkpoint: Path) -> None:
    system, root = fsspec.filesystem("memory"), far.removeprefix("memory:/")
    for path in (
        "snapshots/00001.safetensors",
        "embeddings/umap-test-2000-0.safetensors",
        "snapshots/../x.safetensors",
    ):
        system.pipe_file(f"{root}/one/{path}", (checkpoint / "model.safetensors").read_bytes())
    for path in (
        "snapshots/1.pkl",
        "snapshots/deep/00002.safetensors",
        "embeddings/.x.safetensors",
        "other/1.safetensors",
    ):
        system.pipe_file(f"{root}/one/{path}", b"{}")
    held = Mirror(far)
    assert settled(held) == ""
    inside = {str(file.relative_to(held.folder / "one")) for file in (held.folder / "one").glob("*/*")}
    assert inside == {"snapshots/00001.safetensors", "embeddings/umap-test-2000-0.safetensors"}
    assert list(snapshots.epochs_in(held.folder / "one")) == [1]


def test_nothing_is_written_into_a_copy_by_root_either(far: str) -> None:
    held = Mirror(far)
    settled(held)
    before = sorted(held.folder.rglob("*"))
    file = checkpoints.write_analysis(held.folder / "one", {"codes": torch.zeros(3)})
    assert not file.is_relative_to(held.folder)
    assert sorted(held.folder.rglob("*")) == before
    assert set(checkpoints.read_analysis(held.folder / "one")) == {"codes"}


def test_runs_at_a_url_are_refused_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_apart(tmp_path, tmp_path / "none", monkeypatch)
    monkeypatch.setenv("VAESCOPE_RUNS", "s3://user:secret@bucket/runs")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="VAESCOPE_RUNS is a URL .* need a folder"):
        session.runs_folder()
    assert "need a folder" in session.checkpoints()["VAESCOPE_RUNS"].problem
    app = visited("views/train.py", {})
    assert not app.exception
    assert any("need a folder on a disk" in error.value for error in app.error)
    assert not any("secret" in error.value for error in app.error)
    assert not any("s3" in file.name for file in tmp_path.iterdir())


def test_what_is_too_large_is_not_copied(far: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "LARGEST_TENSORS", 1000)
    held = Mirror(far)
    settled(held)
    assert "has more than 1,000 bytes" in held.refresh()
    assert list(held.folder.iterdir()) == []


@pytest.mark.parametrize(("url", "sentence"), [("s3://bucket/x", "not installed.*s3fs"), ("nonsense://x", "nonsense")])
def test_a_protocol_that_is_not_here_is_said(url: str, sentence: str) -> None:
    held = Mirror(url)
    settled(held)
    assert re.search(sentence, held.refresh())


def test_a_place_that_does_not_answer_holds_nobody_up(far: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "copy", lambda *given: time.sleep(2))
    monkeypatch.setattr(mirror, "FIRST", 0.1)
    monkeypatch.setattr(mirror, "PATIENCE", 0.2)
    held, begun = Mirror(far), time.monotonic()
    assert held.refresh() == ""
    time.sleep(0.2)
    assert "has not answered" in held.refresh()
    assert time.monotonic() - begun < 1.5


def test_it_is_in_the_app_beside_folders(far: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_apart(tmp_path / "root", tmp_path / "none", monkeypatch)
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", f"{tmp_path}:{far}:s3://user:secret@bucket/x")
    found = session.checkpoints()
    assert not found["one"].problem
    assert "s3fs" in next(entry.problem for name, entry in found.items() if name.startswith("s3://"))
    assert not any("secret" in name + entry.problem for name, entry in found.items())


def test_a_list_may_hold_urls() -> None:
    assert places("/a:s3://b/c:memory://d:http://e:8080/f:g:") == [
        "/a",
        "s3://b/c",
        "memory://d",
        "http://e:8080/f",
        "g",
    ]
    assert places("file:///x:/y") == ["file:///x", "/y"]
