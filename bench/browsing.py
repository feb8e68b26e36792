"""What the benches in a browser share: chromium with software rendering, and how they sum up."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from playwright.sync_api import Browser, sync_playwright

from bench.serving import Server, serving

FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


def parser(about: str, checkpoint: str | list[str]) -> argparse.ArgumentParser:
    """The options that all have; `checkpoint` is the default, or several."""
    found = argparse.ArgumentParser(description=about.splitlines()[0])
    found.add_argument("--checkpoint", default=checkpoint, nargs="+" if isinstance(checkpoint, list) else None)
    found.add_argument("--url", help="of an app that runs already")
    return found


@contextmanager
def chromium(url: str | None) -> Iterator[tuple[Browser, str]]:
    """A browser, and the address of the app: of the one that runs already, or of one that is started for this."""
    with nullcontext(Server(url, 0)) if url else serving() as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS + QUIET)
        yield browser, server.url
        browser.close()


def summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = {"p50": len(ordered) // 2, "p95": int(0.95 * (len(ordered) - 1) + 0.5), "max": -1}
    return {name: round(ordered[place], 1) for name, place in at.items()}
