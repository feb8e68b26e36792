"""Two browsers at an app that is open to others: a cookie tells them apart, and hostile texts stay texts."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from test_browser import PATIENCE, address, browser  # noqa: F401  fixtures: the app, served once, and chromium
from test_browser_visitors import begin, visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
STRANGE = "belongs to the visitor whose browser made it"
HOSTILE = "![a](http://evil.org/a.png) [b](http://evil.org) :red[c] $d$ `e` www.evil.org **f** :smile: x@evil.org"


@pytest.fixture(scope="module", autouse=True)
def _public() -> Iterator[None]:
    """Before the app is served: it is open to others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "VAESCOPE_PUBLIC", "1")
        yield


def test_the_browser_that_began_a_run_alone_may_stop_it(_public: None, address: str, browser: "Browser") -> None:  # noqa: F811, PT019
    one = visitor(browser, f"{address}/train?epochs=5000")
    begin(one, "ones-run")
    one.get_by_role("button", name="Pause").wait_for(timeout=PATIENCE)
    two = browser.new_context().new_page()
    two.goto(f"{address}/train?run=ones-run")
    two.get_by_text(STRANGE).wait_for(timeout=PATIENCE)
    assert two.get_by_role("button", name="Pause").count() == 0
    [cookie] = [found for found in one.context.cookies() if found["name"] == "vaescope_visitor"]
    assert cookie["sameSite"] == "Strict"
    one.reload()  # the same browser in a new session
    one.get_by_role("button", name="Pause").click(timeout=PATIENCE)
    one.get_by_role("button", name="Resume").wait_for(timeout=PATIENCE)
    one.get_by_role("button", name="Delete").click()
    one.get_by_role("button", name="Yes, delete it").click()
    one.get_by_text("No run yet").wait_for(timeout=PATIENCE)


def test_what_a_link_says_is_shown_letter_by_letter(address: str, browser: "Browser") -> None:  # noqa: F811
    page = browser.new_context().new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/checkpoints?" + "checkpoint=" + HOSTILE.replace("&", "%26").replace("#", "%23"))
    warning = page.get_by_text("The link asks for the checkpoint").first
    warning.wait_for(timeout=PATIENCE)
    said = warning.inner_text().replace("\N{WORD JOINER}", "")
    assert HOSTILE[:60] in said
    assert warning.locator("img, a, code, .katex, strong, [style*=color]").count() == 0
    assert not any("evil.org/" in url.removeprefix(address) and not url.startswith(address) for url in asked)
