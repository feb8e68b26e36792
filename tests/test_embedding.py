"""Maps of codes: which images, the plane of PCA, t-SNE and UMAP by seed, what is kept and what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from models import collapsed
from torch import Tensor

import vaecore
from vaecore import checkpoints, embedding
from vaecore.__main__ import main
from vaecore.embedding import Settings


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A small fresh VAE of five latent dimensions, saved."""
    vae = vaecore.build("vae", (1, 8, 8), latent_dim=5, net="small", likelihood="bernoulli")
    return vaecore.save(vae, tmp_path / "deep", dataset="dynamic_digits")


def groups(count: int = 90) -> tuple[Tensor, np.ndarray]:
    """Codes [count, 6] of three groups far apart, and which group each is of."""
    group = np.arange(count) % 3
    return torch.randn(count, 6) + 20 * torch.eye(6)[group], group


def test_a_part_holds_each_labels_share_to_within_one() -> None:
    labels = torch.tensor([0] * 700 + [1] * 250 + [2] * 49 + [7])[torch.randperm(1000)]
    for points in (50, 137, 400):
        rows = embedding.stratified(1000, points, 3, labels)
        assert len(rows) == points
        assert (rows[1:] > rows[:-1]).all()
        for label, count in ((0, 700), (1, 250), (2, 49), (7, 1)):
            assert abs(int((labels[rows] == label).sum()) - points * count / 1000) <= 1
    again = embedding.stratified(1000, 137, 3, labels)
    assert torch.equal(again, embedding.stratified(1000, 137, 3, labels))
    assert not torch.equal(again, embedding.stratified(1000, 137, 4, labels))


def test_a_part_is_all_where_there_are_not_more_and_needs_no_labels() -> None:
    labels = torch.arange(60) % 4
    assert torch.equal(embedding.stratified(60, 60, 0, labels), torch.arange(60))
    assert torch.equal(embedding.stratified(60, 500, 0, labels), torch.arange(60))
    assert len(set(embedding.stratified(60, 20, 0).tolist())) == 20
    with pytest.raises(ValueError, match="one for each row"):
        embedding.stratified(59, 20, 0, labels)


def test_pca_is_the_singular_value_decomposition() -> None:
    codes = torch.randn(200, 5) * torch.tensor([3.0, 0.1, 2.0, 0.5, 1.0]) + 4
    places, shares = embedding.pca(codes)
    left, values, _ = np.linalg.svd((codes - codes.mean(0)).double().numpy(), full_matrices=False)
    for axis in range(2):
        truth = left[:, axis] * values[axis]
        found = places[:, axis].numpy()
        assert min(abs(found - truth).max(), abs(found + truth).max()) < 1e-4
    np.testing.assert_allclose(shares, values[:2] ** 2 / (values**2).sum(), rtol=1e-5)
    places, shares = embedding.pca(torch.full((300, 5), 0.1))  # a mean that is not exactly 0.1 would have a direction
    assert not places.any()
    assert not shares.any()
    places = embedding.pca(codes)[0]
    turned = embedding.pca(codes.flip(0))[0].flip(0)  # the sign does not hang on the order
    torch.testing.assert_close(turned, places, atol=1e-4, rtol=0)


def test_the_parts_of_all_are_the_test_images_and_then_the_others() -> None:
    test, train, whole = (embedding.gather("digits", split) for split in ("test", "train", "all"))
    assert torch.equal(test.images, vaecore.load_dataset("digits", "test").images)
    assert torch.equal(whole.images, torch.cat([test.images, train.images]))
    assert torch.equal(whole.labels, torch.cat([test.labels, train.labels]))
    assert len(train) == len(vaecore.load_dataset("digits", "train")) + len(vaecore.load_dataset("digits", "valid"))
    dynamic = embedding.gather("dynamic_digits", "test")
    assert torch.equal(dynamic.images, (test.images >= 0.5).float())
    with pytest.raises(ValueError, match="split is 'valid'"):
        embedding.gather("digits", "valid")


@pytest.mark.parametrize("method", embedding.METHODS)
def test_groups_stay_together_progress_rises_and_a_seed_gives_the_same_map(method: str) -> None:
    codes, group = groups()
    events = []
    places = embedding.embed(codes, method, 5, events.append).numpy()
    steps = [event["step"] for event in events]
    assert steps == sorted(steps)
    assert steps[-1] == events[-1]["steps"]
    assert len(set(steps)) > 3
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    assert (group[apart.argmin(1)] == group).all()
    assert np.array_equal(places, embedding.embed(codes, method, 5).numpy())
    assert not np.array_equal(places, embedding.embed(codes, method, 6).numpy()) or method == "tsne"  # PCA begins it


@pytest.mark.parametrize("method", embedding.METHODS)
def test_equal_codes_have_one_place_and_the_unit_does_not_count(method: str) -> None:
    codes = groups(60)[0]
    places = embedding.embed(codes, method)
    twice = embedding.embed(torch.cat([codes, codes[:1].expand(200, 6), codes.flip(0)]), method)
    torch.testing.assert_close(twice, torch.cat([places, places[:1].expand(200, 2), places.flip(0)]))
    for unit in (2.0**-90, 2.0**90):  # their squares are zero and infinite in float32
        assert embedding.embed(codes * unit, method).isfinite().all()


