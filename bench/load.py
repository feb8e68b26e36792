"""How long visitors wait for each other: seconds from a click until the page is drawn, with many at once.

    OMP_NUM_THREADS=1 python -m bench.load --visitors 10 25 50 --minutes 2

A server is started on a free port of the loopback. First a single visitor opens each page with each checkpoint: what is
computed once for all is timed apart. Then, for each number, as many websocket clients (bench.visitor) come within the
first third of the time. Each opens a page by a link, and then picks images on the map or in a strip, switches the
checkpoint, compares, or opens another page, with think time between, all drawn by a seed. After some clicks it leaves
and another one comes. Pages that begin jobs or trainings are left out. Prints JSON, a line for each number: p50, p95,
p99 and most in seconds, over all and for each kind of click, errors, runs a second, and the server's memory as time
goes on.
"""

import argparse
import asyncio
import json
import math
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from bench.serving import Server, report, serving
from bench.visitor import Refused, Visitor

MOST_VISITORS, MOST_MINUTES = 100, 15
PATIENCE = 120.0  # seconds for an answer; later it counts as an error
STAY = 25  # clicks, on the average, until a visitor leaves
ALONE = ("posterior", "unsure", "learned", "between", "prior")  # pages that are opened before, with each checkpoint
PAGES = {"posterior": 6, "unsure": 1, "learned": 1, "between": 1, "prior": 1, "home": 1, "checkpoints": 1, "tour": 1}
CHECKPOINTS = ["digits-vae-2d", "digits-gpvae-2d", "digits-rme5-2d", "digits-me5-2d", "mnist-vae-2d", "mnist-rme5-2d"]
CLICKS = {"pick": 12, "strip": 3, "checkpoint": 2, "compare": 2, "page": 3}
SHOWN = 355  # images of the smaller data set: what a map's press may pick


@dataclass
class Tally:
    """What was seen: seconds by kind of click, what went wrong, and the server's memory in MB by seconds."""

    took: dict[str, list[float]] = field(default_factory=dict)
    errors: Counter = field(default_factory=Counter)
    memory: list[tuple[int, int]] = field(default_factory=list)

    def add(self, kind: str, seconds: float) -> None:
        self.took.setdefault(kind, []).append(seconds)


# ---- what a visitor does: each returns the seconds it took, or None where the page has no such widget


async def pick(visitor: Visitor, rng: random.Random) -> float | None:
    """Press a code of the latent map."""
    return await chosen(visitor, "-map", rng.randrange(SHOWN))


async def strip(visitor: Visitor, rng: random.Random) -> float | None:
    """Press a small image: of the strip, of the nearest codes, or of the worst."""
    there = {key: visitor.find("bidi_component", key) for key in ("-strip", "-nearest", "-worst")}
    keys = [key for key, found in there.items() if found]
    if not keys:
        return None
    key = rng.choice(keys)
    return await chosen(visitor, key, rng.choice(json.loads(there[key][0].json)["indices"]))


async def chosen(visitor: Visitor, key: str, index: int) -> float | None:
    found = visitor.find("bidi_component", key)
    if found is None:
        return None
    events = json.dumps([{"event": "pick", "value": index}])
    return await visitor.press(f"$$STREAMLIT_INTERNAL_KEY_{found[0].id}__events", found[1], json_trigger_value=events)


async def checkpoint(visitor: Visitor, rng: random.Random) -> float | None:
    """Switch to another checkpoint."""
    found = visitor.find("selectbox", "-checkpoint")
    if found is None:
        return None
    wanted = f"{rng.choice(CHECKPOINTS)} ("
    options = [option for option in found[0].options if option.startswith(wanted)]
    return await visitor.press(found[0].id, found[1], string_value=options[0]) if options else None


async def compare(visitor: Visitor, rng: random.Random) -> float | None:
    """Set two other checkpoints of the data set beside it, or take them away."""
    found = visitor.find("multiselect", "-guests")
    if found is None or not found[0].options:
        return None
    fitting = [option for option in found[0].options if option.split(" ")[0] in CHECKPOINTS]
    wanted = rng.sample(fitting, min(len(fitting), rng.choice((0, 1, 2))))
    return await visitor.press(found[0].id, found[1], string_array_value=wanted)


async def page(visitor: Visitor, rng: random.Random) -> float:
    """Open a page by a link."""
    query = urlencode({"checkpoint": rng.choice(CHECKPOINTS), "image": rng.randrange(SHOWN)})
    return await visitor.open(rng.choices(list(PAGES), list(PAGES.values()))[0], query)


DEEDS: dict[str, Callable[[Visitor, random.Random], Awaitable[float | None]]] = {
    "pick": pick,
    "strip": strip,
    "checkpoint": checkpoint,
    "compare": compare,
    "page": page,
}


# ---- many of them


