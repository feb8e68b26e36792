"""Which images a map shows: a split of the data set, or a stratified part of it."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vaecore.datasets import Dataset, load_dataset
from vaecore.learned.numbers import images_of_codes

SPLITS = ("test", "train", "all")


def gather(dataset: str, split: str = "test", root: str | Path | None = None) -> Dataset:
    """The images whose codes are embedded: those of `test`, of `train` (with what is held out of it), or of `all`.

    In `all` the test images come first, so that their numbers stay. Of a dynamically binarised set the images are the
    grey ones thresholded at 0.5, as the MAE paper's code has it, and not a draw.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; it must be one of {', '.join(SPLITS)}.")
    names = {"test": ["test"], "train": ["train", "valid"], "all": ["test", "train", "valid"]}[split]
    parts = [load_dataset(dataset, name, root) for name in names]
    images = torch.cat([images_of_codes(part) for part in parts])
    labels = None if parts[0].labels is None else torch.cat([part.labels for part in parts])
    return replace(parts[0], split=split, images=images, labels=labels, grey=None)


def stratified(count: int, points: int, seed: int = 0, labels: Tensor | None = None) -> Tensor:
    """`points` of `count` rows, rising: of each label its share to within one, at random within; all if `points` do.

    Args:
        labels: integers [count]; without them the rows are drawn from all alike.

    Returns:
        Rows [min(points, count)], int64. The same for every checkpoint of a data set.
    """
    if labels is not None and labels.shape != (count,):
        raise ValueError(f"labels have shape {list(labels.shape)}; it must be [{count}], one for each row.")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    if labels is None or points >= count:
        return order[:points].sort().values
    # Where each row stands within its own label, as a share in (0, 1): the smallest take as much of every label.
    mixed = labels[order]
    standing = torch.empty(count, dtype=torch.float64)
    for label in mixed.unique():
        own = (mixed == label).nonzero()[:, 0]
        standing[own] = (torch.arange(len(own), dtype=torch.float64) + 0.5) / len(own)
    return order[standing.argsort(stable=True)[:points]].sort().values
