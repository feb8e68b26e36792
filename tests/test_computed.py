"""Notes on how each number and figure is computed: every one leads to a line of code, and every page has its own."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from pages import LIMIT, MAIN
from streamlit.testing.v1 import AppTest

from app import computed, ranking, session, shelf_page
from app.computed import Note
from vaecore import checkpoints

ROOT = Path(computed.__file__).parents[1]
PAGES = sorted(file.stem for file in (ROOT / "app" / "notes").glob("[!_]*.py"))
NOTES = {page: import_module(f"app.notes.{page}").NOTES for page in PAGES}
EVERY = [(page, note) for page, notes in NOTES.items() for note in notes]
MEASURES = ("ELBO", "NLL", "exact gap", "active units", "minutes")
# The numbers that stand on each page.
NUMBERS = {
    "home": ["exact gap"],
    "posterior": ["log p(x)", "ELBO", "IWAE(100)", "gap", "gap of q", "gap of the best diagonal Gaussian"]
    + ["amortization gap", "approximation gap", "decoded image", "densities under the pointer"],
    "unsure": [*ranking.SCORES, *(measure.name for measure in ranking.MEASURES.values()), "rank correlation"],
    "learned": ["cluster", "error", "kl", "uncertainty", "majority", "closest", "knn", "linear"],
    "between": ["valley", "log p(z) on the way"],
    "prior": ["log q(z)", "log p(z)", "elbo", "effective number", "mean and variance of q(z)"],
    "health": ["ELBO", "IWAE - ELBO", "exact gap", "reconstruction", "active units", "KL(q(z|x) || p(z))"]
    + ["mutual information", "KL(q(z) || p(z))", "moments of q(z)", "low posterior share", "KL by dimension"]
    + ["overfitting"],
    "train": ["held-out ELBO and its terms", "estimate of the time"],
    "checkpoints": [name for name in shelf_page.HELP if name in MEASURES],
}


@pytest.mark.parametrize(("page", "note"), EVERY, ids=lambda value: getattr(value, "slug", value))
def test_every_note_leads_to_its_line(page: str, note: Note) -> None:  # noqa: ARG001
    code = computed.locate(note.function, note.line)
    lines = (ROOT / code.file).read_text().splitlines()
    assert note.line in lines[code.line - 1]
    if not note.line:
        assert re.match(rf"\s*def {note.function.rsplit('.', 1)[1]}\(", lines[code.line - 1])
    assert code.text
    module, found = import_module(code.file.removesuffix(".py").replace("/", ".")), None
    for name in note.function.removeprefix(f"{module.__name__}.").split("."):
        found = getattr(found or module, name)
    assert found is not None
    assert note.formula
    assert note.source


@pytest.mark.parametrize("page", PAGES)
def test_every_page_explains_its_numbers(page: str) -> None:
    known = {name for note in NOTES[page] for name in (note.what, *note.covers)}
    assert set(NUMBERS[page]) <= known
    slugs = [note.slug for note in NOTES[page]]
    assert len(set(slugs)) == len(slugs)
    assert f"from app.notes.{page} import NOTES" in (ROOT / "app" / "views" / f"{page}.py").read_text()


def test_every_number_of_a_shipped_card_has_a_note() -> None:
    known = {name for note in NOTES["checkpoints"] for name in (note.what, *note.covers)}
    for folder in checkpoints.find(ROOT / "pretrained"):
        metrics = checkpoints.read_metrics(folder)
        for table in (metrics.get("evaluation"), (metrics.get("learned") or {}).get("density")):
            assert {name for name, value in (table or {}).items() if isinstance(value, int | float)} <= known


def chart_keys() -> set[str]:
    """The keys of all charts of the app; of a key that is put together its fixed beginning."""
    found = set()
    for file in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "plotly_chart":
                key = next(word.value for word in node.keywords if word.arg == "key")
                found |= {part.value for part in ast.walk(key) if isinstance(part, ast.Constant)}
    return found


def test_every_chart_has_a_note() -> None:
    known = {name for _, note in EVERY for name in note.covers}
    left = {"plane-", "-"}  # between's planes are named in a variable; "-" only joins a histogram's measure and name
    assert {"picture", "multiple-", "scatter", "train_loss", "shape-"} <= chart_keys()
    assert chart_keys() - known - left == set()


def test_a_missing_function_or_an_ambiguous_line_is_refused() -> None:
    with pytest.raises(ValueError, match="no vaecore.vae.VAE.nothing"):
        computed.locate("vaecore.vae.VAE.nothing")
    with pytest.raises(ValueError, match="no file"):
        computed.locate("nowhere.at.all")
    with pytest.raises(ValueError, match="found 0 times"):
        computed.locate("vaecore.vae.VAE.elbo", "no such line")


def test_notes_import_neither_torch_nor_the_library() -> None:
    names = ", ".join(f"app.notes.{page}" for page in PAGES)
    code = (
        f"import sys, {names}, app.computed as c; c.locate('vaecore.vae.VAE.elbo')\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(session, "warm", lambda: None)
    app = AppTest.from_file(MAIN, default_timeout=LIMIT)
    app.switch_page("views/checkpoints.py")
    return app


def test_a_note_is_chosen_kept_in_the_address_and_closed(opened: AppTest) -> None:
    opened.query_params["note"] = "active-units"
    app = opened.run()
    assert not app.exception
    assert any("vaecore/evaluation.py:" in element.value for element in app.markdown)
    assert "encode(vae, images)" in app.code[0].value
    assert app.query_params["note"] == "active-units"
    pills = next(element for element in app.get("button_group") if element.key == "note")
    pills.set_value("nll").run()
    assert not app.exception
    assert app.query_params["note"] in ("nll", ["nll"])
    assert "logsumexp" in app.code[0].value


def test_a_wrong_note_is_named(opened: AppTest) -> None:
    opened.query_params["note"] = "nothing"
    app = opened.run()
    assert "'nothing'" in app.warning[0].value
    assert "note" not in app.query_params


def test_the_place_is_a_link_where_the_repository_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    code = computed.locate("vaecore.vae.VAE.elbo")
    monkeypatch.setenv("VAESCOPE_SOURCE", "https://example.org/blob/main/")
    assert computed.link(code) == f"[`{code}`](https://example.org/blob/main/vaecore/vae.py#L{code.line})"
    monkeypatch.setenv("VAESCOPE_SOURCE", "javascript:alert(1)")
    assert computed.link(code) == f"`{code}`"
