"""The page of priors in a real browser: clicks on the map and on the samples, the link to what they show, a phone."""

import re
from typing import TYPE_CHECKING

import pytest
from test_browser import PATIENCE, address, browser, heard  # noqa: F401  fixtures: the app, served once, and chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


def opened(browser: "Browser", url: str, **screen: object) -> tuple["Page", list[str]]:  # noqa: F811
    """The page when its map and its samples are there, and what its console complains about."""
    page = browser.new_context(**screen).new_page()
    complaints = heard(page, "prior")
    page.goto(url)
    page.locator(".place").wait_for(timeout=PATIENCE)
    page.locator(".strip button").first.wait_for(timeout=PATIENCE)
    page.locator(".field canvas[data-chosen]").wait_for(timeout=PATIENCE)
    return page, complaints


def settled(page: "Page", before: str) -> str:
    """Wait until the numbers are of another z than before; which that is."""
    page.wait_for_function(
        "before => ![before, undefined].includes(document.querySelector('.place')?.dataset.z)",
        arg=before,
        timeout=PATIENCE,
    )
    return page.locator(".place").get_attribute("data-z")


def numbers_of(tip: str) -> list[float]:
    """log q(z) and log p(z) as the map's tooltip has them."""
    found = re.search(r"log q (\S+), log p (\S+)", tip.replace("\N{MINUS SIGN}", "-"))
    return [float(found[1]), float(found[2])]


def densities(page: "Page") -> list[float]:
    """log q(z) and the first log p(z) as the panel beside the map has them."""
    rows = page.locator(".place dt b").all_inner_texts()[:2]
    return [float(row.replace("\N{MINUS SIGN}", "-").replace(",", "")) for row in rows]


def shows(page: "Page", z: str) -> None:
    """Wait until the numbers are those of z."""
    page.locator(f".place[data-z='{z}']").wait_for(timeout=PATIENCE)


def test_map_keys_and_samples_choose_and_the_link_shows_the_same(address: str, browser: "Browser") -> None:  # noqa: F811
    page, complaints = opened(browser, f"{address}/prior?checkpoint=small&with=trained&z=0,0")
    assert page.locator(".line").count() == 2
    box = page.locator(".field canvas").bounding_box()
    at = box["x"] + 0.7 * box["width"], box["y"] + 0.3 * box["height"]
    page.mouse.move(*at)
    told = page.locator(".field .tip").inner_text()
    page.mouse.click(*at)
    clicked = settled(page, "0.000,0.000")
    assert numbers_of(told) == pytest.approx(densities(page), abs=0.051)  # rounded to a tenth; two digits below one
    assert all(float(part) > 0 for part in clicked.split(","))
    numbers = page.locator(".place").inner_text()
    page.wait_for_url(re.compile(r"z=(?!0(,|%2C)0(&|$))"), timeout=PATIENCE)  # the click's, not the first one's

    other, more = opened(browser, page.url)
    shows(other, clicked)
    assert other.locator(".place").inner_text() == numbers
    other.context.close()

    page.locator(".field canvas").press("ArrowLeft")
    moved = settled(page, clicked)
    assert float(moved.split(",")[0]) < float(clicked.split(",")[0])
    tile = page.locator(".strip button").nth(7)
    tile.click()
    settled(page, moved)
    page.wait_for_url("**z=7", timeout=PATIENCE)
    page.locator(".place", has_text="low posterior sample 7").wait_for(timeout=PATIENCE)
    page.locator(".strip button[aria-pressed=true]").nth(0).wait_for(timeout=PATIENCE)
    assert tile.get_attribute("aria-pressed") == "true"
    page.go_back()
    shows(page, moved)  # which it may do before anybody can ask what it showed
    assert complaints == more == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(address: str, browser: "Browser", scheme: str) -> None:  # noqa: F811
    screen = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}
    page, complaints = opened(browser, f"{address}/prior?checkpoint=small", **screen)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    assert complaints == []
