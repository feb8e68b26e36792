"""The whole posterior page by keyboard, and as a link that another browser opens."""

import re
from typing import TYPE_CHECKING

import pytest
from test_browser import PATIENCE, Visit, address, browser  # noqa: F401  fixtures: the app, served once, and chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

AT = """() => {
  let at = document.activeElement
  while (at.shadowRoot?.activeElement) at = at.shadowRoot.activeElement
  const style = [at, at.parentElement, at.parentElement?.parentElement].map((e) => e && getComputedStyle(e))
  const seen = (s) => s && (s.outlineStyle !== "none" || s.boxShadow !== "none")
  const name = at.getAttribute("aria-label") || at.textContent || ""
  return [`${at.tagName} ${name.trim().slice(0, 60)}`, style.some(seen), at.getBoundingClientRect().y]
}"""


def tabbed(page: "Page", wanted: str, most: int = 30) -> str:
    """Press Tab until the control is reached; what it is. Whatever is met of our own shows that it is."""
    for _ in range(most):
        page.keyboard.press("Tab")
        name, ringed, _ = page.evaluate(AT)
        if re.match("CANVAS|DIV|BUTTON (test|Keep)", name):
            assert ringed, name
        if re.search(wanted, name):
            return name
    pytest.fail(f"{most} times Tab do not lead to {wanted}, but to {name}")


def test_all_is_done_by_keys_alone(address: str, browser: "Browser") -> None:  # noqa: F811
    visit = Visit(
        browser, f"{address}/posterior?checkpoint=digits-vae-2d&image=7", viewport={"width": 1440, "height": 900}
    )
    page = visit.page
    page.locator(".pad[data-drawn]").first.wait_for(timeout=PATIENCE)
    page.locator(".st-key-worst button").first.wait_for(timeout=PATIENCE)
    tabbed(page, "BUTTON test image", 25)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    index = visit.settled("7")
    tabbed(page, "BUTTON true posterior", 5)  # past all other images
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url("**&hide=q", timeout=PATIENCE)
    tabbed(page, "DIV Decode any z")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url("**&z=*&hide=q", timeout=PATIENCE)
    tabbed(page, "INPUT Colour the map by")
    page.keyboard.press("ArrowDown")
    page.get_by_role("option").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**&colour=*", timeout=PATIENCE)
    tabbed(page, "CANVAS Latent map")
    page.keyboard.press("ArrowLeft")
    visit.settled(index)
    tabbed(page, r"BUTTON test image \d+, a \d, [\d.,]+ nats")
    page.keyboard.press("ArrowRight")
    worst = page.evaluate(AT)[0]
    page.keyboard.press("Enter")
    page.locator(f".look[data-pick=image-{re.search('[0-9]+', worst)[0]}]").wait_for(timeout=PATIENCE)
    assert visit.complaints == []


def test_a_link_shows_every_choice_to_another_browser(address: str, browser: "Browser") -> None:  # noqa: F811
    choices = "with=digits-rme5-2d&z=0.5,-1&hide=best&draw=3&colour=variance&label=4"
    visit = Visit(browser, f"{address}/posterior?checkpoint=digits-vae-2d&image=7&{choices}")
    page = visit.page
    page.locator(".pad[data-pinned=true][data-z='0.5000,-1.0000']").first.wait_for(timeout=PATIENCE)
    page.locator(".map canvas[data-colouring*=variance]").first.wait_for(timeout=PATIENCE)
    page.locator(".st-key-multiples .contourlayer").wait_for(timeout=PATIENCE)
    pressed = page.locator("button[aria-checked=true], button[aria-pressed=true], button[kind=pillsActive]")
    shown = page.locator(".st-key-picture .legendtext").all_text_contents()
    assert "VAE" in shown
    assert "best Gaussian" not in shown
    page.get_by_text("seed 3", exact=True).wait_for()
    assert pressed.filter(has_text=re.compile("^4$")).count() == 1
    assert page.locator(".st-key-worst button[aria-label*=', a 4']").count() == 10
    assert page.locator(".stAlert").count() == 0
    assert visit.complaints == []


def test_bad_values_are_named_and_fall_back(address: str, browser: "Browser") -> None:  # noqa: F811
    bad = "image=-1&with=nobody&z=1;2&hide=all&draw=x&colour=red&label=99"
    visit = Visit(browser, f"{address}/posterior?checkpoint=digits-vae-2d&{bad}")
    notes = visit.page.locator(".stAlert")
    notes.nth(6).wait_for(timeout=PATIENCE)
    said = " ".join(notes.all_inner_texts())
    for told in ("'-1'", "'nobody'", "'1;2'", "'all'", "'x'", "'red'", "'99'"):
        assert told in said
    visit.page.wait_for_url(re.compile(r"checkpoint=digits-vae-2d&image=\d+$"), timeout=PATIENCE)
    assert visit.complaints == []
