"""Colours, the worst images and their histogram on the posterior page, headless."""

import base64
import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from pages import visited
from streamlit.testing.v1 import AppTest
from test_wrong import HALF, PRETRAINED, checkpoint, shelf, surroundings  # noqa: F401  fixtures

from app import wrong
from app.numbers import nats, significant


def opened(name: str, **address: str) -> AppTest:
    app = visited("views/posterior.py", {"checkpoint": name, **address})
    assert not app.exception, app.exception
    return app


def sent(app: AppTest, key: str) -> list[dict]:
    """What the page hands to the components that know this word."""
    found = []
    for element in app.get("bidi_component"):
        data = json.loads(element.proto.json or "{}")
        if key in data:
            found.append(data)
    return found


def shown(app: AppTest) -> str:
    """Which image the numbers are of."""
    return re.search(r'data-pick="(\w+-\d+)"', " ".join(element.proto.body for element in app.get("html")))[1]


def captions(app: AppTest) -> str:
    return " ".join(element.value for element in app.caption)


def test_labels_are_the_default_and_the_gap_ranks() -> None:
    app = opened("whole", image="3")
    assert app.selectbox(key="map_colour").value == "label"
    assert "colour" not in app.query_params
    assert not sent(app, "values")
    found = wrong.values(checkpoint("whole"), "gap")
    (strip,) = (data for data in sent(app, "captions") if data["captions"])
    assert strip["indices"] == sorted(range(355), key=lambda i: -found[i])[:10]
    assert f"{found[strip['indices'][0]]:.1f} nats" in strip["captions"][0]
    bars = json.loads(next(e.proto.spec for e in app.get("plotly_chart") if '"bar"' in e.proto.spec))["data"]
    assert sum(count for trace in bars if trace["type"] == "bar" for _, count, _ in trace["customdata"]) == 355


@pytest.mark.parametrize("kind", list(wrong.MEASURED))
def test_a_link_colours_the_map(kind: str) -> None:
    app = opened("whole", image="3", colour=kind, label="4")
    assert not app.warning
    (data,) = sent(app, "values")
    (scale,) = (each["scale"] for each in sent(app, "scale"))
    assert scale["name"] == data["colouring"]
    assert scale["low"] < scale["high"]
    assert app.query_params["colour"] in (kind, [kind])
    (strip,) = (each for each in sent(app, "captions") if each["captions"])
    assert set(strip["labels"]) == {"a 4"}
    # What the map's tooltip reads from is what stands under the small images and in the panel of the chosen one.
    values = np.frombuffer(base64.b64decode(data["values"]), "<f4")
    said = (lambda value: f"{nats(value)} nats") if scale["unit"] else significant
    wanted = [f"{index}, a 4\n{said(values[index])}" for index in strip["indices"]]
    assert strip["captions"] == wanted
    if kind in wrong.EXACT:
        panel = " ".join(element.proto.body for element in app.get("html"))
        name = wrong.MEASURED[kind].name.removeprefix("exact ")
        (number,) = re.findall(rf"<dt>{name}<b>([^<±]+?)(?: ±[^<]*)?</b>", panel)
        assert number == nats(values[3])


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("colour", "beauty", "there is only label, gap"),
        ("colour", "<b>", "there is only label, gap"),
        ("label", "10", "from 0 to 9"),
        ("label", "x", "from 0 to 9"),
    ],
)
def test_a_wrong_value_is_named_and_falls_back(name: str, value: str, said: str) -> None:
    app = opened("whole", image="3", **{name: value})
    assert said in app.warning[0].value
    assert app.selectbox(key="map_colour").value == "label"
    assert app.session_state["worst_label"] is None
    assert shown(app) == "image-3"


def test_a_mixtures_gap_has_no_parts() -> None:
    app = opened("mixture", image="0", colour="amortization")
    assert "there is only label, gap, reconstruction, variance" in app.warning[0].value
    assert app.selectbox(key="map_colour").options == ["label", "exact gap", "reconstruction error", "encoder variance"]
    assert "mixture of 3 Gaussians: its gap has no two parts" in captions(app)
    assert "Colour the map by the exact gap to have it computed" in captions(app)
    app.selectbox(key="map_colour").select("variance").run()
    assert not app.exception
    assert len(sent(app, "values")) == 1


def test_missing_gaps_are_offered_with_the_time_they_take() -> None:
    app = opened("bare", image="0", colour="gap")
    assert "Coloured by label: no exact gap has been computed yet" in captions(app)
    assert app.button(key="analyse").label == "Compute"
    assert "355 test images have not been computed yet. It takes" in app.info[0].value
    for _ in range(100):
        if re.search(r"It takes about \d+ (seconds|minutes)", app.info[0].value):
            break
        time.sleep(0.2)
        app.run()
    else:
        pytest.fail(app.info[0].value)
    part = opened("partial", image="0", colour="gap")
    assert part.button(key="analyse").label == "Go on"
    (scale,) = (each["scale"] for each in sent(part, "scale"))
    assert f"{HALF} of 355 images have a known exact gap, the others are small and grey" in scale["note"]
    assert f"Half of the {HALF} known of 355 images" in " ".join(element.value for element in part.markdown)


def test_surprises_are_among_the_worst_and_differ() -> None:
    app, order = opened("whole", image="3"), None
    found = wrong.values(checkpoint("whole"), "gap")
    order = np.argsort(-found)[:18]
    seen = [shown(app)]
    for _ in range(4):
        app.button(key="surprise").click().run()
        assert not app.exception
        seen.append(shown(app))
        assert seen[-1] != seen[-2]
        assert int(seen[-1].split("-")[1]) in order
    assert app.query_params["image"] in (seen[-1].split("-")[1], [seen[-1].split("-")[1]])


def test_a_clicked_row_shows_the_worst_of_its_label() -> None:
    app = opened("whole", image="3")
    app.session_state["worst_label"] = 7
    app.run()
    (strip,) = (data for data in sent(app, "captions") if data["captions"])
    assert set(strip["labels"]) == {"a 7"}
    assert app.query_params["label"] in ("7", ["7"])


def test_without_images_there_are_numbers_alone(shelf: Path) -> None:  # noqa: F811
    shutil.copytree(PRETRAINED / "dynamic-mnist-vae-2d", shelf / "absent", dirs_exist_ok=True)
    app = opened("absent", sample="0", colour="gap")
    assert len(sent(app, "values")) == 1
    assert "The images are not on this computer, so that the worst cannot be shown" in captions(app)
    assert not [data for data in sent(app, "captions") if data["captions"]]
    assert not [button for button in app.button if button.key in ("surprise", "analyse")]


def test_points_of_the_prior_have_no_gap() -> None:
    app = opened("homeless", sample="0", colour="gap")
    assert "the map shows points of the prior, which are no images" in captions(app)
    assert not sent(app, "values")
