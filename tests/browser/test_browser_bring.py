"""A VAE is brought by the file chooser of a real browser, opened, and deleted; what must not come in is named."""

import io
import re
import shutil
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch
from test_browser import PATIENCE, ROOT, address, browser, heard  # noqa: F401  fixtures: the app, and chromium

import vaecore
from vaecore.shelf import pack

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

NAME = "brought-by-a-browser-test"


@pytest.fixture
def mine(tmp_path: "Path") -> Iterator[bytes]:
    """A small VAE as a zip; what the app keeps of it is gone in the end."""
    torch.manual_seed(0)
    yield pack(vaecore.save(vaecore.build("vae", (1, 8, 8), 2, net="small"), tmp_path / "mine", dataset="digits"))
    shutil.rmtree(ROOT / "brought" / NAME, ignore_errors=True)


def test_a_zip_comes_in_by_the_file_chooser(address: str, browser: "Browser", mine: bytes) -> None:  # noqa: F811
    page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    complaints = heard(page, "checkpoints", "posterior")
    page.goto(f"{address}/checkpoints")
    page.get_by_text("Bring your own VAE").click(timeout=PATIENCE)
    chooser, take = page.locator("input[type=file]"), page.get_by_role("button", name="Check it and take it in")

    pickled = io.BytesIO()
    with zipfile.ZipFile(pickled, "w") as archive:
        archive.writestr("model.pkl", b"cos\nsystem\n(S'true'\ntR.")
    for name, content, said in (
        ("notes.zip", b"no zip at all", "is no zip"),
        ("evil.zip", pickled.getvalue(), r"\.pkl"),
    ):
        chooser.set_input_files({"name": name, "mimeType": "application/zip", "buffer": content}, timeout=PATIENCE)
        page.get_by_text(name, exact=True).wait_for(timeout=PATIENCE)
        page.get_by_text("Not taken.").wait_for(state="hidden", timeout=PATIENCE)  # once the new file has arrived
        take.click(timeout=PATIENCE)
        page.get_by_text(re.compile(rf"Not taken\..*{said}.*Nothing was kept", re.DOTALL)).wait_for(timeout=PATIENCE)

    chooser.set_input_files({"name": "mine.zip", "mimeType": "application/zip", "buffer": mine})
    page.get_by_text("mine.zip", exact=True).wait_for(timeout=PATIENCE)
    page.get_by_text("Not taken.").wait_for(state="hidden", timeout=PATIENCE)
    page.get_by_label("Name", exact=True).fill(NAME)
    page.get_by_label("Name", exact=True).press("Enter")
    take.click()
    page.get_by_text(f"{NAME} is here, and chosen on all pages.").wait_for(timeout=PATIENCE)
    page.locator(".stMain").get_by_role("link", name="How wrong is the encoder?").click()
    page.wait_for_url(f"**/posterior?checkpoint={NAME}*", timeout=PATIENCE)
    page.locator(".look").wait_for(timeout=PATIENCE)
    assert complaints == []
