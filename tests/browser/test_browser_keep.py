"""Keeping a view, in a real browser: the files are opened again, the last of them without a net."""

import base64
import csv
import io
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from test_browser import PATIENCE, Visit, address, browser  # noqa: F401  fixtures: the app, served once, and chromium

from app import figures

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

SVG = "{http://www.w3.org/2000/svg}"


def kept(page: "Page", button: str, folder: Path, row: str = "keep_view") -> Path:
    """The file that a button of the row gives, by the keyboard."""
    control = page.locator(f".st-key-{row}").get_by_role("button", name=button)
    control.focus()
    with page.expect_download(timeout=PATIENCE) as waiting:
        page.keyboard.press("Enter")
    file = folder / waiting.value.suggested_filename
    waiting.value.save_as(file)
    return file


def colours(page: "Page", url: str) -> int:
    """How many colours a picture file shows."""
    page.goto("about:blank")
    page.set_content(f'<img src="{url}">')
    return page.evaluate(
        """async () => {
            const image = document.querySelector("img")
            await image.decode()
            const canvas = Object.assign(document.createElement("canvas"), { width: 200, height: 200 })
            const pen = canvas.getContext("2d")
            pen.drawImage(image, 0, 0, 200, 200)
            return new Set(new Uint32Array(pen.getImageData(0, 0, 200, 200).data.buffer)).size
        }"""
    )


def data_uri(file: Path, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"


@pytest.fixture(scope="module")
def files(address: str, browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> dict:  # noqa: F811
    visit = Visit(browser, f"{address}/posterior?checkpoint=small&image=7")
    visit.page.locator(".pad[data-drawn]").wait_for(timeout=PATIENCE)
    box = visit.page.locator(".st-key-picture .main-svg").first.bounding_box()
    folder = tmp_path_factory.mktemp("kept")
    found = {name: kept(visit.page, name, folder) for name in ("PNG", "SVG", "CSV", "HTML")}
    found |= {
        f"map {kind}": kept(visit.page, f"latent map as {kind}", folder, "keep_the_map") for kind in ("PNG", "SVG")
    }
    assert visit.complaints == []
    return {**found, "size": (round(box["width"]), round(box["height"])), "numbers": visit.numbers}


def test_the_svg_stands_alone(files: dict, browser: "Browser") -> None:  # noqa: F811
    assert files["SVG"].name == "small-image-7.svg"
    text = files["SVG"].read_text()
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert (float(root.get("width")), float(root.get("height"))) == pytest.approx(files["size"], abs=1)
    assert "Test image 7" in root.find(f"{SVG}title").text
    assert "http" not in text.replace("http://www.w3.org/", "")
    page = browser.new_context(offline=True).new_page()
    assert colours(page, data_uri(files["SVG"], "svg+xml")) > 30


def test_the_png_is_sharp_and_not_blank(files: dict, browser: "Browser") -> None:  # noqa: F811
    width, height = struct.unpack(">II", files["PNG"].read_bytes()[16:24])
    assert (width / 3, height / 3) == pytest.approx(files["size"], abs=1)
    page = browser.new_context(offline=True).new_page()
    assert colours(page, data_uri(files["PNG"], "png")) > 30


def test_the_latent_map_is_a_drawing_with_every_code_and_a_key(files: dict, browser: "Browser") -> None:  # noqa: F811
    text = files["map SVG"].read_text()
    root = ElementTree.fromstring(text)
    assert re.search(r"codes of 355 test images.*ringed one is test image 7", root.find(f"{SVG}title").text)
    colours_of_dots = {path.get("fill") for path in root.iter(f"{SVG}path")} & set(figures.CLASSES)
    assert len(colours_of_dots) == 10
    dots = [path for path in root.iter(f"{SVG}path") if path.get("fill-opacity") == "0.75"]
    assert sum(path.get("d").count("M") for path in dots) == 355
    words = [element.text for element in root.iter(f"{SVG}text")]
    assert {"z1", "z2", "0", "9"} <= set(words)
    assert any("1, 2, 3 sd of N(0, I)" in word for word in words)
    width, height = (float(root.get(side)) for side in ("width", "height"))
    sharp = struct.unpack(">II", files["map PNG"].read_bytes()[16:24])
    assert sharp == pytest.approx((3 * width, 3 * height), abs=1)
    page = browser.new_context(offline=True).new_page()
    for kind, mime in (("SVG", "svg+xml"), ("PNG", "png")):
        assert colours(page, data_uri(files[f"map {kind}"], mime)) > 30


def test_the_csv_has_the_panels_rows(files: dict) -> None:
    rows = list(csv.DictReader(io.StringIO(files["CSV"].read_bytes().decode())))
    assert len(rows) == 6
    assert all(row["quantity"] in files["numbers"] for row in rows)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_html_decodes_without_a_net(files: dict, browser: "Browser", scheme: str) -> None:  # noqa: F811
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme, offline=True)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
    page.goto(files["HTML"].as_uri())
    pad = page.locator(".pad[data-drawn]")
    pad.wait_for()
    picture = "() => document.querySelector('.decoded').toDataURL()"
    seen = [(pad.get_attribute("data-z"), page.evaluate(picture), page.locator(".pad .rows").inner_text())]
    page.locator("#plane").scroll_into_view_if_needed()
    box = page.locator("#plane").bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.8 * box["height"])
    page.wait_for_function("before => document.querySelector('.pad').dataset.z !== before", arg=seen[0][0])
    seen.append((pad.get_attribute("data-z"), page.evaluate(picture), page.locator(".pad .rows").inner_text()))
    pad.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function("before => document.querySelector('.pad').dataset.z !== before", arg=seen[1][0])
    assert page.locator("#plane-mark").get_attribute("visibility") == "visible"
    for before, after in zip(seen[0], seen[1], strict=True):
        assert before != after
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert complaints == []


def test_picture_and_numbers_are_there_without_scripts(files: dict, browser: "Browser") -> None:  # noqa: F811
    page = browser.new_context(java_script_enabled=False, offline=True).new_page()
    page.goto(files["HTML"].as_uri())
    assert page.locator("svg.plane path").count() >= 6
    assert "log p(x)" in page.locator(".numbers").inner_text()


def test_the_tab_key_reaches_all_controls(address: str, browser: "Browser") -> None:  # noqa: F811
    visit = Visit(browser, f"{address}/posterior?checkpoint=small&image=7")
    visit.page.locator(".pad[data-drawn]").wait_for(timeout=PATIENCE)
    met = set()
    for _ in range(110):
        visit.page.keyboard.press("Tab")
        met.add(
            visit.page.evaluate(
                """() => {
                    let at = document.activeElement
                    while (at.shadowRoot?.activeElement) at = at.shadowRoot.activeElement
                    const name = at.getAttribute("aria-label") || at.textContent || ""
                    return `${at.tagName} ${name.trim().slice(0, 40)}`
                }"""
            )
        )
    said = "\n".join(sorted(met))
    for wanted in ("test image", "CANVAS Latent map", "DIV Decode any z", "Keep the picture as PNG", "CSV", "HTML"):
        assert wanted in said, said
    for wanted in ("Draw others", "Copy the link", "SUMMARY Keep the figures"):
        assert wanted in said, said
