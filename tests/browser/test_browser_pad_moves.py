"""The latent pad by keyboard and by finger, far from the data, with guests, and where the server has to decode."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import graphs
import pytest
import torch
from test_browser import PATIENCE, address, browser, heard  # noqa: F401  fixtures: the app, served once, and chromium

import vaecore
from vaecore import imports

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

LINK = "posterior?checkpoint=trained&image=3"


def besides(shelf: Path) -> None:
    """A decoder that no browser runs, and a mixture that shares the decoder of the trained checkpoint."""
    torch.manual_seed(0)
    options = {"likelihood": "bernoulli", "output": "logits", "dataset": "digits"}
    imports.from_onnx(*graphs.small_pair(), shelf, "graph", **options)
    host = vaecore.load(shelf / "trained")
    guest = vaecore.load(Path(__file__).resolve().parents[2] / "pretrained" / "digits-me5-2d")
    guest.decoder.load_state_dict(host.decoder.state_dict())
    vaecore.save(guest, shelf / "mixed", dataset="digits")


def opened(browser: "Browser", url: str, **screen: object) -> "Page":  # noqa: F811
    page = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **screen}).new_page()
    page.goto(url)
    page.locator(".pad .value").first.filter(has_text=re.compile(r"\d")).wait_for(timeout=PATIENCE)
    page.locator(".st-key-picture .nsewdrag").first.wait_for(timeout=PATIENCE)
    return page


def shown(page: "Page") -> tuple[str, str, str]:
    """Where the pad is, its picture, and its numbers."""
    pad = page.locator(".pad[data-z]").first
    picture = page.locator(".pad .decoded").first.evaluate("canvas => canvas.toDataURL()")
    return pad.get_attribute("data-z"), picture, page.locator(".pad .rows").first.inner_text()


def moved(page: "Page", before: tuple[str, str, str]) -> tuple[str, str, str]:
    """What the pad shows as soon as it is elsewhere: all of it has changed."""
    page.locator(f".pad[data-z]:not([data-z='{before[0]}'])").first.wait_for(timeout=10_000)
    after = shown(page)
    assert all(new != old for new, old in zip(after, before, strict=True))
    return after


def test_arrow_keys_move_the_point_enter_pins_and_escape_frees(address: str, browser: "Browser") -> None:  # noqa: F811
    page = opened(browser, f"{address}/{LINK}")
    complaints, seen = heard(page, "posterior"), [shown(page)]
    page.locator(".pad[data-z]").first.focus()
    for key, axis, way in (("ArrowRight", 0, 1), ("ArrowUp", 1, 1), ("Shift+ArrowLeft", 0, -1), ("ArrowDown", 1, -1)):
        page.keyboard.press(key)
        seen.append(moved(page, seen[-1]))
        old, new = ([float(v) for v in z.split(",")] for z, *_ in seen[-2:])
        assert (new[axis] - old[axis]) * way > 0
        assert new[1 - axis] == old[1 - axis]
    single, tenfold = (abs(float(seen[k][0].split(",")[0]) - float(seen[k - 1][0].split(",")[0])) for k in (1, 3))
    assert tenfold == pytest.approx(10 * single, rel=0.01)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"&z="), timeout=PATIENCE)
    page.keyboard.press("Escape")
    page.wait_for_url(re.compile(r"image=3$"), timeout=PATIENCE)
    assert complaints == []


def test_a_finger_moves_the_point_and_the_pad_comes_to_it(address: str, browser: "Browser") -> None:  # noqa: F811
    page = opened(browser, f"{address}/{LINK}", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    finger, area = page.context.new_cdp_session(page), page.locator(".st-key-picture .nsewdrag").first
    area.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    box, seen = area.bounding_box(), [shown(page)]

    def touch(kind: str, across: float) -> None:
        at = {"x": box["x"] + across * box["width"], "y": box["y"] + 0.5 * box["height"]}
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [] if kind == "touchEnd" else [at]})

    touch("touchStart", 0.3)
    for across in (0.4, 0.55, 0.7):
        touch("touchMove", across)
        seen.append(moved(page, seen[-1]))
    across = [float(z.split(",")[0]) for z, *_ in seen[1:]]
    assert across == sorted(across)
    pad = page.locator(".pad[data-z]").first.bounding_box()
    assert 0 <= pad["y"]
    assert pad["y"] + pad["height"] <= 844
    touch("touchEnd", 0.7)


def test_where_no_code_comes_the_picture_fades_and_says_why(address: str, browser: "Browser") -> None:  # noqa: F811
    page = opened(browser, f"{address}/{LINK}&z=30,30")
    pad, picture, sentence = (page.locator(f".pad{part}").first for part in ("[data-z]", " .decoded", " .sentence"))
    strength = "canvas => Number(getComputedStyle(canvas).opacity)"
    page.locator(".pad[data-pinned=true]").first.wait_for(timeout=PATIENCE)
    assert picture.evaluate(strength) < 0.3
    reason = r"No code of the data comes near: log q\(z\) is [\d,]+ nats below"
    assert re.search(reason, sentence.inner_text())
    canvas = page.locator(".map canvas").first
    canvas.scroll_into_view_if_needed()
    page.keyboard.press("Escape")
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.locator(".pad:not([data-z^='30.'])").first.wait_for(timeout=10_000)
    assert picture.evaluate(strength) == 1, pad.get_attribute("data-z")
    assert not re.search(reason, sentence.inner_text())


def test_guests_of_one_decoder_show_their_own_log_q(address: str, browser: "Browser") -> None:  # noqa: F811
    page = opened(browser, f"{address}/{LINK}&with=mixed")
    names, seen = page.locator(".pad .row .name"), shown(page)
    names.nth(4).wait_for(timeout=PATIENCE)
    said = names.all_inner_texts()
    assert said == ["log p(z)", "log p(x|z)", "log q(z|x) of VAE", "log q(z|x) of ME(5)", "log p(z|x)"]
    seen = shown(page)
    before = page.locator(".pad .value").all_inner_texts()
    page.locator(".pad[data-z]").first.focus()
    page.keyboard.press("ArrowRight")
    moved(page, seen)
    after = page.locator(".pad .value").all_inner_texts()
    assert all(re.search(r"\d", value) for value in (*before, *after))
    assert before[2] != before[3]
    assert all(old != new for old, new in zip(before[1:], after[1:], strict=True))


def test_what_no_browser_decodes_the_server_does_after_a_click(address: str, browser: "Browser") -> None:  # noqa: F811
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    complaints = heard(page, "posterior")
    page.goto(f"{address}/posterior?checkpoint=graph&image=3")
    hint = page.locator(".pad .hint").first
    hint.filter(has_text="Decoded on the server after a click on the contours, because").wait_for(timeout=PATIENCE)
    page.locator(".st-key-picture .nsewdrag").first.wait_for(timeout=PATIENCE)
    values, picture = page.locator(".pad .value"), page.locator(".pad .decoded").first
    assert values.nth(1).inner_text() == "\N{EN DASH}"
    blank = picture.evaluate("canvas => canvas.toDataURL()")
    area = page.locator(".st-key-picture .nsewdrag").first
    area.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    box = area.bounding_box()
    page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.4 * box["height"])
    values.nth(1).filter(has_text=re.compile(r"\d")).wait_for(timeout=PATIENCE)
    assert picture.evaluate("canvas => canvas.toDataURL()") != blank
    assert re.search(r"&z=", page.url)
    assert complaints == []
