"""Images of the visitor's own in a real browser: drawn with the mouse and the keyboard, uploaded, carried by a link."""

import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageDraw
from test_browser import PATIENCE, address, browser, heard  # noqa: F401  fixtures: the app and chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


def opened(browser: "Browser", url: str, **screen: object) -> tuple["Page", list[str]]:  # noqa: F811
    page = browser.new_context(**{"viewport": {"width": 1280, "height": 1300}, **screen}).new_page()
    complaints = heard(page, "posterior", "unsure")
    page.goto(url)
    return page, complaints


def stroke(page: "Page", *places: tuple[float, float]) -> None:
    box = page.locator(".easel canvas").bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=5)
    page.mouse.up()


def settled(page: "Page", before: str = "") -> str:
    """Which image the exact numbers are of, another than before."""
    page.wait_for_function(
        "before => ![before, undefined].includes(document.querySelector('.look')?.dataset.pick)",
        arg=before,
        timeout=PATIENCE,
    )
    return page.locator(".look").get_attribute("data-pick")


def ink(page: "Page") -> int:
    """How many of the canvas' pixels are bright."""
    return page.locator(".easel canvas").evaluate(
        """c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data
                 .filter((value, place) => place % 4 == 0 && value > 127).length"""
    )


def test_a_drawing_is_followed_undone_and_carried_by_its_link(address: str, browser: "Browser") -> None:  # noqa: F811
    page, complaints = opened(browser, f"{address}/posterior?checkpoint=trained&drawing=none")
    page.get_by_text("Draw something").wait_for(timeout=PATIENCE)
    page.locator(".easel canvas").wait_for(timeout=PATIENCE)
    stroke(page, (0.3, 0.2), (0.7, 0.2), (0.45, 0.8))
    first = settled(page)
    assert first.startswith("drawing-")
    page.locator(".gtitle").get_by_text("Your drawing").wait_for(timeout=PATIENCE)
    drawn, link = ink(page), page.url
    stroke(page, (0.35, 0.5), (0.7, 0.5))
    second = settled(page, first)
    assert ink(page) > drawn
    page.keyboard.press("Control+z")  # the canvas has the focus
    assert settled(page, second) == first
    assert ink(page) == drawn
    page.wait_for_url(link)

    other, quiet = opened(browser, page.url)
    assert settled(other) == first
    assert other.locator(".look").inner_text() == page.locator(".look").inner_text()
    other.wait_for_function(
        "() => document.querySelector('.steps')?.dataset.steps === '1'", timeout=PATIENCE
    )  # as the model saw it
    assert ink(other) > 1000
    page.locator(".easel").get_by_role("button", name="Clear").click()
    page.get_by_text("Draw something").wait_for(timeout=PATIENCE)
    assert complaints == quiet == []


def test_the_keyboard_draws_and_clears(address: str, browser: "Browser") -> None:  # noqa: F811
    page, complaints = opened(browser, f"{address}/posterior?checkpoint=trained&drawing=none")
    page.locator(".easel canvas").wait_for(timeout=PATIENCE)
    page.locator(".easel canvas").focus()
    for key in (" ", *["ArrowDown"] * 6, " "):
        page.keyboard.press(key)
    assert settled(page).startswith("drawing-")
    page.keyboard.press("Delete")
    page.get_by_text("Draw something").wait_for(timeout=PATIENCE)
    assert ink(page) == 0
    assert complaints == []


def test_an_upload_is_shown_as_the_model_sees_it_and_a_hostile_one_is_refused(
    address: str,  # noqa: F811
    browser: "Browser",  # noqa: F811
) -> None:
    picture, content = Image.new("RGB", (640, 480), (235, 230, 220)), io.BytesIO()
    ImageDraw.Draw(picture).line([(200, 100), (420, 100), (300, 400)], fill=(20, 30, 80), width=40)
    picture.save(content, "JPEG")
    page, complaints = opened(browser, f"{address}/posterior?checkpoint=trained&upload=none")
    files = page.locator("[data-testid=stFileUploader] input[type=file]")
    files.wait_for(state="attached", timeout=PATIENCE)
    files.set_input_files({"name": "seven.jpg", "mimeType": "image/jpeg", "buffer": content.getvalue()})
    first = settled(page)
    assert first.startswith("upload-")
    assert page.locator(".steps figure").count() == 6
    page.locator("[data-testid=stCheckbox]").filter(has_text="Cropped").click()
    settled(page, first)
    assert page.locator(".steps figure").count() == 5
    for name, bad in (("seven.png", b"<script>alert(1)</script>"), ("cut.jpg", content.getvalue()[:900])):
        page.get_by_role("button", name="Remove").click()
        page.get_by_text("Upload a picture").wait_for(timeout=PATIENCE)
        files.set_input_files({"name": name, "mimeType": "image/png", "buffer": bad})
        page.get_by_text("not a picture" if name == "seven.png" else "is damaged").wait_for(timeout=PATIENCE)
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_draws_with_a_finger_and_needs_no_sideways_scrolling(
    address: str,  # noqa: F811
    browser: "Browser",  # noqa: F811
    scheme: str,
) -> None:
    screen = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme, "has_touch": True}
    page, complaints = opened(browser, f"{address}/posterior?checkpoint=trained&drawing=none", **screen)
    page.locator(".easel canvas").wait_for(timeout=PATIENCE)
    box = page.locator(".easel canvas").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    settled(page)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    assert complaints == []
