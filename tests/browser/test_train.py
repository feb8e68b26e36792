"""A small model of the digits is trained to its end in a real browser, and opened on the page of the posterior."""

import re
from typing import TYPE_CHECKING

import pytest
from test_browser import PATIENCE, address, browser, heard  # noqa: F401  fixtures: the app, served once, and chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


def test_digits_are_trained_to_the_end_and_opened(address: str, browser: "Browser") -> None:  # noqa: F811
    page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    complaints = heard(page, "train", "posterior")
    page.goto(f"{address}/train")
    page.get_by_label("Epochs").fill("25", timeout=PATIENCE)
    page.get_by_label("Epochs").press("Enter")
    page.get_by_text(re.compile("^Estimate")).wait_for(timeout=PATIENCE)
    page.get_by_label("Name", exact=True).fill("browser-made")
    page.get_by_label("Name", exact=True).press("Enter")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/train?run=browser-made*", timeout=PATIENCE)
    page.get_by_role("heading", name="browser-made").wait_for(timeout=PATIENCE)
    page.reload()  # it goes on without the page
    page.get_by_text(re.compile("Finished after 25 epochs")).wait_for(timeout=4 * PATIENCE)
    page.locator(".st-key-train_loss .js-plotly-plot").wait_for(timeout=PATIENCE)
    assert page.locator(".shots img").count() == 2
    before = page.locator(".shots img").first.get_attribute("src")
    page.get_by_role("button", name="Play").click()  # the lesson begins again at the first epoch
    page.wait_for_function(
        "before => document.querySelector('.shots img').src !== before", arg=before, timeout=PATIENCE
    )
    page.get_by_role("link", name="Open it").click()
    page.wait_for_url("**/posterior?checkpoint=browser-made*", timeout=PATIENCE)
    page.locator(".look").wait_for(timeout=PATIENCE)
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(address: str, browser: "Browser", scheme: str) -> None:  # noqa: F811
    page = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme).new_page()
    page.goto(f"{address}/train")
    page.get_by_text(re.compile("^Estimate")).wait_for(timeout=PATIENCE)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
