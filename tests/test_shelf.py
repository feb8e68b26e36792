"""Checkpoints are packed, renamed and removed whole, and nothing else is."""

import io
import zipfile
from pathlib import Path

import pytest

from vaecore import shelf


def test_a_zip_holds_the_folders_files_and_no_others(checkpoint: Path) -> None:
    (checkpoint / "lock").write_text("")
    (checkpoint / "samples.png").symlink_to("/etc/passwd")
    packed = shelf.pack(checkpoint)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == [
            f"checkpoint/{name}" for name in ("config.json", "README.md", "metrics.json", "model.safetensors")
        ]
        assert archive.read("checkpoint/model.safetensors") == (checkpoint / "model.safetensors").read_bytes()
    assert packed == shelf.pack(checkpoint)


def test_a_rename_moves_the_whole_folder(checkpoint: Path) -> None:
    found = shelf.rename(checkpoint, "other-name")
    assert found == checkpoint.with_name("other-name")
    assert not checkpoint.exists()
    assert (found / "model.safetensors").is_file()
    assert shelf.rename(found, "other-name") == found


@pytest.mark.parametrize(
    "name", ["", ".hidden", "../x", "a/b", "a\\b", "a b", "a\0", "x" * 65, "run.partial", "é", "-x", "a."]
)
def test_names_that_lead_elsewhere_are_refused(checkpoint: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be called"):
        shelf.rename(checkpoint, name)
    assert [file.name for file in checkpoint.parent.iterdir()] == ["checkpoint"]


def test_a_name_that_is_taken_is_refused(checkpoint: Path) -> None:
    (checkpoint.parent / "taken").mkdir()
    (checkpoint.parent / "begun.partial").mkdir()
    for name in ("taken", "begun"):
        with pytest.raises(ValueError, match="already"):
            shelf.rename(checkpoint, name)
    assert shelf.free_name(checkpoint.parent, "Taken") == "Taken-2"
    assert len(shelf.free_name(checkpoint.parent, "x" * 64)) == 64


def test_removed_is_gone_and_only_checkpoints_can_be(checkpoint: Path) -> None:
    assert shelf.size(checkpoint) > 1000
    shelf.remove(checkpoint)
    assert list(checkpoint.parent.iterdir()) == []
    (checkpoint.parent / "notes").mkdir()
    with pytest.raises(ValueError, match="no checkpoint folder"):
        shelf.remove(checkpoint.parent / "notes")


def test_a_link_to_a_checkpoint_is_not_followed(checkpoint: Path) -> None:
    link = checkpoint.parent / "link"
    link.symlink_to(checkpoint)
    for act in (shelf.remove, shelf.pack, lambda folder: shelf.rename(folder, "new")):
        with pytest.raises(ValueError, match="no checkpoint folder"):
            act(link)
    assert checkpoint.is_dir()
