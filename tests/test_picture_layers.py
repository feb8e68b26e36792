"""The layers of the posterior's picture: hidden by a press or a link, in the picture, its words and the kept file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pages import set_apart, visited
from streamlit.testing.v1 import AppTest

import vaecore
from app import figures, layers, offline, panels, session
from app.session import Pick


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    vaecore.save(vaecore.build("vae", (1, 8, 8), 2, net="small"), tmp_path / "shelf" / "plain", dataset="digits")
    set_apart(tmp_path, tmp_path / "shelf", monkeypatch)


def page(**more: str | list[str]) -> AppTest:
    return visited("views/posterior.py", {"checkpoint": "plain", "image": "3", **more})


def drawn(app: AppTest) -> list[str]:
    """The names in the picture's data, and what is said of it."""
    (chart,) = (one for one in app.get("plotly_chart") if "Test image 3" in one.proto.alt)
    names = ("true posterior p(z|x)", "encoder q(z|x)", "best Gaussian")
    return [*(name for name in names if f'"name":"{name}"' in chart.proto.spec), chart.proto.alt]


def test_a_link_hides_layers_and_a_press_brings_them_back() -> None:
    app = page(hide=["posterior", "best"])
    assert not app.exception
    names, alt = drawn(app)[:-1], drawn(app)[-1]
    assert names == ["encoder q(z|x)"]
    assert "contours" not in alt
    assert "the encoder's ellipses" in alt
    assert app.query_params["hide"] == ["posterior", "best"]
    layers_pills = next(pills for pills in app.get("button_group") if pills.key == layers.SHOWN)
    layers_pills.set_value(["posterior", "q"]).run()
    assert drawn(app)[:-1] == ["true posterior p(z|x)", "encoder q(z|x)"]
    assert app.query_params["hide"] == "best"


def test_an_unknown_layer_is_named_and_left_out() -> None:
    app = page(hide=["<b>x", "q"])
    assert not app.exception
    assert any("the layers are posterior, q, best" in warning.value for warning in app.warning)
    assert drawn(app)[:-1] == ["true posterior p(z|x)", "best Gaussian"]


def test_what_an_image_has_not_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {layers.HIDDEN: ["best", "truth"], layers.SHOWN: ["posterior", "best"]}
    monkeypatch.setattr(layers.st, "session_state", state)
    layers.change(["posterior", "q", "best"])
    assert state[layers.HIDDEN] == ["q", "truth"]


def test_the_kept_file_shows_the_same_layers() -> None:
    checkpoint = session.checkpoints()["plain"]
    entries = [(checkpoint, session.look(checkpoint.digest, Pick("image", 3), checkpoint))]
    whole, bare = (offline.page(entries, [], {"plain": "VAE"}, None, hidden) for hidden in ([], ["posterior", "best"]))
    contour = f"fill='{figures.BLUE}'"
    assert contour in whole
    assert contour not in bare
    assert "hide=posterior&amp;hide=best" in bare
    assert "best Gaussian</span>" in whole
    assert "best Gaussian</span>" not in bare


def test_without_contours_there_is_no_key_to_them() -> None:
    axes = (np.linspace(-1, 1, 4), np.linspace(-1, 1, 4))
    figure = figures.posterior_figure(axes, None, [], "x")
    assert len(figure.data) == len(figure.layout.shapes) == len(figure.layout.annotations) == 0
    assert panels.marks(type("L", (), {"truth": axes[0]}), None, ["truth"]) == (None, None)
