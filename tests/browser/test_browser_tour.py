"""The guided tour in a real browser: all six steps by their links, the keyboard, and a note that is opened."""

import re
from typing import TYPE_CHECKING

import pytest
from test_browser import PATIENCE, address, browser, heard  # noqa: F401  fixtures: the app, served once, and chromium

from app.tour import STEPS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


def test_all_six_steps_by_their_links(address: str, browser: "Browser") -> None:  # noqa: F811
    page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    complaints = heard(page, "tour", *(step.view for step in STEPS))
    page.goto(f"{address}/tour")
    page.get_by_role("link", name="Go to step 1").click(timeout=PATIENCE)
    for number, step in enumerate(STEPS, 1):
        banner = page.locator(".st-key-tour_banner")
        banner.get_by_text(f"Step {number} of 6: {step.title}.").wait_for(timeout=PATIENCE)
        page.wait_for_url(re.compile(rf"/{step.view}\?.*tour={number}"), timeout=PATIENCE)
        page.get_by_text("How is this computed?").wait_for(timeout=PATIENCE)
        page.wait_for_url(re.compile(rf"/{step.view}\?.*tour={number}"), timeout=PATIENCE)  # as the page wrote it
        assert page.locator("[data-testid=stException], [data-testid=stAlertContentError]").count() == 0
        if number < len(STEPS):
            onward = banner.get_by_role("link", name=f"Next: {STEPS[number].title}")
            onward.focus()
            page.keyboard.press("Enter")
    page.get_by_role("link", name="The tour ends here").click()
    page.wait_for_url(re.compile(r"/tour(?!.*tour=)"), timeout=PATIENCE)
    assert complaints == []


def test_a_note_opens_by_keyboard_and_stands_in_the_address(address: str, browser: "Browser") -> None:  # noqa: F811
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    complaints = heard(page, "tour", *(step.view for step in STEPS))
    page.goto(f"{address}/posterior?checkpoint=digits-vae-2d&image=47&tour=2")
    pill = page.get_by_role("radio", name="amortization gap").or_(page.get_by_role("button", name="amortization gap"))
    pill.first.wait_for(timeout=PATIENCE)
    pill.first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("note=amortization-gap"), timeout=PATIENCE)
    page.get_by_text("self.total - self.approximation").wait_for(timeout=PATIENCE)
    assert "tour=2" in page.url
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    assert complaints == []
