"""The components alone, in a real browser without the app: drawings in boxes that are nearly nothing, and words."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pages import scripts
from test_browser import browser  # noqa: F401  fixture: chromium

from app import figures
from app.numbers import nats, significant
from vaecore.text import counted

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

APP = Path(__file__).parents[2] / "app"
POINTS = figures.packed(np.array([[0.0, 1.0], [-2.0, 0.5]], "f4"), "f4")
NOTHING = figures.packed(np.zeros(8, "f4"), "f4")
PIXEL = figures.data_uri(np.zeros((1, 2, 2), "f4"))
PLACED = {"frame": [-1, 1, -1, 1], "what": "test image", "colours": figures.CLASSES, "chosen": 0}
OUTSIDE = {**PLACED, "chosen": -1, "here": [0.5, 0.5], "spread": [-1.0, float("nan")]}
FIELD = {"field": "f", "shape": [2, 2], "frame": [-3, 3, -3, 3], "numbers": NOTHING, "dots": POINTS, "picture": PIXEL}
CHOSEN = {"field": "f", "chosen": [0.5, 0.5], "log": [-1, -2], "lows": [[0, 0]], "circles": True, "alt": "A map"}
DRAWINGS = {
    "latent_map": [{"cloud": "c", "points": POINTS, "labels": ""}, {"cloud": "c", **PLACED}, {"cloud": "c", **OUTSIDE}],
    "prior_map": [FIELD, CHOSEN],
    "easel": [{"size": 8, "brush": 0.1, "picture": None, "channels": 1}],
}
DRAW = """async ([code, name, sent, side]) => {
    const size = `width: ${side}px; height: ${side}px`
    document.body.innerHTML = `<div id="parent"><div class="root ${name}" style="${size}"></div></div>`
    const parentElement = document.getElementById("parent")
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }))
    const { default: draw } = await import(url)
    const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
    for (const data of sent) {
        const awaited = data.picture && !globalThis.vaescopeFields?.has(data.field)
        const arrived = new Promise((done) => window.addEventListener("vaescope-field", done, { once: true }))
        draw({ data, parentElement, setTriggerValue: () => {}, setStateValue: () => {} })
        await (awaited ? arrived : frame()) // the picture is decoded, what watches sizes has been called
    }
    return [...parentElement.querySelectorAll("canvas")].length
}"""


@pytest.fixture(scope="module")
def page(browser: "Browser") -> "Page":  # noqa: F811
    return browser.new_page()


@pytest.mark.parametrize("side", [0, 10, 20, 300])
@pytest.mark.parametrize("component", DRAWINGS)
def test_a_box_that_is_nearly_nothing_stops_no_drawing(page: "Page", component: str, side: int) -> None:
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    code, root = scripts()[component]
    assert page.evaluate(DRAW, [code, root, DRAWINGS[component], side]) >= 1
    assert wrong == []


def test_circles_of_any_radius_are_drawn(page: "Page") -> None:
    code = (APP / "components" / "circle.js").read_text()
    page.evaluate(
        """(code) => {
            const pen = document.createElement("canvas").getContext("2d")
            const circle = new Function(`${code}; return circle`)()
            for (const radius of [-1, NaN, undefined, 0, 3]) circle(pen, 1, 1, radius)
        }""",
        code,
    )


def test_the_browser_says_numbers_as_the_panels_do(page: "Page") -> None:
    generator = np.random.default_rng(0)
    values = [*(k / 8 for k in range(-40, 40)), 0.0, 0.15, 1.005, 9.995, 99.95, 1234.5, -1e6, 1e-5, 0.00012345]
    values += (generator.standard_normal(300) * 10.0 ** generator.integers(-5, 6, 300)).astype("f4").tolist()
    code = (APP / "components" / "words.js").read_text()
    said = page.evaluate(
        """([code, values]) => {
            const [nats, significant, counted] = new Function(`${code}; return [nats, significant, counted]`)()
            const counts = [0, 1, 2, 12000, 1234567].map((number) => counted(number, "test image"))
            return [values.map(nats), values.map(significant), counts]
        }""",
        [code, values],
    )
    wanted = [[rule(value) for value in values] for rule in (nats, significant)]
    assert said == [*wanted, [counted(number, "test image") for number in (0, 1, 2, 12_000, 1_234_567)]]
