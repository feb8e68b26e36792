"""Reading files that may be hostile, and writing files that appear whole or not at all.

Only JSON and safetensors are read. Sizes are bounded before anything is parsed: a safetensors header of some megabytes
is enough to keep its reader busy for many seconds and most of a gigabyte.
"""

import glob
import io
import json
import math
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from safetensors import SafetensorError

if TYPE_CHECKING:  # whoever reads JSON alone must not wait for torch
    from torch import Tensor

from vaecore.text import counted

LARGEST_JSON, LARGEST_HEADER, LARGEST_TENSORS, MOST_TENSORS = 4 << 20, 1 << 20, 1 << 28, 4096
LEFT = 3600.0  # seconds: no file takes so long to be written
DEEPEST = 32  # JSON within JSON: what recurses over it later must not end the process
LARGEST_WHOLE, MOST_SIDES = 2**63, 16


def cache() -> Path:
    """The user's cache: copies, and results for folders that cannot be written to."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vaescope"


def must_be_text(name: object) -> None:
    """ValueError for the name of a file or folder that is not UTF-8."""
    try:
        str(name).encode()
    except UnicodeEncodeError:
        raise ValueError(f"The name {str(name)!r} is not UTF-8: rename it, or choose another.") from None


class BadFile(ValueError):
    """A file that is missing, too large, or not what its name says."""


@dataclass(frozen=True)
class Held:
    """A file in memory, which is read as one on the disk is."""

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name

    def is_file(self) -> bool:
        return True

    def open(self, mode: str) -> io.BytesIO:  # noqa: ARG002
        return io.BytesIO(self.content)

    def read_bytes(self) -> bytes:
        return self.content


File = Path | Held


def checked(file: File, most: int) -> File:
    """`file`, if it is there and has at most `most` bytes."""
    if not file.is_file():
        raise BadFile(f"{file} is missing.")
    must_have_at_most(most, len(file.content) if isinstance(file, Held) else file.stat().st_size, file)
    return file


def must_have_at_most(most: int, size: int, file: File) -> None:
    if size > most:
        raise BadFile(f"{file} has {counted(size, 'byte')}; at most {most:,} are read.")


def content(file: File, most: int) -> bytes:
    """The bytes of `file`, at most so many; BadFile, too, where the system does not give them."""
    try:
        return checked(file, most).read_bytes()
    except OSError as error:
        raise BadFile(f"{file} cannot be read: {error.strerror or error}.") from None


def parse_json(text: bytes, file: File) -> Any:  # noqa: ANN401
    """Strict JSON: no key twice, no number beyond float64 or 64 bits, no NaN, at most DEEPEST levels."""

    def once(pairs: list[tuple[str, Any]]) -> dict:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number that can be read")

    def finite(digits: str) -> float:
        return number if math.isfinite(number := float(digits)) else refuse(digits[:40])

    def whole(digits: str) -> int:
        return number if len(digits) < 21 and abs(number := int(digits)) < LARGEST_WHOLE else refuse(digits[:40])

    try:
        held = json.loads(text, object_pairs_hook=once, parse_constant=refuse, parse_float=finite, parse_int=whole)
        if b"\\u" in text:
            json.dumps(held, ensure_ascii=False).encode()  # half a pair of surrogates is no text that can be shown
    except (ValueError, RecursionError) as error:
        raise BadFile(f"{file} does not hold valid JSON: {str(error)[:200]}.") from None
    if is_deep(held):
        raise BadFile(f"{file} holds JSON of more than {DEEPEST} levels.")
    return held


def is_deep(held: Any) -> bool:  # noqa: ANN401
    """Whether lists and objects stand in each other beyond DEEPEST levels."""
    level = [held]
    for _ in range(DEEPEST):
        parts = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [part for each in parts for part in each]
    return bool(level)


def read_json(file: File) -> dict:
    """The JSON object in `file`."""
    held = parse_json(content(file, LARGEST_JSON), file)
    if not isinstance(held, dict):
        raise BadFile(f"{file} must hold one JSON object.")
    return held


def read_header(file: File) -> tuple[dict[str, tuple[str, tuple[int, ...]]], dict[str, str]]:
    """What a safetensors file says of itself: each tensor's type and shape, and the metadata."""
    with checked(file, LARGEST_TENSORS).open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > LARGEST_HEADER:
            longest = counted(LARGEST_HEADER, "byte")
            raise BadFile(f"{file} is not a safetensors file, or its header is longer than {longest}.")
        header = parse_json(opened.read(length), file)
    metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else None
    texts = isinstance(metadata, dict) and all(isinstance(text, str) for text in metadata.values())
    if not texts or not all(map(is_entry, header.values())):
        raise BadFile(f"{file} has a header that is not safetensors'.")
    tensors = {name: (about["dtype"], tuple(about["shape"])) for name, about in header.items()}
    if len(tensors) > MOST_TENSORS or sum(prod(shape) for _, shape in tensors.values()) > LARGEST_TENSORS:
        most = f"{counted(MOST_TENSORS, 'tensor')} or {counted(LARGEST_TENSORS, 'number')}"
        raise BadFile(f"{file} describes more than {most}.")
    return tensors, metadata


def is_entry(about: Any) -> bool:  # noqa: ANN401
    """Whether a safetensors header may say this of a tensor."""
    shape = about.get("shape") if isinstance(about, dict) else None
    sides = isinstance(shape, list) and len(shape) <= MOST_SIDES and all(type(n) is int and n >= 0 for n in shape)
    return sides and isinstance(about.get("dtype"), str)


def read_tensors(file: File) -> "dict[str, Tensor]":
    """The tensors of a safetensors file, after its header was found harmless."""
    from safetensors.torch import load as parse_tensors

    read_header(file)
    try:
        return parse_tensors(file.read_bytes())
    except (SafetensorError, ValueError, KeyError) as error:
        raise BadFile(f"{file} is damaged or cut off: {error}.") from None


def write_bytes(file: Path, content: bytes) -> None:
    """Write beside, flush to the disk, rename: a reader sees the old file or the new one."""
    sweep(file)
    handle, beside = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        os.chmod(beside, 0o644)
        os.replace(beside, file)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    sync(file.parent)


def sweep(file: Path) -> None:
    """Remove what writers of `file` that were killed have left beside it."""
    for left in file.parent.glob(f".{glob.escape(file.name)}.{'?' * 8}"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > LEFT:
                left.unlink()


def sync(folder: Path) -> None:
    """Make a rename in `folder` outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(file: Path, held: dict) -> None:
    write_bytes(file, (json.dumps(held, indent=2, allow_nan=False) + "\n").encode())


def write_tensors(file: Path, tensors: "dict[str, Tensor]", metadata: dict[str, str] | None = None) -> None:
    from safetensors.torch import save as pack_tensors

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(file, pack_tensors(plain, metadata))
