"""Keeping a view, in a real browser: the files are opened again, the last of them without a net."""

import base64
import csv
import io
import struct
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from test_browser import PATIENCE, Visit, address, browser  # noqa: F401  fixtures: the app, served once, and chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

SVG = "{http://www.w3.org/2000/svg}"


def kept(page: "Page", button: str, folder: Path) -> Path:
    """The file that a button of the row gives, by the keyboard."""
    control = page.locator(".st-key-keep_view").get_by_role("button", name=button)
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
    assert page.locator("#mark").get_attribute("visibility") == "visible"
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
