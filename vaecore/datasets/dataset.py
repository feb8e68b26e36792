"""A data set in memory: one split of it, on the CPU."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vaecore.datasets.catalogue import DYNAMIC, NAMES


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images [N, C, H, W], float32 in [0, 1], and labels [N], int64, or None.

    Of a dynamically binarised set the images are one draw of the pixels, 0 or 1, and `grey` the intensities that they
    were drawn from; `note` is what a reader of its numbers must know of the split.
    """

    name: str
    split: str
    images: Tensor
    labels: Tensor | None
    grey: Tensor | None = None
    note: str = ""

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int) -> "Dataset":
        """The same set with its first `count` images alone."""
        parts = {key: getattr(self, key) for key in ("images", "labels", "grey")}
        return replace(self, **{key: None if part is None else part[:count] for key, part in parts.items()})

    def binarised(self, seed: int) -> "Dataset":
        """The same set with its pixels drawn anew, each 1 with its grey value's probability."""
        if self.grey is None:
            dynamic = f"{DYNAMIC}{self.name}"
            hint = f": load {dynamic}" if dynamic in NAMES else " and has no grey pixels"
            raise ValueError(f"{self.name} is not dynamically binarised{hint} to draw from.")
        # A draw from [0, 1) is below a chance of 1 always, and below one of 0 never.
        chance = torch.rand(self.grey.shape, generator=torch.Generator().manual_seed(seed))
        return replace(self, images=(chance < self.grey).float())
