"""What one request may cost of the process that runs an ONNX pair, and whether anybody still waits for its answer."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

LOOK = 0.1  # seconds between two looks at whether the answer is still wanted


@dataclass(eq=False)
class Request:
    """Seconds that all calls of a request may take together.

    `wanted` is called while one waits, and raises where nobody wants the answer any more; `aside` is entered for that
    time: there a lock is let go, that others need while another process works.
    """

    seconds: float
    wanted: Callable[[], object] = lambda: None
    aside: Callable[[], AbstractContextManager] = nullcontext
    spent: float = 0.0

    def __enter__(self) -> "Request":
        """The clock of a call."""
        self.begun = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        self.spent += time.monotonic() - self.begun

    def wait(self, look: Callable[[float], object]) -> object:
        """What `look(seconds)` finds, asked again until it does; TimeoutError when the seconds are spent."""
        while True:
            self.wanted()
            left = self.seconds - self.spent - (time.monotonic() - self.begun)
            if left <= 0:
                raise TimeoutError
            if found := look(min(left, LOOK)):
                return found
