"""The page of health headless: one checkpoint, two side by side, wrong links, what is absent, and the HTML file."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from pages import set_apart, visited
from streamlit.testing.v1 import AppTest

import vaecore
from app import figures_health, health, health_report, health_rows, session


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of digits: a flat one, one of five dimensions with a dangerous name, one whose prior is learned; one of MNIST."""
    folder = tmp_path_factory.mktemp("shelf")
    torch.manual_seed(0)
    for name, recipe, latent, more in (
        ("plain", "vae", 2, {}),
        ("<b>deep", "vae", 5, {}),
        ("joint", "rnvp-p", 2, {"depth": 2}),
    ):
        vaecore.save(vaecore.build(recipe, (1, 8, 8), latent, net="small", **more), folder / name, dataset="digits")
    vaecore.save(vaecore.build("vae", (1, 28, 28), 2, net="small"), folder / "absent", dataset="mnist")
    return folder


@pytest.fixture(autouse=True)
def surroundings(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vaecore import health as measure

    set_apart(tmp_path, shelf, monkeypatch)
    monkeypatch.setattr(measure, "QUICK", measure.Sizes(images=20, samples=5, codes=60, exact=4, prior=50, worst=3))


def opened(**address: str | list[str]) -> AppTest:
    app = visited("views/health.py", {"checkpoint": "plain", **address})
    assert not app.exception, app.exception
    return app


def bodies(app: AppTest) -> str:
    return " ".join(element.proto.body for element in app.get("html"))


def chart(app: AppTest) -> dict:
    return json.loads(app.get("plotly_chart")[0].proto.spec)


def test_a_checkpoint_has_its_report() -> None:
    app = opened()
    assert not app.error
    assert not app.warning
    text = bodies(app)
    found = health.health(session.checkpoints()["plain"])
    for row in found.rows:
        assert f"<th scope='row'>{health_rows.escape(row['name'])}</th>" in text
        assert health_rows.value(row) in text
    assert {row["name"] for row in found.rows} >= {"ELBO", "exact gap", "mutual information", "low posterior share"}
    assert len(chart(app)["data"]) == 1
    assert [image["image"] for image in found.report["worst images"]] == list(found.worst)
    assert f"test image {found.worst[0]}" in text
    assert any(button.label == "Download the report" for button in app.get("download_button"))


def test_two_stand_side_by_side_under_one_cursor() -> None:
    app = opened(**{"with": "<b>deep"})
    assert not app.error
    drawing = chart(app)
    assert drawing["layout"]["hovermode"] == "x unified"
    assert [len(bars["x"]) for bars in drawing["data"]] == [2, 5]
    assert "<th scope='col'>&lt;b&gt;deep</th>" in bodies(app)
    assert "<b>deep</th>" not in bodies(app)
    assert app.query_params["with"] in ("<b>deep", ["<b>deep"])


def test_a_learned_prior_has_no_kl_by_dimension_and_says_why() -> None:
    app = opened(checkpoint="joint")
    assert any("not N(0, I)" in info.value for info in app.info)
    assert not app.get("plotly_chart")


def test_other_images_are_drawn_and_stand_in_the_address() -> None:
    app = opened(draw="4")
    before = re.findall(r"test image (\d+)", bodies(app))
    app.button(key="health_redraw").click().run()
    assert not app.exception
    assert re.findall(r"test image (\d+)", bodies(app)) != before
    assert app.query_params["draw"] in ("5", ["5"])


@pytest.mark.parametrize(("name", "value"), [("draw", "-1"), ("with", "nobody"), ("checkpoint", "nothing")])
def test_a_wrong_link_is_named_and_the_page_goes_on(name: str, value: str) -> None:
    app = opened(**{name: value})
    assert any(value in warning.value for warning in app.warning)
    assert "mutual information" in bodies(app)


def test_without_images_it_says_so() -> None:
    app = opened(checkpoint="absent")
    assert any("nothing to measure" in info.value for info in app.info)
    assert not app.get("download_button")


class Reader(HTMLParser):
    """All tags, and what their attributes fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.fetched = [], []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href", "xlink:href", "data", "srcset")]


def test_the_file_needs_nothing_else_and_escapes_a_name() -> None:
    known = session.checkpoints()
    found = [health.health(known[name]) for name in ("<b>deep", "joint")]
    text, reader = health_report.page(found, (0, 1, 2)), Reader()
    reader.feed(text)
    assert "<b>deep" not in text
    assert "&lt;b&gt;deep" in text
    assert not re.search(r"https?://|url\(|@import|<script", text)
    assert reader.fetched
    assert all(value.startswith("data:image/png;base64,") for value in reader.fetched)
    assert reader.tags.count("rect") == 5
    assert reader.tags.count("img") == 3 + 3 + 3
    assert health_rows.file_name(found) == "health--b-deep-joint.html"
    for row in found[1].rows:
        assert health_rows.escape(row["sentence"]) in text


def test_bars_below_the_axis_are_drawn_at_its_end_and_said_as_they_are() -> None:
    figure = figures_health.kl_figure([("one", [0.0, 2.0])])
    assert list(figure.data[0].y) == [figures_health.LEAST, 2.0]
    assert list(figure.data[0].customdata) == [0.0, 2.0]
    assert figure.layout.shapes[0].y0 == figures_health.ACTIVE
