"""Images and labels: scikit-learn's digits, and sets in MNIST's IDX format from a folder or a download.

A data folder has one sub-folder for each set, with the published files in it, plain or gzipped. Only content that has
the published checksum is ever used: the images are right, or there is an error.
"""

import gzip
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import md5
from itertools import chain
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

Folder = str | os.PathLike[str] | None


class MissingData(ValueError):
    """The files of a data set are not in the data folder."""


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
            raise ValueError(f"{self.name} is not dynamically binarised: load {DYNAMIC}{self.name} to draw its pixels.")
        chance = torch.rand(self.grey.shape, generator=torch.Generator().manual_seed(seed))
        return replace(self, images=(chance < self.grey).float())


class IdxFile(NamedTuple):
    """What a file must be. The md5 is that of the unpacked content: it may be packed in any way."""

    name: str
    shape: tuple[int, ...]
    md5: str

    @property
    def header(self) -> bytes:
        """Two zeros, 8 for uint8, the number of dimensions, and each of them in four bytes."""
        return bytes((0, 0, 8, len(self.shape))) + b"".join(size.to_bytes(4, "big") for size in self.shape)


def _pair(prefix: str, count: int, images: str, labels: str) -> tuple[IdxFile, IdxFile]:
    first = IdxFile(f"{prefix}-images-idx3-ubyte", (count, 28, 28), images)
    return first, IdxFile(f"{prefix}-labels-idx1-ubyte", (count,), labels)


_FILES = {
    "mnist": {
        "train": _pair("train", 60_000, "6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624"),
        "test": _pair("t10k", 10_000, "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"),
    },
    "fashion_mnist": {
        "train": _pair("train", 60_000, "f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9"),
        "test": _pair("t10k", 10_000, "8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965"),
    },
}
_MIRRORS = {
    "mnist": ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    "fashion_mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
}
_KINDS = {b"\0\0\x08\x03": "images", b"\0\0\x08\x01": "labels"}
DYNAMIC = "dynamic_"
GREY_NAMES = ("digits", "mnist", "fashion_mnist")
NAMES = ("digits", *_FILES, *(f"{DYNAMIC}{name}" for name in GREY_NAMES))
SPLITS = ("train", "valid", "test")


def load_dataset(name: str, split: str = "train", root: Folder = None, download: bool = False) -> Dataset:
    """One split of a data set; a set without a `valid` of its own gives a fixed tenth of its `train` for it.

    `root` is the data folder (see `data_folder`); with `download`, missing files are fetched into it.
    Raises ValueError for unknown names and wrong files, and MissingData, which is one, for missing files.
    """
    _check("data set", name, NAMES)
    _check("split", split, SPLITS)
    if name.startswith(DYNAMIC):
        grey = load_dataset(name.removeprefix(DYNAMIC), split, root, download)
        return replace(grey, name=name, grey=grey.images).binarised(SPLITS.index(split))
    own = _FILES.get(name, ("train", "test"))
    part = split if split in own else "train"
    pixels, labels = _digits(part) if name == "digits" else _arrays(name, part, root, download)
    # The choice comes before the conversion, so that there is one float copy, and only of what is wanted.
    keep = _tenth(len(labels), split) if part == "train" and "valid" not in own else slice(None)
    images = pixels[keep, None] / np.float32(16 if name == "digits" else 255)
    return Dataset(name, split, torch.from_numpy(images), torch.from_numpy(labels[keep].astype(np.int64)))


def is_available(name: str, root: Folder = None) -> bool:
    """Whether all files of a data set exist; what they contain is checked by `load_dataset`."""
    _check("data set", name, NAMES)
    grey = name.removeprefix(DYNAMIC)
    return grey == "digits" or not _missing(grey, data_folder(root) / grey)


def download(name: str, root: Folder = None) -> Path:
    """Fetch the files that are missing or damaged; returns the folder that then has all of them.

    Raises ValueError if no mirror gives the published content; whatever else it gave is not kept.
    """
    name = name.removeprefix(DYNAMIC)
    _check("data set to download", name, tuple(_FILES))
    folder = data_folder(root) / name
    needed = [file for file in chain(*_FILES[name].values()) if not _is_good(folder, file)]
    for done, file in enumerate(needed):
        failures = []
        for mirror in _MIRRORS[name]:
            try:
                _fetch(mirror, folder, file)
                break
            except (OSError, ValueError) as error:  # what requests raises is an OSError, too long to quote
                failures.append(f"{mirror}: {error if type(error) is ValueError else type(error).__name__}")
        else:
            files, why = _listed(needed[done:]), "; ".join(failures)
            raise ValueError(f"{name} could not be downloaded ({why}): put {files} from elsewhere into {folder}.")
    return folder


