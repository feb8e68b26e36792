"""How many threads torch has for a piece of work: one where the work is small.

Threads share every small step and wait for each other after it: on small work that gains little on an idle machine, and
costs several times as much where other processes want the cores. `OMP_NUM_THREADS` stays the most that there are.
"""

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

# Multiplications of one call below which it has one thread: 1,024 decodes of digits are 51e6, a batch of MNIST 100e6.
SMALL = 80e6
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}


def wait_passively(surroundings: MutableMapping[str, str] | None = None) -> None:
    """Let threads that wait sleep, where the environment does not say otherwise; before torch is imported."""
    surroundings = os.environ if surroundings is None else surroundings
    for name, value in PASSIVE.items():
        surroundings.setdefault(name, value)


def multiplications(net: "nn.Module", rows: int) -> int:
    """A lower estimate of those of one call with so many rows: each weight at least once for each row."""
    return rows * sum(weight.numel() for weight in net.parameters() if weight.ndim > 1)


@contextmanager
def threads_for(net: "nn.Module", rows: int) -> Iterator[None]:
    """One thread within, where a call of `net` with `rows` rows is small work; never more than there were.

    It depends on the sizes alone and not on the machine's load: a run that is resumed sums in the same order.
    """
    import torch

    before = torch.get_num_threads()
    if before > 1 and multiplications(net, rows) < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)
