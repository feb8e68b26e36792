"""The latent map coloured by a number, and the worst images, in a real browser."""

import re
from typing import TYPE_CHECKING

import pytest
from test_browser import PATIENCE, address, browser, heard  # noqa: F401  fixtures: the app and chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

MAP = ".st-key-map canvas"
LINK = "posterior?checkpoint=digits-rme5-2d&image=3"


def pixels(page: "Page") -> str:
    return page.locator(MAP).first.evaluate("canvas => canvas.toDataURL()")


def colours(page: "Page") -> int:
    """How many colours the map's dots have."""
    return page.locator(MAP).first.evaluate(
        """canvas => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
            const seen = new Set(new Uint32Array(data.buffer))
            return seen.size
        }"""
    )


def test_a_colouring_is_chosen_and_a_bad_image_opened(address: str, browser: "Browser") -> None:  # noqa: F811
    page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    complaints = heard(page, "posterior", "unsure")
    page.goto(f"{address}/{LINK}")
    page.locator(".look[data-pick=image-3]").wait_for(timeout=PATIENCE)
    page.locator(f"{MAP}[data-colouring='']").wait_for(timeout=PATIENCE)
    before = pixels(page)
    page.get_by_role("combobox", name="Colour the map by").click()
    page.get_by_role("option", name="exact gap").click()
    page.wait_for_url("**&colour=gap", timeout=PATIENCE)
    page.locator(f"{MAP}[data-colouring*=gap]").wait_for(timeout=PATIENCE)
    assert pixels(page) != before
    assert colours(page) > 30
    page.locator(".bar .ramp").wait_for()
    assert page.locator(".bar .tick").count() >= 2
    page.locator(MAP).first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.look').dataset.pick !== 'image-3'", timeout=PATIENCE)
    assert re.search(r"exact gap [\d.]+ nats", page.locator(".map .said").first.text_content())

    worst = page.locator(".st-key-worst button").nth(1)
    index = worst.get_attribute("data-index")
    worst.focus()
    page.keyboard.press("Enter")
    page.locator(f".look[data-pick=image-{index}]").wait_for(timeout=PATIENCE)
    page.wait_for_url(f"**image={index}&colour=gap", timeout=PATIENCE)
    page.get_by_role("button", name="Surprise me").click()
    page.wait_for_function(f"document.querySelector('.look').dataset.pick !== 'image-{index}'", timeout=PATIENCE)
    assert complaints == []


def test_a_row_of_the_histogram_chooses_its_label(address: str, browser: "Browser") -> None:  # noqa: F811
    page = browser.new_context(viewport={"width": 1440, "height": 1400}).new_page()
    page.goto(f"{address}/{LINK}&colour=variance")
    bar = page.locator(".st-key-by_label .barlayer .trace").nth(2).locator("path").nth(3)
    bar.wait_for(timeout=PATIENCE)
    bar.scroll_into_view_if_needed()
    bar.hover(force=True)
    page.locator(".st-key-by_label .hovertext").wait_for(timeout=PATIENCE)
    box = bar.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_url(re.compile(r"&label=2"), timeout=PATIENCE)
    page.locator(".st-key-worst button[aria-label*=', a 2']").first.wait_for(timeout=PATIENCE)
    assert page.locator(".st-key-worst button").count() == 10
