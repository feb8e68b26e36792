"""The page of codes in a real browser: a line around points in one map shows in the other, and in the link."""

import re
from typing import TYPE_CHECKING

import pytest
from test_browser import PATIENCE, address, browser, heard  # noqa: F401  fixtures: the app, served once, and chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

IMAGES = 355  # test images of digits
PIXELS = "canvas => canvas.toDataURL()"


def opened(browser: "Browser", url: str, **screen: object) -> tuple["Page", list[str]]:  # noqa: F811
    """The page when its maps are drawn, and what its console complains about."""
    page = browser.new_context(**screen).new_page()
    complaints = heard(page, "learned")
    page.goto(url)
    page.locator(f".over[data-drawn='{IMAGES}']").last.wait_for(timeout=PATIENCE)
    page.locator(".groups").first.wait_for(timeout=PATIENCE)
    return page, complaints


def enclose(page: "Page", place: int, corners: list[tuple[float, float]]) -> None:
    """Press on a map and draw a line over these places, in shares of its sides; the button stays down."""
    box = page.locator(".over").nth(place).bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*points[0])
    page.mouse.down()
    for x, y in points[1:]:
        page.mouse.move(x, y, steps=4)


def selected(page: "Page") -> int:
    """How many images the server says are selected."""
    return int(page.locator(".common").get_attribute("data-selected", timeout=PATIENCE))


def counted(page: "Page") -> int:
    """How many the browser counts."""
    return int(page.locator(".scatter[data-selected]").last.get_attribute("data-selected") or -1)


def test_a_line_in_one_map_selects_in_the_other_at_once_and_the_link_shows_the_same(
    address: str,  # noqa: F811
    browser: "Browser",  # noqa: F811
) -> None:
    page, complaints = opened(browser, f"{address}/learned?checkpoint=trained&with=small")
    other = page.locator(".dots").nth(1)
    before = other.evaluate(PIXELS)
    enclose(page, 0, [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)])
    page.wait_for_timeout(500)
    assert other.evaluate(PIXELS) != before  # before the server has heard of it
    live = counted(page)
    assert 5 < live < IMAGES
    page.mouse.up()
    assert selected(page) == live == counted(page)
    page.wait_for_url(re.compile("select=0_z_"), timeout=PATIENCE)

    again, more = opened(browser, page.url)
    assert selected(again) == live
    again.wait_for_function("n => document.body.innerText.includes(`${n} of 355 images`)", arg=live, timeout=PATIENCE)
    same = again.locator(".dots").nth(1)
    for _ in range(50):  # the words may be there before the dots are painted anew
        if same.evaluate(PIXELS) == other.evaluate(PIXELS):
            break
        again.wait_for_timeout(100)
    assert same.evaluate(PIXELS) == other.evaluate(PIXELS)
    again.context.close()

    # A label of the legend, the keys, and nothing again.
    page.locator(".legend button", has_text="3").first.click()
    page.wait_for_url(re.compile("select=0_label_3"), timeout=PATIENCE)
    assert "all are 3" in page.locator(".common").inner_text(timeout=PATIENCE)
    page.locator(".over").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("select=0_z_"), timeout=PATIENCE)
    page.wait_for_function("!document.body.innerText.includes('all are 3')", timeout=PATIENCE)
    assert 50 <= selected(page) == counted(page) < 100
    page.keyboard.press("Backspace")
    page.get_by_text("Enclose points in a map").wait_for(timeout=PATIENCE)
    assert complaints == more == []


def test_the_pointer_shows_an_image_and_the_wheel_zooms(address: str, browser: "Browser") -> None:  # noqa: F811
    page, complaints = opened(browser, f"{address}/learned?checkpoint=trained&with=small")
    page.locator(".over").first.focus()
    page.keyboard.press("ArrowRight")
    page.locator(".picture:visible").wait_for(timeout=PATIENCE)
    assert re.match(r"test image \d+: \d", page.locator(".tip:visible").inner_text())
    before = page.locator(".dots").first.evaluate(PIXELS)
    box = page.locator(".over").first.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(500)
    zoomed = page.locator(".dots").first.evaluate(PIXELS)
    assert zoomed != before
    page.locator("button.whole").click()
    page.wait_for_timeout(500)
    assert page.locator(".dots").first.evaluate(PIXELS) == before
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(address: str, browser: "Browser", scheme: str) -> None:  # noqa: F811
    screen = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}
    page, complaints = opened(browser, f"{address}/learned?checkpoint=trained&with=small", **screen)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    assert complaints == []
