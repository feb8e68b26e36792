"""A checkpoint is read back as it was written, and whatever is wrong with one has its own sentence."""

import json
import os
import re
import struct
from pathlib import Path

import pytest
import torch
from models import VARIANTS, perturbed
from safetensors.torch import load_file, save_file

import vaecore
from vaecore import checkpoints, safefiles


@pytest.mark.parametrize(("name", "net", "likelihood"), VARIANTS)
def test_saved_and_loaded_a_vae_says_the_same(tmp_path: Path, name: str, net: str, likelihood: str) -> None:
    vae, x = perturbed(name, net, likelihood), torch.rand(4, 1, 8, 8)
    loaded = vaecore.load(vaecore.save(vae, tmp_path / "a"))
    assert loaded.config == vae.config
    z = torch.randn(4, 2)
    assert torch.equal(loaded.log_joint(x, z), vae.log_joint(x, z))
    assert torch.equal(loaded.posterior(x).mean, vae.posterior(x).mean)
    assert not loaded.training


def test_the_folder_is_the_hubs_and_holds_nothing_executable(checkpoint: Path) -> None:
    files = {file.name for file in checkpoint.iterdir()}
    assert files == {"config.json", "model.safetensors", "metrics.json", "README.md"}
    assert (checkpoint / "README.md").read_text().startswith("---\nlibrary_name: vaescope\n")


def test_nothing_is_overwritten_and_a_failed_save_leaves_nothing(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="exists already"):
        vaecore.save(vaecore.load(checkpoint), checkpoint)

    def full(*arguments: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoints, "model_card", full)
    with pytest.raises(OSError, match="No space"):
        vaecore.save(vaecore.load(checkpoint), checkpoint.parent / "other")
    assert [file.name for file in checkpoint.parent.iterdir()] == [checkpoint.name]


def test_a_vae_that_no_recipe_made_cannot_be_saved(tmp_path: Path) -> None:
    vae = perturbed("vae", "small", "gaussian")
    with pytest.raises(ValueError, match="vaecore.build"):
        vaecore.save(vaecore.VAE(vae.prior, vae.encoder, vae.decoder), tmp_path / "a")


def change(folder: Path, **entries: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | entries))


def weights(folder: Path, **entries: torch.Tensor | None) -> None:
    tensors = load_file(folder / "model.safetensors") | entries
    save_file({k: v for k, v in tensors.items() if v is not None}, folder / "model.safetensors")


def text(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)


def cut(folder: Path, size: int) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:size])


def raw(folder: Path, header: bytes, length: int | None = None) -> None:
    content = struct.pack("<Q", len(header) if length is None else length) + header
    (folder / "model.safetensors").write_bytes(content)


BIAS = "encoder.net.1.bias"
HARM = {
    "no folder": (lambda f: f.rename(f.parent / "away"), "There is no checkpoint folder"),
    "no config": (lambda f: (f / "config.json").unlink(), r"config\.json is missing"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), r"model\.safetensors is missing"),
    "not JSON": (lambda f: text(f, "{"), "does not hold valid JSON"),
    "a list": (lambda f: text(f, "[]"), "must hold one JSON object"),
    "deep nesting": (lambda f: text(f, "[" * 100_000), "does not hold valid JSON"),
    "a key twice": (lambda f: text(f, '{"format": 1, "format": 2}'), "a key stands twice"),
    "NaN in JSON": (lambda f: text(f, '{"format": NaN}'), "NaN is not a number"),
    "oversized config": (lambda f: text(f, " " * (safefiles.LARGEST_JSON + 1)), "bytes; at most"),
    "unknown key": (lambda f: change(f, code="import os"), "must hold exactly the keys"),
    "other format": (lambda f: change(f, format=2), "has format 2; this version reads format 1"),
    "format true": (lambda f: change(f, format=True), "format is True"),
    "unknown recipe": (lambda f: change(f, recipe="os.system"), "There is no recipe 'os.system'"),
    "absurd latent": (lambda f: change(f, latent_dim=10**9), "latent_dim is 1000000000"),
    "latent of text": (lambda f: change(f, latent_dim="2"), "latent_dim is '2'"),
    "absurd shape": (lambda f: change(f, data_shape=[1, 10**6, 10**6]), "data_shape"),
    "negative shape": (lambda f: change(f, data_shape=[1, -8, 8]), "data_shape"),
    "unknown option": (lambda f: change(f, options={"hidden": "5"}), "has no option 'hidden'"),
    "option named recipe": (lambda f: change(f, options={"recipe": "vae"}), "has no option 'recipe'"),
    "shape of text": (lambda f: raw(f, b'{"a": {"dtype": "F32", "shape": ["a"]}}'), "not safetensors'"),
    "data set elsewhere": (lambda f: change(f, dataset="../../etc"), "cannot be a data set's name"),
    "mismatched config": (lambda f: change(f, latent_dim=3), "does not fit its config.json"),
    "other net": (lambda f: change(f, options={"net": "dense", "likelihood": "gaussian"}), "does not fit"),
    "weights cut off": (lambda f: cut(f, 5000), "does not hold valid JSON|damaged or cut off"),
    "weights cut at the end": (lambda f: cut(f, -1), "damaged or cut off"),
    "weights empty": (lambda f: cut(f, 0), "does not hold valid JSON"),
    "header too long": (lambda f: raw(f, b"{}", 1 << 62), "its header is longer than"),
    "header of a list": (lambda f: raw(f, b"[1]"), "not safetensors"),
    "absurd tensor": (
        lambda f: raw(f, b'{"a": {"dtype": "F32", "shape": [1000000, 1000000], "data_offsets": [0, 4]}}'),
        "describes more than",
    ),
    "a pickle": (lambda f: torch.save({"a": 1}, f / "model.safetensors"), "not a safetensors file"),
    "missing tensor": (lambda f: weights(f, **{BIAS: None}), f"{re.escape(BIAS)} is nothing"),
    "extra tensor": (lambda f: weights(f, extra=torch.zeros(1)), "extra is"),
    "wrong type": (lambda f: weights(f, **{BIAS: torch.zeros(128).double()}), "'F64'"),
    "wrong size": (lambda f: weights(f, **{BIAS: torch.zeros(127)}), r"\(127,\)"),
    "not a number": (lambda f: weights(f, **{BIAS: torch.full((128,), torch.nan)}), "not finite numbers"),
    "infinity": (lambda f: weights(f, **{BIAS: torch.full((128,), torch.inf)}), "not finite numbers"),
}


