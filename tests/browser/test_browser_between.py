"""The page of interpolations in a real browser: clicks on the strip and the map, the link to the rows, a phone."""

import re
from typing import TYPE_CHECKING

import pytest
from test_browser import PATIENCE, address, browser, heard  # noqa: F401  fixtures: the app, served once, and chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

ROWS = "[...document.querySelectorAll('.way')].map((way) => way.dataset.pair)"


def opened(browser: "Browser", url: str, **screen: object) -> tuple["Page", list[str]]:  # noqa: F811
    """The page when rows, map and samples are there, and what its console complains about."""
    page = browser.new_context(**screen).new_page()
    complaints = heard(page, "between")
    page.goto(url)
    for part in (".way", ".strip button", ".dreams", ".contourlayer", ".map canvas[data-chosen]"):
        page.locator(part).first.wait_for(timeout=PATIENCE)
    return page, complaints


def rows(page: "Page", count: int) -> list[str]:
    """The pairs of the rows when there are so many."""
    page.wait_for_function(f"count => {ROWS}.length === count", arg=count, timeout=PATIENCE)
    return page.evaluate(ROWS)


def click_map(page: "Page", across: float, down: float) -> None:
    canvas = page.locator(".map canvas")
    box = canvas.bounding_box()
    canvas.click(position={"x": across * box["width"], "y": down * box["height"]})


def test_clicks_make_rows_and_the_link_shows_the_same(address: str, browser: "Browser") -> None:  # noqa: F811
    page, complaints = opened(browser, f"{address}/between?checkpoint=small&with=trained&rows=5-9")
    buttons = page.locator(".strip button")
    first, second = (buttons.nth(place).get_attribute("data-index") for place in (2, 4))
    buttons.nth(2).click()
    page.get_by_text(f"From test image {first}").wait_for(timeout=PATIENCE)
    assert buttons.nth(2).get_attribute("aria-pressed") == "true"
    buttons.nth(4).click()
    assert rows(page, 2) == [f"{first}-{second}", "5-9"]
    page.get_by_text("Click two images").wait_for(timeout=PATIENCE)

    click_map(page, 0.4, 0.5)
    page.get_by_text("From test image").wait_for(timeout=PATIENCE)
    click_map(page, 0.6, 0.45)
    pairs = rows(page, 3)
    assert pairs[1:] == [f"{first}-{second}", "5-9"]
    page.wait_for_url(re.compile("rows=" + "(,|%2C)".join(pairs)), timeout=PATIENCE)

    other, more = opened(browser, page.url)
    assert rows(other, 3) == pairs
    assert other.locator(".way").first.inner_text() == page.locator(".way").first.inner_text()
    page.locator("[class*=st-key-remove-] button").first.click()
    assert rows(page, 2) == pairs[1:]
    page.go_back()
    assert rows(page, 3) == pairs
    assert complaints == more == []


def test_kinds_of_ways_and_numbers(address: str, browser: "Browser") -> None:  # noqa: F811
    page, complaints = opened(browser, f"{address}/between?checkpoint=trained&with=none&rows=5-9")
    before = page.locator(".frames").first.get_attribute("src")
    ways = page.get_by_role("radiogroup", name="Way")
    ways.get_by_role("radio", name="least change of pixels").click()
    page.wait_for_function("before => document.querySelector('.frames').src !== before", arg=before, timeout=PATIENCE)
    page.wait_for_url("**path=smoothest**", timeout=PATIENCE)
    page.get_by_label("Images by number").fill("1, 2, 3")
    page.keyboard.press("Enter")
    assert rows(page, 3) == ["1-2", "2-3", "5-9"]
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(address: str, browser: "Browser", scheme: str) -> None:  # noqa: F811
    screen = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}
    page, complaints = opened(browser, f"{address}/between?checkpoint=trained&with=none&rows=5-9", **screen)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    assert page.locator(".few").first.is_visible()
    assert not page.locator(".frames").first.is_visible()
    # Each image lies over its own place of the strip: half a step before the first it begins.
    few, heat = (page.locator(part).first.bounding_box() for part in (".few", ".heat"))
    assert abs(few["x"] + few["width"] / 32 - heat["x"]) < 2
    assert abs(few["width"] * 15 / 16 - heat["width"]) < 4
    for part in (".way", ".heat", ".dreams", ".js-plotly-plot"):
        box = page.locator(part).first.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    assert complaints == []