def data_folder(root: Folder = None) -> Path:
    """The full path of `root`, else of what the environment variable VAESCOPE_DATA names, else of the user's cache."""
    root = root or os.environ.get("VAESCOPE_DATA")
    if not root:
        import pooch

        root = pooch.os_cache("vaescope")
    return Path(root).expanduser().absolute()


def _check(kind: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"There is no {kind} {value!r}; choose from {', '.join(known)}.")


def _digits(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [N, 8, 8] in 0..16 and labels [N]; every fifth image of each class, in file order, is test."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    test = np.zeros(len(digits.target), bool)
    for label in range(10):
        test[np.flatnonzero(digits.target == label)[4::5]] = True
    keep = test if part == "test" else ~test
    return digits.images[keep].astype(np.uint8), digits.target[keep]


def _tenth(count: int, split: str) -> np.ndarray:
    """Indices, in file order, of the tenth of `count` images that is `valid`, or of the rest."""
    order = np.random.default_rng(0).permutation(count)
    return np.sort(order[: count // 10] if split == "valid" else order[count // 10 :])


def _arrays(name: str, part: str, root: Folder, fetch: bool) -> list[np.ndarray]:
    """Pixels [N, H, W] in 0..255 and labels [N], from files."""
    folder, command = data_folder(root) / name, f"`python -m vaecore download {name}`"
    missing = _missing(name, folder)
    if fetch and not set(missing).isdisjoint(_FILES[name][part]):
        download(name, root)
    arrays = []
    for file in _FILES[name][part]:
        path = _path(folder, file)
        if not os.path.isfile(path):
            where = f"set VAESCOPE_DATA to a folder with {name}/ in it, or run {command}"
            raise MissingData(f"{name} is missing: put {_listed(missing)} (or unpacked) into {folder}, {where}.")
        try:
            arrays.append(_read(path, file))
        except ValueError as error:
            raise ValueError(f"{path} {error}; replace it by the published file, or run {command}.") from error
    return arrays


def _missing(name: str, folder: Path) -> list[IdxFile]:
    return [file for file in chain(*_FILES[name].values()) if not os.path.isfile(_path(folder, file))]


def _listed(files: Iterable[IdxFile]) -> str:
    return ", ".join(f"{file.name}.gz" for file in files)


def _path(folder: Path, file: IdxFile) -> Path:
    """Gzipped files come first: so a download heals a folder with a damaged plain file, and deletes nothing."""
    packed, plain = folder / f"{file.name}.gz", folder / file.name
    return plain if os.path.isfile(plain) and not os.path.isfile(packed) else packed


def _read(path: Path, file: IdxFile) -> np.ndarray:
    """The array, uint8 and read-only, in a file. Raises ValueError, whose subject is the file, if it is another one."""
    size = len(file.header) + prod(file.shape)
    try:
        # Browsers and servers unpack on the way and keep the name, so the first two bytes decide.
        with path.open("rb") as start:
            unpack = gzip.open if start.read(2) == b"\x1f\x8b" else open
        with unpack(path, "rb") as stream:
            content = stream.read(size + 1)  # a gzip bomb shows itself by one byte
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"cannot be read ({error})") from error
    if flaw := _flaw(content, file, size):
        raise ValueError(flaw)
    return np.frombuffer(content, np.uint8, offset=len(file.header)).reshape(file.shape)


def _flaw(content: bytes, file: IdxFile, size: int) -> str:
    """What is wrong with the content, or nothing; the cheapest check comes first."""
    head, kind = content[: len(file.header)], _KINDS[file.header[:4]]
    if not file.header.startswith(head[:4]):
        return f"has {_KINDS.get(head[:4], 'something else')} in it instead of {kind} (it begins with {head[:4].hex()})"
    if not file.header.startswith(head):
        sizes = tuple(int.from_bytes(head[i : i + 4], "big") for i in range(4, len(head), 4))
        return f"has {kind} of shape {sizes} in it instead of {file.shape}"
    if len(content) != size:
        return f"is cut off at {len(content)} of {size} bytes" if len(content) < size else f"exceeds {size} bytes"
    found = md5(content, usedforsecurity=False).hexdigest()
    return "" if found == file.md5 else f"differs from the published file (md5 {found} instead of {file.md5})"


def _is_good(folder: Path, file: IdxFile) -> bool:
    try:
        _read(_path(folder, file), file)
    except ValueError:
        return False
    return True


def _fetch(mirror: str, folder: Path, file: IdxFile) -> None:
    """Bring a file into the folder: complete and checked, or not at all."""
    from pooch import HTTPDownloader

    name = f"{file.name}.gz"
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".download-") as beside:
        fetched = Path(beside) / name
        HTTPDownloader(progressbar=True)(mirror + name, str(fetched), None)
        _read(fetched, file)
        os.replace(fetched, folder / name)
