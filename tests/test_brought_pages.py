"""What is brought is on every page that its densities allow: an ONNX pair, a VAE of pythae's, one with D > 2."""

from pathlib import Path

import graphs
import pytest
import test_pythae
import torch
from pages import set_apart, visited
from streamlit.testing.v1 import AppTest

import vaecore
from vaecore import imports
from vaecore.imports import pythae
from vaecore.shelf import pack

VIEWS = sorted(f"views/{file.name}" for file in (Path(__file__).parents[1] / "app" / "views").glob("[!_]*.py"))
SHAPE = (1, 8, 8)
PLANES = ("views/posterior.py", "views/unsure.py")  # they need two latent dimensions


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three VAEs for the digits, brought in three ways."""
    torch.manual_seed(0)
    root, made = tmp_path_factory.mktemp("brought"), tmp_path_factory.mktemp("made")
    options = {"likelihood": "bernoulli", "output": "logits", "dataset": "digits"}
    imports.from_onnx(*graphs.small_pair(SHAPE), root, "pair", **options)
    wide = vaecore.save(vaecore.build("vae", SHAPE, 5, net="small"), made / "wide", dataset="digits")
    imports.from_zip(pack(wide), root, "wide")
    theirs = test_pythae.Theirs(pixels=64).state_dict()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pythae, "read_weights", lambda content: dict(theirs))
        config = test_pythae.about(input_dim=list(SHAPE))
        pythae.from_pythae({"model.pt": b"x", "model_config.json": config}, root, "theirs", "digits")
    return root


@pytest.fixture(autouse=True)
def _surroundings(brought: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_apart(tmp_path, brought, monkeypatch)


def said(app: AppTest) -> str:
    return "\n".join(element.value for kind in (app.info, app.warning, app.error) for element in kind)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["pair", "theirs", "wide"])
def test_it_is_on_the_page_or_the_page_says_why(name: str, view: str) -> None:
    app = visited(view, {"checkpoint": name})
    assert not app.exception, app.exception
    assert not app.error, app.error[0].value
    chosen = [box.value for box in app.selectbox if box.key == "checkpoint"]
    assert chosen in ([], [name])
    if name == "wide" and view in PLANES:
        assert "has 5 dimensions. The exact posterior needs D = 2" in said(app)