async def stay(address: str, rng: random.Random, think: float, end: float, tally: Tally) -> None:
    """One visitor after another, until the time is over."""
    await asyncio.sleep(rng.uniform(0, (end - time.monotonic()) / 3))
    while time.monotonic() < end:
        try:
            async with connect(address, subprotocols=["streamlit"], max_size=None) as socket:
                visitor = Visitor(socket, PATIENCE)
                tally.add("arrive", await visitor.open())
                tally.add("page", await page(visitor, rng))
                for _ in range(rng.randint(1, 2 * STAY)):
                    for took in await visitor.think(min(rng.uniform(0, 2 * think), max(0, end - time.monotonic()))):
                        tally.add("poll", took)
                    if time.monotonic() > end:
                        break
                    kind = rng.choices(list(CLICKS), list(CLICKS.values()))[0]
                    took = await DEEDS[kind](visitor, rng)
                    tally.add(kind, took) if took is not None else tally.add("page", await page(visitor, rng))
        except (Refused, TimeoutError, OSError, WebSocketException) as error:
            tally.errors[f"{type(error).__name__}: {error}"[:200]] += 1


async def before(url: str) -> dict[str, float]:
    """Open each page with each checkpoint, one after the other; seconds by page and checkpoint where it took one."""
    async with connect(url, subprotocols=["streamlit"], max_size=None) as socket:
        visitor, took = Visitor(socket, 10 * PATIENCE), {}
        await visitor.open()
        for place in ALONE:
            for name in CHECKPOINTS:
                seconds = await visitor.open(place, urlencode({"checkpoint": name, "image": 0}))
                polled = await visitor.settle()
                took[f"{place} {name}"] = round(seconds + polled, 1)
    return {name: seconds for name, seconds in took.items() if seconds >= 1}


async def watch(pid: int, every: float, tally: Tally) -> None:
    """Note the server's resident memory until it is cancelled."""
    start = time.monotonic()
    while pid:
        text = Path(f"/proc/{pid}/status").read_text()
        kilobytes = next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS"))
        tally.memory.append((round(time.monotonic() - start), round(int(kilobytes) / 1000)))
        await asyncio.sleep(every)


async def crowd(address: str, pid: int, count: int, options: argparse.Namespace) -> dict:
    """So many visitors at once for so long, and what they met."""
    tally, start = Tally(), time.monotonic()
    watching = asyncio.create_task(watch(pid, max(1.0, options.minutes), tally))
    seeds = (random.Random(f"{options.seed}-{place}") for place in range(count))
    end = start + 60 * options.minutes
    await asyncio.gather(*(stay(address, rng, options.think, end, tally) for rng in seeds))
    watching.cancel()
    everything = [seconds for took in tally.took.values() for seconds in took]
    return {
        "visitors": count,
        "runs": len(everything),
        "runs a second": round(len(everything) / (time.monotonic() - start), 2),
        "seconds": quantiles(everything),
        "by click": {kind: quantiles(took) for kind, took in sorted(tally.took.items())},
        "errors": sum(tally.errors.values()),
        "of which": dict(tally.errors),
        "memory in MB by seconds": tally.memory,
    }


def quantiles(values: list[float]) -> dict[str, float]:
    """The least values that so many per cent do not exceed; nothing of none."""
    ordered = sorted(values)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "most": 1.0}
    return {
        name: round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3)
        for name, share in shares.items()
        if ordered
    }


def loopback(url: str) -> str:
    """An address of this computer alone: others are not put under load."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError(f"{url} is not http://127.0.0.1:PORT: only an app on this computer may be put under load.")
    return url


def arguments() -> argparse.Namespace:
    found = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    found.add_argument("--visitors", type=int, nargs="+", default=[10, 25, 50])
    found.add_argument("--minutes", type=float, default=2.0, help="for each number of visitors")
    found.add_argument("--think", type=float, default=4.0, help="seconds between two clicks, on the average")
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--url", help="of an app that runs already, on this computer")
    options = found.parse_args()
    if not 1 <= min(options.visitors) <= max(options.visitors) <= MOST_VISITORS:
        found.error(f"from 1 to {MOST_VISITORS} visitors can come at once")
    if not 0 < options.minutes <= MOST_MINUTES:
        found.error(f"--minutes goes up to {MOST_MINUTES}")
    try:
        options.url = options.url and loopback(options.url)
    except ValueError as error:
        found.error(str(error))
    return options


def main() -> None:
    options = arguments()
    with nullcontext(Server(options.url, 0)) if options.url else serving() as server:
        address = f"ws://{urlsplit(server.url).netloc}/_stcore/stream"
        alone = asyncio.run(before(address))
        for count in options.visitors:
            found = asyncio.run(crowd(address, server.pid, count, options))
            report(minutes=options.minutes, think=options.think, alone=alone, **found)


if __name__ == "__main__":
    main()
