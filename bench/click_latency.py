"""From a press on the latent map until picture and numbers are those of the new image, in a real browser.

    .venv/bin/python -m bench.click_latency --checkpoint mnist-vae-2d --clicks 40

Starts the app on a free port, opens the page in chromium with software rendering, presses codes that were not shown
before, and prints p50, p95 and the maximum in milliseconds as JSON: until the ring, and until picture and numbers.
"""

import random

from playwright.sync_api import Browser, Page

from bench.browsing import chromium, parser, summary
from bench.serving import report

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


def measure(browser: Browser, url: str, clicks: int) -> list[tuple[float, float]]:
    rng = random.Random(0)
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(url)
    page.wait_for_selector(".look", timeout=120_000)
    page.wait_for_selector(".gtitle", timeout=120_000)
    page.wait_for_timeout(2_000)
    canvas = page.locator(".map canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    return [press(page, box, rng) for _ in range(clicks)]


def main() -> None:
    asked = parser(__doc__, "mnist-vae-2d")
    asked.add_argument("--clicks", type=int, default=40)
    options = asked.parse_args()
    with chromium(options.url) as (browser, url):
        times = measure(browser, f"{url}/posterior?checkpoint={options.checkpoint}", options.clicks)
    ringed, settled = zip(*times, strict=True)
    report(clicks=options.clicks, ring_ms=summary(ringed), picture_and_numbers_ms=summary(settled))


if __name__ == "__main__":
    main()
