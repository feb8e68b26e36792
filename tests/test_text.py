"""Words around numbers and names, and what the library and the app say with them."""

import ast
import re
from pathlib import Path

import pytest

import vaecore
from app import figures
from vaecore.__main__ import main
from vaecore.recipes import RECIPES, label
from vaecore.text import a, counted, plural


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
        (2_400, "epoch", "2,400 epochs"),
        (2, "batch", "2 batches"),
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


ROOT = Path(__file__).parents[1]
SOURCES = sorted([*ROOT.glob("app/**/*.py"), *ROOT.glob("vaecore/**/*.py")])
# What is counted besides the things that `counted` is called with somewhere.
THINGS = "axis batch byte centre channel checkpoint cluster code component dimension draw epoch file hour image job"
THINGS += (
    " label minute mode neighbour node number operator pair pixel point process query repeat row run sample second seed"
)
THINGS += " step system tensor time unit way weight"
# Words before a plural that are no numbers: "training images", "encoder.onnx draws".
NAMES = {"kind", "source", "SPLITS[view.split]"}
ARTICLE = re.compile(r"(?:^|[ (])[Aa]n? $")
ADJECTIVE = r"(?: (?!of\b|as\b|and\b|with\b|million\b)[a-z-]*[^s\W])"


def test_no_sentence_puts_a_number_before_a_plural_or_an_article_before_a_name() -> None:
    parsed = {path.relative_to(ROOT): ast.parse(path.read_text()) for path in SOURCES}
    calls = [node for tree in parsed.values() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    things = [call.args[1] for call in calls if ast.unparse(call.func) == "counted"]
    known = {each.value.split(" ")[-1] for each in things if isinstance(each, ast.Constant)} | set(THINGS.split())
    number = re.compile(rf"{ADJECTIVE}{{0,2}} (?:{'|'.join(sorted(map(plural, known)))})\b")
    found = []
    for path, tree in parsed.items():
        for parts in (node.values for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)):
            texts = [part.value if isinstance(part, ast.Constant) else "" for part in parts]
            for before, part, after in zip(["", *texts], parts, [*texts[1:], ""], strict=False):
                if not isinstance(part, ast.FormattedValue):
                    continue
                product = before.endswith("x ") or before.endswith("x")  # of a size: 28 x 28 pixels
                rounded = part.format_spec and re.search(r"\.[1-9]f", ast.unparse(part.format_spec))  # 1.0 points
                is_name = ast.unparse(part.value).startswith("counted(") or ast.unparse(part.value) in NAMES
                added = ast.unparse(part.value).startswith("'s'")
                if added or (number.match(after) and not (product or rounded or is_name)) or ARTICLE.search(before):
                    found.append(f"{path}:{part.lineno}: {before}{{{ast.unparse(part.value)}}}{after}")
    assert found == []
