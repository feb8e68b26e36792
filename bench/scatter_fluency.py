"""How fluent the map of 70,000 codes is, in a real browser: first picture, pan, lasso.

    .venv/bin/python -m bench.scatter_fluency --checkpoint dynamic-mnist-vae-40d

Starts the app on a free port, opens the page with all images in chromium with software rendering, and prints as JSON:
seconds until the first picture (of a server that has just begun, and of one that knows the codes), milliseconds a frame
while nothing moves, while the map is dragged and while a line is drawn around points (p50, p95, maximum), and
milliseconds from the line's end until the page shows what was selected.
"""

import time

from playwright.sync_api import Browser, Page

from bench.browsing import chromium, parser, summary
from bench.serving import report

FRAMES = 120
# Moves the pressed pointer on a circle, one step a frame, and takes the time between frames.
DRAG = """async (over, [frames, radius]) => {
  const box = over.getBoundingClientRect()
  const frame = () => new Promise(requestAnimationFrame)
  const times = []
  let before = await frame()
  for (let k = 1; k <= frames; k++) {
    const angle = (2 * Math.PI * k) / frames
    const clientX = box.x + box.width * (0.5 + radius * Math.cos(angle))
    const clientY = box.y + box.height * (0.5 + radius * Math.sin(angle))
    const at = { clientX, clientY }
    const event = new PointerEvent('pointermove', { pointerId: 1, pointerType: 'mouse', bubbles: true, ...at })
    if (radius) over.dispatchEvent(event)
    const now = await frame()
    times.push(now - before)
    before = now
  }
  return times
}"""


def opened(browser: Browser, url: str, points: int) -> tuple[Page, float]:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    start = time.monotonic()
    page.goto(url)
    page.wait_for_selector(f".over[data-drawn='{points}']", timeout=300_000)
    return page, time.monotonic() - start


def dragged(page: Page, tool: str, radius: float) -> list[float]:
    page.locator(f"button.{tool}").click()
    box = page.locator(".over").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * (0.5 + radius), box["y"] + box["height"] / 2)
    page.mouse.down()
    return page.locator(".over").first.evaluate(DRAG, [FRAMES, radius])


def measure(browser: Browser, url: str, points: int) -> dict:
    page, cold = opened(browser, url, points)
    page.get_by_text("Samples of the priors").wait_for(timeout=600_000)  # all that is computed once has been
    page.close()
    page, warm = opened(browser, url, points)
    page.wait_for_timeout(5_000)
    idle = page.locator(".over").first.evaluate(DRAG, [FRAMES, 0])
    pan = dragged(page, "move", 0.2)
    page.mouse.up()
    page.wait_for_timeout(500)
    lasso = dragged(page, "lasso", 0.15)
    start = time.monotonic()
    page.mouse.up()
    page.wait_for_selector(".common[data-selected]", timeout=120_000)
    answered = 1000 * (time.monotonic() - start)
    counts = page.locator(".scatter[data-selected]").get_attribute("data-selected")
    said = page.locator(".common").get_attribute("data-selected")
    return {
        "first_picture_s": {"cold": round(cold, 1), "warm": round(warm, 1)},
        "idle_frame_ms": summary(idle),
        "pan_frame_ms": summary(pan),
        "lasso_frame_ms": summary(lasso),
        "selection_shown_ms": round(answered),
        "selected": {"browser": int(counts), "server": int(said)},
    }


def main() -> None:
    asked = parser(__doc__, "dynamic-mnist-vae-40d")
    asked.add_argument("--points", type=int, default=70_000, help="how many the data set has in all")
    options = asked.parse_args()
    with chromium(options.url) as (browser, url):
        path = f"/learned?checkpoint={options.checkpoint}&split=all&map=pca"
        found = measure(browser, url + path, options.points)
    report(points=options.points, **found)


if __name__ == "__main__":
    main()
