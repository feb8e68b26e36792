"""The report of health in a real browser: measured by a job, stopped, kept, downloaded, and of a checkpoint dropped."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from test_browser import PATIENCE, ROOT, address, browser, heard  # noqa: F401  fixtures: the app, and chromium

import vaecore
from vaecore.shelf import pack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

NAME = "dropped-by-a-browser-test"


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[bytes]:
    """A small VAE as a zip; what the app keeps of it is gone in the end."""
    torch.manual_seed(0)
    yield pack(vaecore.save(vaecore.build("vae", (1, 8, 8), 6, net="small"), tmp_path / "mine", dataset="digits"))
    shutil.rmtree(ROOT / "brought" / NAME, ignore_errors=True)


def opened(browser: "Browser", url: str, **screen: object) -> tuple["Page", list[str]]:  # noqa: F811
    page = browser.new_context(**screen).new_page()
    complaints = heard(page, "health", "checkpoints")
    page.goto(url)
    page.locator(".health .answer").first.wait_for(timeout=PATIENCE)
    return page, complaints


def whole(page: "Page") -> None:
    """Wait for the end of the measurement."""
    page.get_by_text("Not complete.").wait_for(state="detached", timeout=2 * PATIENCE)
    page.get_by_role("rowheader", name="low posterior share").wait_for(timeout=PATIENCE)


def test_it_is_measured_stopped_gone_on_with_kept_and_downloaded(
    address: str,  # noqa: F811
    browser: "Browser",  # noqa: F811
    tmp_path: Path,
) -> None:
    page, complaints = opened(browser, f"{address}/health?checkpoint=trained")
    page.get_by_role("rowheader", name="ELBO", exact=True).wait_for(timeout=PATIENCE)
    assert "Not complete. So far:" in page.locator(".health .answer").inner_text()
    page.get_by_role("button", name="Measure it").click(timeout=PATIENCE)
    page.get_by_role("button", name="Stop").click(timeout=PATIENCE)
    page.get_by_role("button", name="Go on").click(timeout=PATIENCE)
    whole(page)
    for name in ("exact gap", "overfitting", "mutual information"):
        assert page.get_by_role("rowheader", name=name).count() == 1
    assert "On training images the gap is" in page.locator(".health").inner_text()
    plane = page.locator(".aggregate img").first
    assert re.search(r"q\(z\) of trained against p\(z\): KL.* nats; .*means .* variances", plane.get_attribute("alt"))
    assert plane.evaluate("image => image.naturalWidth") > 0

    again, more = opened(browser, f"{address}/health?checkpoint=trained")
    whole(again)
    assert again.get_by_role("progressbar").count() == 0
    assert again.locator(".health table").inner_text() == page.locator(".health table").inner_text()
    assert again.get_by_role("button", name="Stop").count() == 0

    with page.expect_download(timeout=PATIENCE) as waiting:
        page.get_by_role("button", name="Download the report").click()
    file = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(file)
    offline_file(browser, file, page.locator(".health tbody tr").count())
    assert complaints == more == []


def offline_file(browser: "Browser", file: Path, rows: int) -> None:  # noqa: F811
    """The report as a file, without a net, on a phone."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
    page.goto(file.as_uri())
    assert page.locator(".health tbody tr").count() == rows
    assert page.get_by_text("python -m vaecore health trained --seed 0").count() == 1
    assert page.locator("img").count() > 24
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert complaints == []


def test_a_phone_needs_no_sideways_scrolling(address: str, browser: "Browser") -> None:  # noqa: F811
    """Of the checkpoint that the first test has measured; who says what is usual is there to be read."""
    screen = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
    page, complaints = opened(browser, f"{address}/health?checkpoint=trained", **screen)
    whole(page)
    page.locator(".aggregate img").first.wait_for(timeout=PATIENCE)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    cells = page.locator(".health td small").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect().toJSON())"
    )
    assert len(cells) == 2 * page.locator(".health tbody tr").count()
    assert all(box["left"] >= 0 and box["right"] <= 390 and box["height"] > 0 for box in cells)
    assert complaints == []


def test_a_checkpoint_is_dropped_and_opens_here(address: str, browser: "Browser", mine: bytes) -> None:  # noqa: F811
    page, complaints = opened(browser, f"{address}/health?checkpoint=trained")
    page.get_by_role("button", name="Drop your own checkpoint").click(timeout=PATIENCE)
    chooser, take = page.locator("input[type=file]"), page.get_by_role("button", name="Check it and take it in")
    chooser.set_input_files({"name": "mine.zip", "mimeType": "application/zip", "buffer": mine}, timeout=PATIENCE)
    page.get_by_text("mine.zip", exact=True).wait_for(timeout=PATIENCE)
    page.get_by_label("Name", exact=True).fill(NAME)
    page.get_by_label("Name", exact=True).press("Enter")
    take.click(timeout=PATIENCE)
    page.wait_for_url(f"**/health?checkpoint={NAME}*", timeout=PATIENCE)
    page.locator(".health .answer").filter(has_text=NAME).wait_for(timeout=PATIENCE)
    page.get_by_role("button", name="Measure it").click(timeout=PATIENCE)
    whole(page)
    page.get_by_role("link", name="Its card").click()
    page.wait_for_url(f"**/checkpoints?checkpoint={NAME}*", timeout=PATIENCE)
    page.locator(".stMain").get_by_role("link", name="Is it healthy?").click(timeout=PATIENCE)
    page.locator(".health .answer").filter(has_text=NAME).wait_for(timeout=PATIENCE)
    assert complaints == []
