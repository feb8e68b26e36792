"""Words around numbers and names, and what the library and the app say with them."""

from pathlib import Path

import pytest

import vaecore
from app import figures
from vaecore.__main__ import main
from vaecore.recipes import RECIPES, label
from vaecore.text import a, counted


@pytest.mark.parametrize(
    ("number", "thing", "said"),
    [
        (1, "image", "1 image"),
        (0, "image", "0 images"),
        (1, "latent dimension", "1 latent dimension"),
        (12_000, "test image", "12,000 test images"),
        (2, "class", "2 classes"),
        (2, "pass", "2 passes"),
        (3, "axis", "3 axes"),
        (2, "query", "2 queries"),
        (2, "way", "2 ways"),
    ],
)
def test_what_is_one_is_singular(number: int, thing: str, said: str) -> None:
    assert counted(number, thing) == said


def test_the_article_follows_what_is_spoken() -> None:
    spoken = "an SA(4), an IAF(2), an HF(4), an ME(5), an RME(5), a BVI-ER1(3), a GPVAE, a VampPrior, a ResNet VAE"
    spoken += ", an MAE(1), an RNVP, an ONNX pair, a VAE, a Lossy VAE, a flow, an encoder, a uniform, an AffineFlow"
    for each in spoken.split(", "):
        assert a(each.split(" ", 1)[1]) == each
    assert [a(label) for label in range(10)] == [f"a{'n' * (k == 8)} {k}" for k in range(10)]
    assert [a(label) for label in (11, 18, 80, 110)] == ["an 11", "an 18", "an 80", "a 110"]
    said = [a(label({"recipe": name, "options": {}})) for name in RECIPES if not RECIPES[name].options]
    assert all(each.split(" ", 1)[0] in ("a", "an") for each in said)


def test_a_card_of_one_dimension_says_so(tmp_path: Path) -> None:
    folder = vaecore.save(vaecore.build("vae", (1, 8, 8), 1, net="small"), tmp_path / "line", dataset="digits")
    assert "of 1 latent dimension on digits" in (folder / "README.md").read_text()
    assert "this VAE's has 1 dimension." in str(
        pytest.raises(ValueError, vaecore.exact.split_gap, vaecore.load(folder), [[[[0.0] * 8] * 8]]).value
    )


def test_the_best_gaussian_is_green_and_dashed_however_small_it_is() -> None:
    import numpy as np

    for scale in (1.0, 1e-3):
        best = figures.best(np.zeros(2), np.full(2, scale))
        [line] = [trace for trace in figures.outlines(best, 6.0) if trace.name == "best Gaussian" and trace.line.dash]
        assert (line.line.dash, line.line.color) == ("dash", figures.GREEN)


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "vae", "--folder"],
        ["train", "vae", "--from"],
        *(["evaluate"], ["analyse"], ["embed"], ["aggregate"], ["health"], ["learned"], ["card"]),
        ["download", "digits", "--data"],
    ],
)
def test_a_folder_whose_name_is_not_utf8_is_refused_before_any_work(
    arguments: list[str], capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    assert main([*arguments, str(tmp_path / "gr\udcfcn")]) == 1
    said = capsys.readouterr()
    assert "gr\\udcfcn' is not UTF-8: rename it" in said.err
    assert not list(tmp_path.iterdir())


def test_the_library_refuses_such_a_folder_before_it_trains(tmp_path: Path) -> None:
    vae = vaecore.build("vae", (1, 8, 8), net="small")
    data, steps = vaecore.load_dataset("digits").first(64), []
    with pytest.raises(ValueError, match="is not UTF-8"):
        vaecore.fit(vae, "vae", data, epochs=1, folder=tmp_path / "gr\udcfcn", on_event=steps.append)
    assert steps == []
    with pytest.raises(ValueError, match="is not UTF-8"):
        vaecore.save(vae, tmp_path / "gr\udcfcn")
