"""How fluent the latent pad is, in a real browser: pictures a second while the pointer moves, and ms for each decode.

    .venv/bin/python -m bench.pad_fluency

Starts the app on a free port, opens the posterior page of each checkpoint in chromium with software rendering, moves
the pointer over the latent map at every frame, and prints as JSON: pictures that the pad drew a second, milliseconds a
frame (p50, p95, maximum), the frames while nothing moves, and milliseconds that the decoder alone takes.
"""

from playwright.sync_api import Browser

from bench.browsing import chromium, parser, summary
from bench.serving import ROOT, report

COMPONENTS = ROOT / "app" / "components"
FRAMES = 240
MOVE = """async (canvas, [frames, moving]) => {
  const box = canvas.getBoundingClientRect()
  const drawn = () => window.padDrawn()
  const frame = () => new Promise(requestAnimationFrame)
  const times = []
  let before = await frame()
  const [start, begun] = [before, drawn()]
  for (let k = 1; k <= frames; k++) {
    const angle = (2 * Math.PI * k) / 97
    const clientX = box.x + box.width * (0.5 + 0.3 * Math.cos(angle))
    const clientY = box.y + box.height * (0.5 + 0.3 * Math.sin(angle))
    const event = new PointerEvent("pointermove", { pointerType: "mouse", bubbles: true, clientX, clientY })
    if (moving) canvas.dispatchEvent(event)
    const now = await frame()
    times.push(now - before)
    before = now
  }
  return { times, second: (1000 * (drawn() - begun)) / (before - start) }
}"""
DRAWN = """() => {
  const all = (node) => [node, ...(node.shadowRoot ? all(node.shadowRoot) : []), ...[...node.children].flatMap(all)]
  const pad = all(document.body).find((node) => node.matches?.('.pad[data-drawn]'))
  window.padDrawn = () => Number(pad.dataset.drawn)
}"""
DECODE = """(description) => {
  const decoder = readDecoder(description)
  const round = (count) => {
    const start = performance.now()
    for (let k = 0; k < count; k++) decode(decoder, [Math.sin(k), Math.cos(k)])
    return (performance.now() - start) / count
  }
  round(200)
  return Array.from({ length: 30 }, () => round(10))
}"""


def decoding(browser: Browser, name: str) -> list[float]:
    from app import pad_decoder
    from vaecore import load
    from vaecore.checkpoints import read_config

    folder = ROOT / "pretrained" / name
    config, page = read_config(folder), browser.new_page()
    page.add_script_tag(content=(COMPONENTS / "decoder.js").read_text())
    shape = tuple(config["data_shape"])
    found = page.evaluate(DECODE, pad_decoder.description(load(folder), config["latent_dim"], shape))
    page.close()
    return found


def moving(browser: Browser, url: str, name: str) -> dict:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{url}/posterior?checkpoint={name}&image=3")
    page.locator(".pad .value").first.filter(has_text="\N{MINUS SIGN}").wait_for(timeout=300_000)
    page.wait_for_timeout(5_000)
    page.evaluate(DRAWN)
    canvas = page.locator(".map canvas").first
    idle, found = canvas.evaluate(MOVE, [FRAMES, False]), canvas.evaluate(MOVE, [FRAMES, True])
    page.close()
    pictures = round(found["second"], 1)
    return {"pictures_a_second": pictures, "frame_ms": summary(found["times"]), "idle_frame_ms": summary(idle["times"])}


def main() -> None:
    options = parser(__doc__, ["digits-vae-2d", "mnist-vae-2d", "dynamic-mnist-vae-2d"]).parse_args()
    found = {}
    with chromium(options.url) as (browser, url):
        for name in options.checkpoint:
            found[name] = {**moving(browser, url, name), "decode_ms": summary(decoding(browser, name))}
    report(**found)


if __name__ == "__main__":
    main()