@pytest.mark.parametrize("method", embedding.METHODS)
def test_a_map_ends_when_it_is_asked_to(method: str) -> None:
    seen = []
    assert embedding.embed(groups()[0], method, 0, seen.append, lambda: bool(seen) and seen[-1]["step"] > 1) is None
    assert 1 < seen[-1]["step"] < seen[-1]["steps"] / 2


@pytest.mark.parametrize(
    ("codes", "method", "seed", "sentence"),
    [
        (torch.randn(60, 3), "pacmap", 0, "one of tsne, umap"),
        (torch.randn(49, 3), "umap", 0, "N from 50 to 10,000"),
        (torch.randn(10_001, 3), "umap", 0, "N from 50 to 10,000"),
        (torch.randn(60), "tsne", 0, "N, D"),
        (torch.randn(60, 2), "tsne", 0, "a map already"),
        (torch.randn(60, 1), "umap", 0, "a map already"),
        (torch.zeros(60, 3), "tsne", 0, "all the same: the encoder gives every image the same mean, so that t-SNE"),
        (torch.full((60, 3), 0.1), "umap", 0, "all the same: .* so that UMAP"),
        (1 + 1e-7 * torch.rand(60, 3), "umap", 0, "all the same"),  # but for float32's rounding
        (torch.randn(49, 3)[torch.arange(300) % 49], "tsne", 0, "Only 49 of the 300 codes .* t-SNE needs at least 50"),
        (torch.full((60, 3), torch.nan), "tsne", 0, "not finite"),
        (torch.randn(60, 3), "tsne", -1, "seed is -1"),
    ],
)
def test_what_cannot_be_embedded_is_said(codes: Tensor, method: str, seed: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        embedding.embed(codes, method, seed)


def test_codes_too_few_or_flat_have_no_plane() -> None:
    for codes, sentence in (
        (torch.randn(5, 1), "N and D at least 2"),
        (torch.randn(1, 4), "N and D at least 2"),
        (torch.randn(5), r"real numbers \[N, D\]"),
    ):
        with pytest.raises(ValueError, match=sentence):
            embedding.pca(codes)


def test_the_command_keeps_what_another_process_computes_alike(deep: Path, tmp_path: Path) -> None:
    arguments = ["embed", str(deep), "--method", "tsne", "--points", "60", "--seed", "2"]
    assert main([*arguments, "--progress", str(tmp_path / "p.json")]) == 0
    seen = json.loads((tmp_path / "p.json").read_text())
    assert seen["step"] == seen["steps"]
    settings, data = Settings("tsne", "test", 60, 2), embedding.gather("dynamic_digits")
    rows = embedding.stratified(len(data), 60, 2, data.labels)
    places = embedding.kept(deep, settings, rows)
    assert places.shape == (60, 2)
    with torch.no_grad():
        codes = vaecore.load(deep).posterior(data.images[rows]).mean
    torch.testing.assert_close(embedding.embed(codes, "tsne", 2), places, atol=1e-3, rtol=1e-3)
    (deep / "embeddings/tsne-test-60-2.safetensors").unlink()
    threads = {**os.environ, "OMP_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-m", "vaecore", *arguments], check=True, capture_output=True, env=threads)
    assert torch.equal(embedding.kept(deep, settings, rows), places)


def test_what_belongs_to_other_weights_or_other_rows_is_refused(deep: Path) -> None:
    settings, rows = Settings("umap", "test", 60, 0), torch.arange(60)
    file = checkpoints.write_kept(
        deep, embedding.name(settings), {"places": torch.randn(60, 2), "rows": rows.to(torch.int32)}
    )
    assert file == deep / "embeddings/umap-test-60-0.safetensors"
    assert embedding.kept(deep, settings, rows).shape == (60, 2)
    assert embedding.kept(deep, settings, rows + 1) is None
    assert embedding.kept(deep, settings._replace(seed=1), rows) is None
    weights = checkpoints.read_tensors(deep / "model.safetensors")
    weights[next(iter(weights))] += 1
    checkpoints.write_tensors(deep / "model.safetensors", weights)
    assert embedding.kept(deep, settings, rows) is None


@pytest.mark.parametrize("places", [torch.full((60, 2), torch.inf), torch.zeros(60, 3), torch.zeros(60, 2).int()])
def test_a_kept_map_that_is_none_is_refused(deep: Path, places: Tensor) -> None:
    settings, rows = Settings("umap", "test", 60, 0), torch.arange(60)
    checkpoints.write_kept(deep, embedding.name(settings), {"places": places, "rows": rows.to(torch.int32)})
    with pytest.raises(ValueError, match=r"umap-test-60-0\.safetensors: places .* Remove the file"):
        embedding.kept(deep, settings, rows)


def test_the_command_refuses_in_a_sentence(
    checkpoint: Path, deep: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    dead = collapsed(tmp_path / "dead")
    nameless = vaecore.save(vaecore.build("vae", (1, 8, 8), 5, net="small"), tmp_path / "nameless")
    for folders, more, sentence in (
        ([deep, checkpoint], [], "2 dimensions"),
        ([deep, dead], [], "dead: The codes are all the same"),
        ([deep, dead], ["--method", "tsne"], "dead: The codes are all the same"),
        ([nameless], [], "does not say which data set"),
        ([deep], ["--points", "10001"], "points is 10001"),
        ([deep], ["--points", "49"], "points is 49"),
        ([tmp_path / "none"], [], "no checkpoint folder"),
    ):
        assert main(["embed", *map(str, folders), *more]) == 1
        assert sentence in capsys.readouterr().err
    assert not (deep / "embeddings").exists()
