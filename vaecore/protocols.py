"""How the papers train and measure: what `--protocol paper` follows (docs/protocols.md)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Plateau:
    """The rate is halved, with a fresh Adam, where the validation ELBO has not risen for more than `patience` epochs,
    `most` times; the next rest, or a rate under `least`, ends the training. Each step multiplies the rate by `decay`.

    So MAE's released code trains.
    """

    patience: int = 20
    most: int = 3
    least: float = 5e-5
    decay: float = 0.999998

    def halvings(self, bounds: Sequence[float]) -> int:
        """How often the rate was halved after epochs of these validation ELBOs."""
        best, rest, count = -math.inf, 0, 0
        for bound in bounds:
            best, rest = (bound, 0) if bound > best else (best, rest + 1)
            if rest > self.patience:
                count, rest = count + 1, 0
        return count

    def ends(self, halvings: int, rate: float) -> bool:
        return halvings > self.most or rate < self.least


@dataclass(frozen=True)
class Paper:
    """How a paper trains and measures: what `protocol=paper` and `evaluate --protocol paper` follow.

    `training` is what cards say of it; `valid` how many training images of which set it holds out, where we hold out a
    tenth.
    """

    training: str
    samples: int = 100  # of z for each image
    binarisations: int = 1  # of the test images of a dynamically binarised set
    units_on: str = "test"  # the split that counts as active units' x
    batch_size: int = 128
    valid: tuple[tuple[str, int], ...] = ()


OURS = Paper("for budgets far under the papers'")
BY_KIM = Paper("Adam at 5e-4, batches of 128, 2,000 epochs")
BY_XU = Paper(
    "Adam at 1e-3, 1e-4 and 1e-5 for 800 epochs each, L2 1e-4, warm-up over 100 epochs, batches of 128",
    samples=1000,
    binarisations=10,
    units_on="train",
)
BY_MA = Paper(
    "Adam from 1e-3, shrunk by 0.999998 at each step and halved where the validation ELBO rests for 20 epochs, at most "
    "1,000 epochs in batches of 100, 2,000 images held out",
    samples=4096,
    binarisations=5,
    batch_size=100,
    valid=(("mnist", 2000), ("omniglot", 2345)),
)
BY_TOMCZAK = Paper(
    "Adam at 5e-4 on gradients of unit norm, batches of 100, warm-up over 100 epochs, until the validation ELBO rests "
    "for 50 epochs",
    samples=5000,
    batch_size=100,
)
