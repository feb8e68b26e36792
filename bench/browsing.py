"""What the benches of the app share: a server, chromium with software rendering, and what they print."""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


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


def parser(about: str, checkpoint: str | list[str]) -> argparse.ArgumentParser:
    """The options that all have; `checkpoint` is the default, or several."""
    found = argparse.ArgumentParser(description=about.splitlines()[0])
    found.add_argument("--checkpoint", default=checkpoint, nargs="+" if isinstance(checkpoint, list) else None)
    found.add_argument("--url", help="of an app that runs already")
    return found


@contextmanager
def chromium(url: str | None) -> Iterator[tuple[Browser, str]]:
    """A browser, and the address of the app: of the one that runs already, or of one that is started for this."""
    with nullcontext(url) if url else serving() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS + QUIET)
        yield browser, address
        browser.close()


def summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = {"p50": len(ordered) // 2, "p95": int(0.95 * (len(ordered) - 1) + 0.5), "max": -1}
    return {name: round(ordered[place], 1) for name, place in at.items()}


def report(**found: object) -> None:
    """Print as JSON what was found, and on what machine."""
    print(json.dumps({"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1), **found}))
