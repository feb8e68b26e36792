"""Two visitors at once: neither disturbs the other's form, and what one trains, renames and deletes the other sees."""

import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from test_browser import PATIENCE, address, browser, heard  # noqa: F401  fixtures: the app, served once, and chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


def visitor(browser: "Browser", link: str) -> "Page":  # noqa: F811
    """A browser of its own at the form of a new run, once the form stands."""
    page = browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True).new_page()
    page.goto(link)
    page.get_by_text(re.compile("^Estimate")).wait_for(timeout=PATIENCE)
    return page


def begin(page: "Page", name: str) -> None:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Name", exact=True).press("Enter")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(f"**/train?run={name}*", timeout=PATIENCE)


def test_two_visitors_train_rename_download_and_delete(address: str, browser: "Browser", tmp_path: Path) -> None:  # noqa: F811
    link = f"{address}/train?system=hf&data=digits&epochs=5&seed=3&steps=2&likelihood=bernoulli"
    one, two = visitor(browser, link), visitor(browser, f"{address}/train?epochs=4")
    complaints = heard(one, "train", "checkpoints")
    assert one.get_by_label("Epochs").input_value() == "5"
    assert one.get_by_label("steps", exact=True).input_value() == "2"  # a link that speaks of options opens them
    begin(one, "visitor-one")
    begin(two, "visitor-two")  # waits for its turn
    for page, epochs in ((one, 5), (two, 4)):
        page.get_by_text(re.compile(f"^Finished after {epochs} epochs")).wait_for(timeout=4 * PATIENCE)
        assert page.get_by_label("Epochs").input_value() == str(epochs)
    assert "seed=3" in one.url
    assert "seed" not in two.url
    with one.expect_download() as held:
        one.get_by_role("button", name="Download", exact=True).click()
    held.value.save_as(tmp_path / "run.zip")
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        assert {"visitor-one/config.json", "visitor-one/model.safetensors"} <= set(archive.namelist())
    one.get_by_role("button", name="Rename").click()
    one.get_by_label("New name").fill("visitor-renamed")
    one.get_by_label("New name").press("Enter")
    one.locator(".st-key-train_rename button").click()
    one.get_by_role("heading", name="visitor-renamed").wait_for(timeout=PATIENCE)
    two.goto(f"{address}/checkpoints?checkpoint=visitor-renamed")
    two.get_by_role("heading", name=re.compile(r"^HF\(2\) of 2 latent dimensions on digits")).wait_for(timeout=PATIENCE)
    two.get_by_role("button", name="Delete").click()
    two.get_by_text("for good? There is no way back.").wait_for(timeout=PATIENCE)
    two.get_by_role("button", name="Yes, delete it").click()
    two.get_by_text("visitor-renamed is deleted.").wait_for(timeout=PATIENCE)
    one.reload()
    one.get_by_text("'visitor-renamed', which is not here").wait_for(timeout=PATIENCE)
    assert complaints == []
