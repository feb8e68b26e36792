"""A training run that can be watched: its log, its snapshots, and a stop that waits for a step's end."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vaecore import parallel
from vaecore.datasets import Dataset
from vaecore.runs import STOP, Log, Stopped
from vaecore.snapshots import Shutter
from vaecore.vae import VAE

Event = dict
LOOK = 0.2  # seconds between two looks for somebody's wish to stop, which may be far away on a shared disk


class Recorder:
    """Takes the events of `fit`: writes them down, and ends the run by raising `Stopped` where that was asked."""

    def __init__(self, partial: Path, vae: VAE, test: Dataset, epochs: int) -> None:
        self.partial, self.vae, self.epochs = partial, vae, epochs
        self.workers = parallel.current()
        self.asked, self.looked = False, 0.0
        self.log = Log(partial) if self.workers.first else None
        self.shutter = Shutter(partial, test, epochs) if self.workers.first else None

    def close(self) -> None:
        if self.log:
            self.log.close()

    def __call__(self, event: Event) -> None:
        if event["event"] == "step":
            self.after_step(event)
        elif event["event"] == "measured" and self.log:
            self.log.write(event | {"event": "epoch", "step": event["epoch"] * self.steps})
            self.shutter.take(self.vae, event["epoch"])

    def after_step(self, event: Event) -> None:
        self.steps = event["steps"]
        if self.log and self.log.due():
            step = (event["epoch"] - 1) * self.steps + event["step"]
            line = {"event": "step", "step": step, "steps": self.epochs * self.steps, "epoch": event["epoch"]}
            objective = float(event["objective"])
            finite = objective if math.isfinite(objective) else None
            self.log.write(line | {"objective": finite, "seconds": self.log.seconds})
        if self.workers.any(self.wanted_to_end(), self.vae.device):
            raise Stopped

    def wanted_to_end(self) -> bool:
        now = time.monotonic()
        if not self.asked and self.workers.first and now - self.looked > LOOK:
            self.looked, self.asked = now, (self.partial / STOP).exists()
        return self.asked

    def end(self, *_: object) -> None:
        """Ask for the end at the next step, as a signal's handler may."""
        self.asked = True


@contextmanager
def recorded(partial: Path, vae: VAE, test: Dataset, epochs: int) -> Iterator[Callable[[Event], None]]:
    """A Recorder that also listens to SIGTERM."""
    recorder = Recorder(partial, vae, test, epochs)
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, recorder.end) if main else None
    try:
        yield recorder
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
        recorder.close()
