"""Images and labels: scikit-learn's digits, and published sets from a folder or a download.

A data folder has one sub-folder for each set, with the published files in it. Only content that has the published
checksum, or where none is published the published shape and range, is ever used: the images are right, or there is
an error. The parts: dataset (in memory), catalogue (which sets), files (formats and checks), folder (disk and network).
"""

from dataclasses import replace

import numpy as np
import torch

from vaecore.datasets.catalogue import DYNAMIC, FORMS, GREY_NAMES, NAMES, SPLITS, check_known
from vaecore.datasets.dataset import Dataset
from vaecore.datasets.folder import Folder, MissingData, data_folder, download, is_complete, read

__all__ = [
    "DYNAMIC",
    "GREY_NAMES",
    "NAMES",
    "SPLITS",
    "Dataset",
    "Folder",
    "MissingData",
    "data_folder",
    "download",
    "is_available",
    "load_dataset",
]


def load_dataset(
    name: str, split: str = "train", root: Folder = None, download: bool = False, valid: int | None = None
) -> Dataset:
    """One split of a data set; one without a `valid` of its own gives `valid` fixed images of its `train`, or a tenth.

    `root` is the data folder (see `data_folder`); with `download`, missing files are fetched into it. A set called
    dynamic_X has the pixels of X drawn once, the same at every load; `Dataset.binarised` draws others. The test images
    of static_mnist, which are published sorted by digit, come in a fixed random order: the first so many are fair.
    Raises ValueError for unknown names and wrong files, and MissingData, which is one, for missing files.
    """
    check_known("data set", name, NAMES)
    check_known("split", split, SPLITS)
    if name.startswith(DYNAMIC):
        grey = load_dataset(name.removeprefix(DYNAMIC), split, root, download, valid)
        return replace(grey, name=name, grey=grey.images).binarised(SPLITS.index(split))
    own = FORMS[name][0].files if name in FORMS else ("train", "test")
    part = split if split in own else "train"
    (pixels, *labels), note = (_digits(part), "") if name == "digits" else read(name, part, root, download)
    # The choice comes before the conversion, so that there is one float copy, and only of what is wanted.
    keep = (
        _held_out(len(pixels), split, valid)
        if part == "train" and "valid" not in own
        else _fair(name, part, len(pixels))
    )
    images = pixels[keep, None] / np.float32(255 if pixels.dtype == np.uint8 else 1)
    found = torch.from_numpy(labels[0][keep].astype(np.int64)) if labels else None
    return Dataset(name, split, torch.from_numpy(images), found, note=note)


def is_available(name: str, root: Folder = None) -> bool:
    """Whether all files of a data set exist; what they contain is checked by `load_dataset`."""
    check_known("data set", name, NAMES)
    grey = name.removeprefix(DYNAMIC)
    return grey == "digits" or is_complete(grey, root)


def _digits(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [N, 8, 8] in [0, 1] and labels [N]; every fifth image of each class, in file order, is test."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    test = np.zeros(len(digits.target), bool)
    for label in range(10):
        test[np.flatnonzero(digits.target == label)[4::5]] = True
    keep = test if part == "test" else ~test
    return (digits.images[keep] / 16).astype(np.float32), digits.target[keep]


def _held_out(count: int, split: str, valid: int | None = None) -> np.ndarray:
    """Indices, in file order, of the images of `count` that are `valid`, a tenth by default, or of the rest."""
    most = count // 10 if valid is None else valid
    if valid is not None and not 0 < valid < count:
        raise ValueError(f"valid is {valid}; it must be from 1 to {count - 1:,}, so that there are images to train on.")
    order = np.random.default_rng(0).permutation(count)
    return np.sort(order[:most] if split == "valid" else order[most:])


def _fair(name: str, part: str, count: int) -> np.ndarray | slice:
    """All images in an order of which any beginning is fair: the published one, unless that is sorted by class."""
    is_sorted = (name, part) == ("static_mnist", "test")
    return np.random.default_rng(0).permutation(count) if is_sorted else slice(None)
