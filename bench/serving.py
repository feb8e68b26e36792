"""What all benches of the app share: a server, and what they print."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 30.0  # seconds for a server to answer


class Server(NamedTuple):
    """An app of its own, on the loopback."""

    url: str
    pid: int


@contextmanager
def serving() -> Iterator[Server]:
    """An app on a free port until the block ends; RuntimeError where it does not answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app/main.py", "--server.port", str(port)]
    command += ["--server.address", "127.0.0.1"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
        while not healthy(url):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"The app does not answer at {url}.")
            time.sleep(0.1)
        yield Server(url, process.pid)
    finally:
        process.terminate()
        process.wait()


def healthy(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).close()
    except OSError:
        return False
    return True


def report(**found: object) -> None:
    """Print as JSON what was found, and on what machine."""
    print(json.dumps({"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1), **found}))
