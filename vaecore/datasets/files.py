"""Files of images and labels, each right or refused.

`read(path)` gives a file's arrays, the pixels [N, H, W] before the labels [N]: uint8 in 0..255 or float32 in [0, 1]. It
raises ValueError, whose subject is the file, if the file is not the one that it must be. `names` are those that the
file may have, the published one first: what is downloaded then goes before a damaged file, and deletes nothing.
"""

import gzip
import zlib
from hashlib import md5
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vaecore.text import counted

_KINDS = {b"\0\0\x08\x03": "images", b"\0\0\x08\x01": "labels"}
_SIDE, _ALPHABETS = 28, 50
_UNREADABLE = (OSError, EOFError, zlib.error)


class IdxFile(NamedTuple):
    """MNIST's format. The md5 is that of the unpacked content: it may be packed in any way."""

    name: str
    shape: tuple[int, ...]
    md5: str

    @property
    def names(self) -> tuple[str, ...]:
        return f"{self.name}.gz", self.name

    @property
    def header(self) -> bytes:
        """Two zeros, 8 for uint8, the number of dimensions, and each of them in four bytes."""
        return bytes((0, 0, 8, len(self.shape))) + b"".join(size.to_bytes(4, "big") for size in self.shape)

    def read(self, path: Path) -> tuple[np.ndarray]:
        size = len(self.header) + prod(self.shape)
        content = _unpacked(path, size)
        if flaw := self.flaw(content, size):
            raise ValueError(flaw)
        return (np.frombuffer(content, np.uint8, offset=len(self.header)).reshape(self.shape),)

    def flaw(self, content: bytes, size: int) -> str:
        """What is wrong with the content, or nothing; the cheapest check comes first."""
        head, kind = content[: len(self.header)], _KINDS[self.header[:4]]
        if not self.header.startswith(head[:4]):
            found = _KINDS.get(head[:4], "something else")
            return f"has {found} in it instead of {kind} (it begins with {head[:4].hex()})"
        if not self.header.startswith(head):
            sizes = tuple(int.from_bytes(head[i : i + 4], "big") for i in range(4, len(head), 4))
            return f"has {kind} of shape {sizes} in it instead of {self.shape}"
        if len(content) != size:
            whole = counted(size, "byte")
            return f"is cut off at {len(content):,} of {whole}" if len(content) < size else f"exceeds {whole}"
        found = md5(content, usedforsecurity=False).hexdigest()
        return "" if found == self.md5 else f"differs from the published file (md5 {found} instead of {self.md5})"


class AmatFile(NamedTuple):
    """Text: a line for each image, its pixels 0 or 1 with a space between them; the same pixels as in an IDX file.

    Lines may end in several ways, so what is checked is not the text but its pixels, by that IDX file's md5.
    """

    name: str
    same: IdxFile

    @property
    def names(self) -> tuple[str, ...]:
        return self.name, f"{self.name}.gz"

    def read(self, path: Path) -> tuple[np.ndarray]:
        count, pixels = self.same.shape[0], prod(self.same.shape)
        size = 2 * pixels + 2 * count  # at the end of a line another space, or a carriage return
        content = _unpacked(path, size)
        if len(content) > size:
            raise ValueError(f"exceeds {counted(size, 'byte')}")
        digits = np.frombuffer(content.translate(None, b" \r\n"), np.uint8)
        if not np.isin(digits, (ord("0"), ord("1"))).all():
            raise ValueError("has something else than 0 and 1 in it")
        if len(digits) != pixels:
            raise ValueError(f"has {counted(len(digits), 'pixel')} in it instead of {pixels}")
        images = (digits - np.uint8(ord("0"))) * np.uint8(255)
        if flaw := self.same.flaw(self.same.header + images.tobytes(), len(self.same.header) + pixels):
            raise ValueError(flaw)
        return (images.reshape(self.same.shape),)


class MatFile(NamedTuple):
    """Two variables of a MATLAB file: `pixels` [784, N] in [0, 1], and `classes` [50, N], a single 1 in each column.

    No checksum is published with it: shapes and ranges are checked, and what packs the variables has its own checksum.
    """

    name: str
    pixels: str
    classes: str
    count: int

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    def read(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        pixels, classes = (self._variable(path, *row) for row in ((self.pixels, _SIDE**2), (self.classes, _ALPHABETS)))
        if not (pixels.min() >= 0 and pixels.max() <= 1):  # so that NaN fails, too
            raise ValueError(f"has pixels outside [0, 1] in {self.pixels}")
        if not (np.isin(classes, (0, 1)).all() and (classes.sum(0) == 1).all()):
            raise ValueError(f"has columns in {self.classes} that name no single alphabet")
        # MATLAB runs down the columns: row r and column c of an image stand at 28 c + r. Without the transposition
        # the characters would lie on their side, mirrored.
        images = pixels.T.reshape(self.count, _SIDE, _SIDE).transpose(0, 2, 1)
        return np.ascontiguousarray(images, np.float32), classes.argmax(0).astype(np.uint8)

    def _variable(self, path: Path, name: str, rows: int) -> np.ndarray:
        from scipy.io import loadmat, whosmat
        from scipy.io.matlab import MatReadError

        try:
            # Shapes stand before the content: what has another one is not unpacked.
            shapes = {known: shape for known, shape, _ in whosmat(path, appendmat=False)}
            if (found := shapes.get(name)) == (rows, self.count):
                array = loadmat(path, appendmat=False, variable_names=[name])[name]
        except (*_UNREADABLE, MatReadError, ValueError, TypeError, LookupError, NotImplementedError) as error:
            raise ValueError(f"cannot be read ({error})") from error
        if found != (rows, self.count):
            raise ValueError(f"has {name} of shape {found} in it instead of {(rows, self.count)}")
        if getattr(array, "dtype", np.dtype(object)).kind not in "biuf":
            raise ValueError(f"has something else than numbers in {name}")
        return array


def _unpacked(path: Path, size: int) -> bytes:
    """The content of a file that may be gzipped: all of it, or one byte more than its size."""
    try:
        # Browsers and servers unpack on the way and keep the name, so the first two bytes decide.
        with path.open("rb") as start:
            unpack = gzip.open if start.read(2) == b"\x1f\x8b" else open
        with unpack(path, "rb") as stream:
            return stream.read(size + 1)  # a gzip bomb shows itself by one byte
    except _UNREADABLE as error:
        raise ValueError(f"cannot be read ({error})") from error
