"""The posterior page in a real browser: a click in the map, and the link to what it shows."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
PATIENCE = 90_000  # ms: the first picture waits for torch, the decoded grid and software rendering


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[str]:
    """The app, served as `make app` serves it, with a small checkpoint of its own beside those that ship.

    And with what a module's own `besides(shelf)` puts there, if it has one.
    """
    import torch

    import vaecore

    shelf = tmp_path_factory.mktemp("shelf")
    torch.manual_seed(0)
    vaecore.save(vaecore.build("vae", (1, 8, 8), 2), shelf / "small", dataset="digits")
    shutil.copytree(ROOT / "pretrained" / "digits-vae-2d", shelf / "trained")
    (shelf / "trained" / "analysis.safetensors").unlink()
    for report in (shelf / "trained").glob("health-*.json"):
        report.unlink()
    getattr(request.module, "besides", lambda shelf: None)(shelf)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The environment that runs the tests is there already: make must not install it again.
    command = ["make", f"VENV={sys.prefix}", "-o", f"{sys.prefix}/app", "app"]
    surroundings = {**os.environ, "PORT": str(port), "VAESCOPE_CHECKPOINTS": str(shelf)}
    # Runs of the test's own, which do not wait for others of this computer.
    surroundings |= {"VAESCOPE_RUNS": str(shelf / "runs"), "VAESCOPE_RUNS_AT_ONCE": "4"}
    output = (shelf / "log").open("wb")
    server = subprocess.Popen(
        command, cwd=ROOT, env=surroundings, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/_stcore/health", server, shelf / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
        output.close()


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"The app did not answer: {log.read_text()}")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    if not CHROMIUM.exists():
        pytest.skip(f"There is no {CHROMIUM}")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS + QUIET)
        yield found
        found.close()


def heard(page: "Page", *visited: str) -> list[str]:
    """What the page's console complains about from now on; it grows as it comes.

    But for Streamlit's probes: it looks for its server under the path of each `visited` page before it looks at the
    root, and the browser reports that.
    """
    probes = re.compile(rf"/({'|'.join(visited)})/_stcore/(host-config|health)$")
    complaints = []

    def hear(message: "ConsoleMessage") -> None:
        if message.type == "error" and not probes.search(message.location.get("url", "")):
            complaints.append(f"{message.text} {message.location}")

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


class Visit:
    """A page in a browser of its own, and what its console complained about."""

    def __init__(self, browser: "Browser", url: str, **screen: object) -> None:
        self.context = browser.new_context(**screen)
        self.page = self.context.new_page()
        self.complaints = heard(self.page, "posterior", "unsure")
        self.page.goto(url)
        self.settled("")

    def settled(self, before: str) -> str:
        """Wait until picture and numbers are of one image, another than before; which that is."""
        self.page.wait_for_function(
            """before => {
                const number = document.querySelector('.look')?.dataset.pick.split('-')[1]
                const title = document.querySelector('.gtitle')?.textContent ?? ''
                return number !== undefined && number !== before && title.match(/\\d+/)?.[0] === number
            }""",
            arg=before,
            timeout=PATIENCE,
        )
        return self.page.locator(".look").get_attribute("data-pick").split("-")[1]

    @property
    def numbers(self) -> str:
        return self.page.locator(".look").inner_text()

    @property
    def contours(self) -> str:
        return self.page.locator(".contourlayer").first.inner_html()


def map_point(visit: Visit, across: float, down: float) -> tuple[float, float]:
    canvas = visit.page.locator(".map canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def test_a_click_changes_everything_and_its_link_shows_the_same(address: str, browser: "Browser") -> None:
    visit = Visit(browser, f"{address}/posterior?checkpoint=small&image=0")
    numbers, contours = visit.numbers, visit.contours
    visit.page.locator(".map canvas").first.wait_for(timeout=PATIENCE)
    visit.page.mouse.click(*map_point(visit, 0.55, 0.45))
    index = visit.settled("0")
    assert visit.numbers != numbers
    assert visit.contours != contours
    visit.page.wait_for_url(f"**/posterior?checkpoint=small&image={index}", timeout=PATIENCE)

    other = Visit(browser, visit.page.url)
    assert other.settled("") == index
    assert other.numbers == visit.numbers

    visit.page.go_back()
    assert visit.settled(index) == "0"
    assert visit.numbers == numbers
    assert visit.complaints == other.complaints == []


def test_strip_and_keyboard_choose_too(address: str, browser: "Browser") -> None:
    visit = Visit(browser, f"{address}/posterior?checkpoint=small&image=0")
    button = visit.page.locator(".strip button").nth(3)
    button.click()
    index = visit.settled("0")
    assert index == button.get_attribute("data-index")
    assert button.get_attribute("aria-pressed") == "true"
    visit.page.locator(".map canvas").first.focus()
    visit.page.keyboard.press("ArrowRight")
    assert visit.settled(index) != index
    assert visit.complaints == []


def test_guests_come_and_go_with_the_link(address: str, browser: "Browser") -> None:
    shown = f"{address}/posterior?checkpoint=small&image=0&with=digits-vae-2d"
    visit = Visit(browser, shown)
    rows = visit.page.locator(".beside tbody tr")
    visit.page.locator(".st-key-multiples .contourlayer").wait_for(timeout=PATIENCE)
    assert rows.count() == 2
    visit.page.locator(".strip button").nth(3).click()
    index = visit.settled("0")
    visit.page.wait_for_url(f"**/posterior?checkpoint=small&image={index}&with=digits-vae-2d", timeout=PATIENCE)
    visit.page.get_by_role("link", name="VAEscope").click()
    visit.page.wait_for_url(f"{address}/", timeout=PATIENCE)
    visit.page.get_by_role("link", name="How wrong is the encoder?").first.click()
    visit.page.wait_for_url(f"**/posterior?checkpoint=small&image={index}&with=digits-vae-2d", timeout=PATIENCE)
    visit.page.get_by_label("Clear all").click()
    visit.page.wait_for_url(f"**/posterior?checkpoint=small&image={index}", timeout=PATIENCE)
    rows.first.wait_for(state="detached")
    assert visit.complaints == []


def test_side_by_side_fits_a_phone(address: str, browser: "Browser") -> None:
    link = f"{address}/posterior?checkpoint=small&image=0&with=digits-vae-2d"
    visit = Visit(browser, link, viewport={"width": 390, "height": 844})
    visit.page.locator(".st-key-multiples .contourlayer").wait_for(timeout=PATIENCE)
    assert visit.page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    box = visit.page.locator(".st-key-multiples .js-plotly-plot").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(address: str, browser: "Browser", scheme: str) -> None:
    screen = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}
    visit = Visit(browser, f"{address}/posterior?checkpoint=small&image=0", **screen)
    assert visit.page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    assert visit.complaints == []


def test_home_leads_to_the_checkpoint(address: str, browser: "Browser") -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    card = page.locator("[data-testid=stVerticalBlock]").filter(has=page.get_by_text("small", exact=True)).last
    card.get_by_role("link").first.click(timeout=PATIENCE)
    page.wait_for_url("**/posterior?checkpoint=small&image=0", timeout=PATIENCE)


def test_a_dot_of_the_ranking_opens_its_posterior(address: str, browser: "Browser") -> None:
    """With a job on the way: the checkpoint's test images have not been analysed yet."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.goto(f"{address}/unsure?checkpoint=trained&measure=shape")
    page.get_by_role("button", name="Compute").click(timeout=PATIENCE)
    page.get_by_role("progressbar").wait_for(timeout=PATIENCE)
    page.locator(".verdict").wait_for(timeout=4 * PATIENCE)
    assert page.get_by_role("progressbar").count() == 0
    page.locator(".strip button").first.wait_for(timeout=PATIENCE)
    ring = page.locator("[data-image]").first.get_attribute("data-image")
    page.get_by_role("link", name="Open its posterior").first.click()
    page.wait_for_url(f"**/posterior?checkpoint=trained&image={ring}", timeout=PATIENCE)
    page.locator(f".look[data-pick=image-{ring}]").wait_for(timeout=PATIENCE)
    page.go_back()
    page.locator(".strip button").first.wait_for(timeout=PATIENCE)
    assert page.locator(".verdict").get_attribute("data-measure") == "shape"
    page.locator(".nsewdrag").first.scroll_into_view_if_needed(timeout=PATIENCE)
    area = page.locator(".nsewdrag").first.bounding_box(timeout=PATIENCE)
    for across, down in ((a / 20, d / 20) for d in range(8, 18) for a in range(4, 16)):
        page.mouse.move(area["x"] + across * area["width"], area["y"] + down * area["height"])
        page.wait_for_timeout(150)
        if found := re.search(r"test image (\d+)<", page.locator(".hoverlayer").first.inner_html()):
            break
    else:
        pytest.fail("No dot was found under the pointer")
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url("**/posterior?checkpoint=trained&image=*", timeout=PATIENCE)
    page.locator(".look").wait_for(timeout=PATIENCE)
    assert found
