"""Links: what a page reads from its address it writes there again; what is wrong is named; what is left out resets."""

from pathlib import Path

import pytest
import torch
from pages import set_apart, visited
from streamlit.testing.v1 import AppTest

import vaecore
from app.plain import quoted


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A standard VAE and a joint prior, not trained, but their posteriors and priors are not all alike."""
    folder = tmp_path_factory.mktemp("shelf")
    torch.manual_seed(0)
    for name, recipe, options in (("plain", "vae", {}), ("joint", "rnvp-p", {"depth": 2})):
        vae = vaecore.build(recipe, (1, 8, 8), 2, likelihood="bernoulli", net="small", **options)
        with torch.no_grad():
            for parameter in vae.parameters():
                parameter += 0.05 * torch.randn_like(parameter)
        vaecore.save(vae, folder / name, dataset="digits")
    return folder


@pytest.fixture(autouse=True)
def surroundings(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_apart(tmp_path, shelf, monkeypatch)


def opened(view: str, **address: str | list[str]) -> AppTest:
    app = visited(f"views/{view}.py", {"checkpoint": "plain", **address})
    assert not app.exception, app.exception
    return app


def linked(app: AppTest) -> dict[str, str]:
    return {name: app.query_params[name] for name in app.query_params}


BESIDE = {"with": "joint"}
LINKS = [
    ("posterior", {"image": "7", "draw": "3", "tour": "2", "note": "elbo"}),
    ("posterior", {"image": "7", **BESIDE}),
    ("between", {**BESIDE, "path": "spherical", "rows": "1-2,3-4", "image": "5", "seed": "2", "draw": "4"}),
    ("between", {"with": "none", "path": "linear", "rows": "none", "seed": "0", "note": "valley"}),
    ("prior", {**BESIDE, "map": "joint", "seed": "3", "pairs": "1", "z": "7", "tour": "4"}),
    ("prior", {"with": "none", "seed": "0", "z": "0.5,-1"}),
    ("learned", {**BESIDE, "split": "train", "colour": "kl", "k": "7", "kseed": "2", "labels": "1000", "lseed": "4"}),
    ("learned", {"draw": "2", "samples": "3", "pick": "4", "select": "0_label_3", "note": "k-means"}),
    ("health", {**BESIDE, "draw": "3", "note": "low-posterior-share"}),
    ("checkpoints", {"bring": "onnx", "note": "nll"}),
]


@pytest.mark.parametrize(("view", "address"), LINKS)
def test_a_link_comes_back_as_it_was(view: str, address: dict[str, str]) -> None:
    app = opened(view, **address)
    assert not app.warning
    assert not app.error
    for _ in range(20):
        if linked(app) == {"checkpoint": "plain", **address}:
            break
        app.run()
    assert linked(app) == {"checkpoint": "plain", **address}


WRONG = [
    ("posterior", "draw", "-1"),
    ("posterior", "note", "nothing"),
    ("posterior", "tour", "9"),
    ("between", "draw", "x"),
    ("between", "seed", "1e9"),
    ("between", "path", "<b>"),
    ("between", "rows", "1-1"),
    ("prior", "map", "nothing"),
    ("prior", "seed", "٣"),
    ("learned", "k", "1"),
    ("learned", "select", "0_label"),
    ("health", "draw", "x"),
    ("checkpoints", "bring", "pickle"),
]


@pytest.mark.parametrize(("view", "name", "value"), WRONG)
def test_a_wrong_value_is_named_and_dropped(view: str, name: str, value: str) -> None:
    app = opened(view, **{name: value})
    assert any(quoted(value, 20) in warning.value for warning in app.warning)
    assert linked(app).get(name) != value


def test_a_link_resets_what_it_leaves_out_and_the_menu_nothing() -> None:
    app = opened("posterior", image="7", draw="3", **BESIDE)
    app.query_params.clear()
    app.run()
    assert linked(app) == {"checkpoint": "plain", "image": "7", "draw": "3", "with": "joint"}
    app.query_params.clear()
    app.query_params.update({"checkpoint": "plain", "image": "8"})
    app.run()
    assert linked(app) == {"checkpoint": "plain", "image": "8"}
    assert app.multiselect[0].value == []


def test_a_link_resets_what_another_page_did_not_say() -> None:
    app = opened("posterior", image="7", draw="3", **BESIDE)
    app.switch_page("views/checkpoints.py").run()
    app.query_params.clear()
    app.query_params.update({"checkpoint": "plain", "image": "7"})
    app.switch_page("views/posterior.py").run()
    assert not app.exception
    assert linked(app) == {"checkpoint": "plain", "image": "7"}


def test_the_menu_ends_the_tour_and_closes_the_note() -> None:
    app = opened("posterior", image="7", tour="2", note="elbo")
    assert "Step 2 of 6" in app.markdown[0].value
    app.query_params.clear()
    app.run()
    assert linked(app) == {"checkpoint": "plain", "image": "7"}
    assert not app.code
