"""From a press on the latent map until picture and numbers are those of the new image, in a real browser.

    .venv/bin/python bench/click_latency.py --checkpoint mnist-vae-2d --clicks 40

Starts the app on a free port, opens the page in chromium with software rendering, presses codes that were not shown
before, and prints p50, p95 and the maximum in milliseconds as JSON: until the ring, and until picture and numbers.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]

# Run inside the page: watches for both to change, from the press on.
WATCH = """() => {
  const shown = () => [document.querySelector('.look')?.dataset.pick.replace('-', ' ').replace('image', 'test image'),
                       document.querySelector('.gtitle')?.textContent.toLowerCase().split(',')[0]]
  const before = shown()[0]
  const start = performance.now()
  window.ringed = window.settled = null
  const look = () => {
    const [numbers, picture] = shown()
    if (numbers !== before && numbers === picture) window.settled = performance.now() - start
    else requestAnimationFrame(look)
  }
  window.repeated = false
  window.addEventListener('vaescope-chosen', (event) => {
    window.repeated = before.endsWith(` ${event.detail}`)
    requestAnimationFrame(() => (window.ringed = performance.now() - start))
  }, { once: true })
  requestAnimationFrame(look)
}"""


@contextmanager
def serving() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app/main.py", "--server.port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


def press(page: Page, box: dict, rng: random.Random) -> tuple[float, float]:
    """Press near a random place of the map's middle; milliseconds until the ring and until all is new.

    Where the nearest code is the one that is chosen already, nothing has to change: another place is pressed.
    """
    # Where codes lie: a normal around the middle, as the prior has it.
    x = box["x"] + box["width"] * min(0.9, max(0.1, rng.gauss(0.5, 0.15)))
    y = box["y"] + box["height"] * min(0.9, max(0.1, rng.gauss(0.5, 0.15)))
    page.mouse.move(x, y)
    page.wait_for_timeout(300)
    canvas = page.locator(".map canvas").first
    canvas.evaluate(f"canvas => canvas.addEventListener('pointerdown', {WATCH}, {{ once: true, capture: true }})")
    page.mouse.down()
    page.mouse.up()
    page.wait_for_function("window.settled !== null || window.repeated", timeout=20_000)
    if page.evaluate("window.repeated"):
        return press(page, box, rng)
    return page.evaluate("[window.ringed, window.settled]")


def measure(url: str, clicks: int) -> list[tuple[float, float]]:
    rng = random.Random(0)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS + QUIET)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(url)
        page.wait_for_selector(".look", timeout=120_000)
        page.wait_for_selector(".gtitle", timeout=120_000)
        page.wait_for_timeout(2_000)
        box = page.locator(".map canvas").first.bounding_box()
        times = [press(page, box, rng) for _ in range(clicks)]
        browser.close()
    return times


def summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = {"p50": len(ordered) // 2, "p95": int(0.95 * (len(ordered) - 1) + 0.5), "max": -1}
    return {name: round(ordered[place], 1) for name, place in at.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="mnist-vae-2d")
    parser.add_argument("--clicks", type=int, default=40)
    parser.add_argument("--url", help="of an app that runs already")
    options = parser.parse_args()
    path = f"/posterior?checkpoint={options.checkpoint}"
    with nullcontext(options.url) if options.url else serving() as url:
        times = measure(url + path, options.clicks)
    ringed, settled = zip(*times, strict=True)
    result = {"clicks": options.clicks, "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    print(json.dumps({**result, "ring_ms": summary(ringed), "picture_and_numbers_ms": summary(settled)}))


if __name__ == "__main__":
    main()
