"""From a stroke on the canvas until the ellipse follows, and until the exact posterior does, in a real browser.

    .venv/bin/python -m bench.stroke_latency --checkpoint mnist-vae-2d --strokes 30

Starts the app on a free port, opens the page in chromium with software rendering, draws with the mouse, and prints p50,
p95 and the maximum in milliseconds as JSON, from the lifting of the pen: until the ellipse of q(z|x) has moved in the
latent map, until ellipses and contours are new in the picture, and until the exact numbers stand beside it. Undoes all
every few strokes.
"""

import random

from playwright.sync_api import Browser, Page

from bench.browsing import chromium, parser, summary
from bench.serving import report

STROKES = 4  # on one drawing

# Run inside the page when the pen is lifted: watches for what is drawn to change.
WATCH = """() => {
  const html = (selector) => document.querySelector(selector)?.innerHTML ?? ''
  const shown = { ellipse: () => window.map.dataset.here, picture: () => html('.scatterlayer') + html('.contourlayer'),
                  numbers: () => document.querySelector('.look')?.dataset.pick ?? '' }
  const before = Object.fromEntries(Object.entries(shown).map(([name, read]) => [name, read()]))
  const start = performance.now()
  window.seen = {}
  const look = () => {
    for (const name in shown) {
      const now = shown[name]()
      if (!(name in window.seen) && now && now !== before[name]) window.seen[name] = performance.now() - start
    }
    if (Object.keys(window.seen).length < 3) requestAnimationFrame(look)
  }
  requestAnimationFrame(look)
}"""


def stroke(page: Page, box: dict, rng: random.Random) -> dict[str, float]:
    """Draw a stroke of a few points; milliseconds from its end until each part of the page has changed."""
    places = [(box["x"] + rng.uniform(0.2, 0.8) * box["width"], box["y"] + rng.uniform(0.15, 0.85) * box["height"])]
    places += [(x + rng.uniform(-50, 50), y + rng.uniform(-50, 50)) for x, y in places * 2]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.locator(".map canvas").last.evaluate("canvas => (window.map = canvas)")
    canvas = page.locator(".easel canvas")
    canvas.evaluate(f"canvas => canvas.addEventListener('pointerup', {WATCH}, {{ once: true, capture: true }})")
    page.mouse.up()
    page.wait_for_function("Object.keys(window.seen ?? {}).length === 3", timeout=30_000)
    page.wait_for_timeout(500)
    return page.evaluate("window.seen")


def measure(browser: Browser, url: str, strokes: int) -> list[dict[str, float]]:
    rng = random.Random(0)
    page = browser.new_page(viewport={"width": 1440, "height": 1400})
    page.goto(url)
    page.wait_for_selector(".easel canvas", timeout=120_000)
    page.wait_for_timeout(2_000)
    box = page.locator(".easel canvas").bounding_box()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])  # a first dot: all is loaded
    page.wait_for_selector(".look[data-pick]", timeout=120_000)
    page.wait_for_selector(".gtitle", timeout=120_000)
    page.wait_for_timeout(2_000)
    times = []
    for count in range(strokes):
        if count and count % STROKES == 0:
            undo_all(page)
        times.append(stroke(page, box, rng))
    return times


def undo_all(page: Page) -> None:
    """Take the strokes back one by one, but for the first dot."""
    for _ in range(STROKES):
        before = page.locator(".look").get_attribute("data-pick")
        page.locator(".easel").get_by_role("button", name="Undo").click()
        page.wait_for_function(
            "before => ![before, undefined].includes(document.querySelector('.look')?.dataset.pick)", arg=before
        )
        page.wait_for_timeout(300)


def main() -> None:
    asked = parser(__doc__, "mnist-vae-2d")
    asked.add_argument("--strokes", type=int, default=30)
    options = asked.parse_args()
    with chromium(options.url) as (browser, url):
        path = f"/posterior?checkpoint={options.checkpoint}&drawing=none"
        times = measure(browser, url + path, options.strokes)
    parts = {f"{name}_ms": summary([each[name] for each in times]) for name in ("ellipse", "picture", "numbers")}
    report(strokes=options.strokes, **parts)


if __name__ == "__main__":
    main()
