"""The latent pad in a real browser: its decoder against torch, and the page's pad under the pointer."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from test_browser import PATIENCE, address, browser, heard  # noqa: F401  fixtures: the app, served once, and chromium
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

import vaecore
from app import figures, pad, pad_decoder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

COMPONENTS = Path(pad.__file__).parent / "components"
DECODE = """async ([description, places, x]) => {
  const decoder = readDecoder(description)
  const image = numbersOf(x)
  const outputs = places.map((z) => Float32Array.from(decode(decoder, z)))
  return outputs.map((o) => [Array.from(meanOf(decoder, o)), logLikelihood(decoder, image, o)])
}"""


@pytest.fixture(scope="module")
def bench(browser: "Browser") -> "Page":  # noqa: F811
    page = browser.new_page()
    page.set_content("<p>decoder.js alone</p>")
    page.add_script_tag(content=(COMPONENTS / "decoder.js").read_text())
    return page


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize(
    ("net", "shape"),
    [
        ("small", (1, 8, 8)),
        ("dense", (1, 8, 8)),
        ("leaky-dense", (1, 8, 8)),
        ("conv", (1, 28, 28)),
        ("conv", (3, 17, 10)),
        ("deep-conv", (1, 8, 8)),
        ("resnet", (1, 8, 8)),
    ],
)
def test_the_browsers_decoder_is_torchs(bench: "Page", net: str, shape: tuple, likelihood: str) -> None:
    vae = vaecore.build("vae", shape, 2, net=net, likelihood=likelihood).eval()
    z, x = 2 * torch.randn(1000, 2), torch.rand(shape)
    with torch.no_grad():
        last = vae.decoder.net[-1 if "conv" in net or net == "resnet" else -2]
        last.weight /= vae.decoder.net(z).std(0).mean()  # a fresh net's images hardly differ
        last.bias -= vae.decoder.net(z).mean()
        if likelihood == "gaussian":
            vae.decoder.log_scale -= 1
        p = vae.likelihood(z)
        log_p = p.log_prob(x)
    description = json.loads(json.dumps(pad_decoder.description(vae, 2, shape)))
    found = bench.evaluate(DECODE, [description, z.tolist(), figures.packed(x.numpy(), "f4")])
    means = torch.tensor([mean for mean, _ in found])
    assert means.std(0).max() > 0.01
    assert (means - p.mean.flatten(1)).abs().max() < 1 / 255
    assert torch.tensor([value for _, value in found]) == pytest.approx(log_p, rel=1e-3)


def densities() -> dict[str, torch.distributions.Distribution]:
    parts = Independent(Normal(torch.randn(5, 2), 0.1 + torch.rand(5, 2)), 1)
    spread = torch.tensor([[0.5, -0.3], [-0.3, 0.9]])
    return {
        "gaussian": Independent(Normal(torch.randn(2), 0.1 + torch.rand(2)), 1),
        "mixture": MixtureSameFamily(Categorical(logits=torch.randn(5)), parts),
        "full": MultivariateNormal(torch.randn(2), spread),
    }


def test_the_browsers_densities_are_torchs(bench: "Page") -> None:
    z = 3 * torch.randn(200, 2)
    ask = "([description, places]) => places.map(readDensity(description))"
    for kind, density in densities().items():
        description = pad.described(density)
        assert description["kind"] == kind
        assert bench.evaluate(ask, [description, z.tolist()]) == pytest.approx(density.log_prob(z).tolist(), rel=1e-3)
    normal = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    table = pad.table(normal, torch.zeros(1, 2))
    inside = z.abs().amax(1) < 4
    found = bench.evaluate(ask, [table, z.tolist()])
    assert [value is not None for value in found] == inside.tolist()
    exact = normal.log_prob(z[inside]).tolist()
    assert [value for value in found if value is not None] == pytest.approx(exact, abs=0.01)


def test_the_browsers_aggregate_is_the_exact_sum(bench: "Page") -> None:
    from vaecore.aggregate import log_aggregate

    loc, scale, z = torch.randn(500, 2), 0.02 + 0.1 * torch.rand(500, 2), 2 * torch.randn(50, 2)
    packed = {"loc": figures.packed(loc.numpy(), "f4"), "scale": figures.packed(scale.numpy(), "f4")}
    found = bench.evaluate("([codes, places]) => places.map(readAggregate(codes))", [packed, z.tolist()])
    assert found == pytest.approx(log_aggregate(z, loc, scale).tolist(), rel=1e-3)


def test_the_pad_follows_without_the_server_and_its_pin_is_the_link(address: str, browser: "Browser") -> None:  # noqa: F811
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    complaints, sent = heard(page, "posterior"), []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    page.goto(f"{address}/posterior?checkpoint=trained&image=3")
    page.locator(".pad[data-drawn]").first.wait_for(timeout=PATIENCE)
    page.locator(".pad .value").first.filter(has_text=re.compile(r"\d")).wait_for(timeout=PATIENCE)
    page.locator(".st-key-picture .nsewdrag").first.wait_for(timeout=PATIENCE)
    page.wait_for_timeout(2000)
    canvas, shown = page.locator(".map canvas").first, page.locator(".pad canvas").first
    canvas.scroll_into_view_if_needed()
    box, pictures, numbers = canvas.bounding_box(), set(), set()
    before = len(sent)
    for k in range(8):
        page.mouse.move(box["x"] + (0.2 + 0.08 * k) * box["width"], box["y"] + 0.5 * box["height"])
        page.wait_for_timeout(120)
        pictures.add(shown.evaluate("canvas => canvas.toDataURL()"))
        numbers.add(page.locator(".pad .rows").first.inner_text())
    assert len(pictures) == len(numbers) == 8
    assert len(sent) == before
    area = page.locator(".st-key-picture .nsewdrag").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url("**/posterior?checkpoint=trained&image=3&z=*", timeout=PATIENCE)
    z = page.locator(".pad").first.get_attribute("data-z")
    text = page.locator(".pad .rows").first.inner_text()
    other = browser.new_context().new_page()
    other.goto(page.url)
    other.locator(f".pad[data-pinned=true][data-z='{z}']").wait_for(timeout=PATIENCE)
    other.locator(".pad .value").first.filter(has_text=re.compile(r"\d")).wait_for(timeout=PATIENCE)
    assert other.locator(".pad .rows").first.inner_text() == text
    page.keyboard.press("Escape")
    page.wait_for_url(re.compile(r"image=3$"), timeout=PATIENCE)
    assert complaints == []