@pytest.mark.parametrize("harm", list(HARM))
def test_what_is_wrong_is_said_in_one_sentence(checkpoint: Path, harm: str) -> None:
    spoil, sentence = HARM[harm]
    spoil(checkpoint)
    with pytest.raises(safefiles.BadFile, match=sentence):
        vaecore.load(checkpoint)


def test_only_the_checkpoints_own_weights_are_opened(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="it must be 'model'"):
        vaecore.load(checkpoint, which="../checkpoint/model")


def test_weights_of_another_precision_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="float32"):
        vaecore.save(perturbed("vae", "small", "gaussian").double(), tmp_path / "a")


def test_metrics_of_another_shape_are_refused_and_leave_the_folder_as_it_was(checkpoint: Path) -> None:
    before = {file.name: file.read_bytes() for file in checkpoint.iterdir()}
    with pytest.raises(ValueError, match=r"metrics\.json: training: input should be a valid dictionary; it is 5"):
        checkpoints.add_metrics(checkpoint, training=5)
    with pytest.raises(ValueError, match="metrics does not have the form"):
        vaecore.save(
            perturbed("vae", "small", "gaussian"), checkpoint.parent / "b", metrics={"training": {"images": "x"}}
        )
    assert {file.name: file.read_bytes() for file in checkpoint.iterdir()} == before
    assert not (checkpoint.parent / "b").exists()


def test_an_oversized_file_is_not_read(checkpoint: Path) -> None:
    with (checkpoint / "model.safetensors").open("r+b") as opened:
        opened.truncate(safefiles.LARGEST_TENSORS + 1)
    with pytest.raises(safefiles.BadFile, match="bytes; at most"):
        vaecore.load(checkpoint)


def test_an_analysis_belongs_to_its_weights(checkpoint: Path) -> None:
    assert checkpoints.read_analysis(checkpoint) == {}
    codes = {"test.loc": torch.rand(5, 2)}
    assert checkpoints.write_analysis(checkpoint, codes) == checkpoint / "analysis.safetensors"
    assert torch.equal(checkpoints.read_analysis(checkpoint)["test.loc"], codes["test.loc"])
    weights(checkpoint, **{BIAS: torch.ones(128)})
    assert checkpoints.read_analysis(checkpoint) == {}


def test_an_analysis_of_a_read_only_folder_goes_to_the_users_cache(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    file = checkpoints.write_analysis(checkpoint, {"test.loc": torch.rand(5, 2)})
    assert file.is_relative_to(os.environ["XDG_CACHE_HOME"])
    assert set(checkpoints.read_analysis(checkpoint)) == {"test.loc"}


def test_find_lists_checkpoints_and_no_unfinished_ones(checkpoint: Path) -> None:
    (checkpoint.parent / "notes").mkdir()
    (checkpoint.parent / ".half").mkdir()
    (checkpoint.parent / ".half" / "config.json").write_text("{}")
    assert checkpoints.find(checkpoint.parent) == [checkpoint]
    assert checkpoints.find(checkpoint.parent / "nowhere") == []


def test_metrics_and_card_change_together(checkpoint: Path) -> None:
    checkpoints.add_metrics(checkpoint, evaluation={"protocol": "ten images", "ELBO": -12.345})
    assert "| ELBO | -12.345 |" in (checkpoint / "README.md").read_text()
    assert checkpoints.read_metrics(checkpoint)["evaluation"]["ELBO"] == -12.345
