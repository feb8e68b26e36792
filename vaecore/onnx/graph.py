"""What an ONNX file says of itself, read without trusting it.

The file is a protocol buffer: fields of a number, a kind and a value, one after another. Only what must be known before
a runtime may open it is read: which operators there are, that nothing lies outside the file, and that its weights are
finite numbers. Field numbers are those of onnx.proto3.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vaecore.safefiles import BadFile, Held, checked
from vaecore.text import counted

LARGEST = 64 << 20
MOST_NODES, MOST_WEIGHTS = 4096, 1 << 25
MOST_FIELDS = 1 << 18  # in all: weights listed one by one would keep Python busy for minutes
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
FLOAT, DOUBLE, HALF = 1, 11, 10
TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16, 11: np.float64}
Shape = tuple[int | str, ...]


@dataclass(frozen=True)
class Port:
    """An input or output: its name, its type's number and its shape, where "N" stands for any size."""

    name: str
    kind: int
    shape: Shape

    def __str__(self) -> str:
        return f"{self.name} [{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Graph:
    """The inputs and outputs of a file that was found harmless, and its number of weights."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    weights: int
    operators: tuple[str, ...]


@dataclass
class Source:
    """The file that is read, and how many fields it may still have."""

    name: str
    left: int = MOST_FIELDS

    def __str__(self) -> str:
        return self.name


def read_graph(content: bytes, name: str) -> Graph:
    """What the ONNX file `name` with this content holds; BadFile with a sentence where it is not what it should be."""
    checked(Held(name, content), LARGEST)
    try:
        return model(memoryview(content), Source(name))
    except BadFile:
        raise
    except (ValueError, IndexError, TypeError, OverflowError):
        raise BadFile(f"{name} is not an ONNX file, or it is damaged.") from None


def model(content: memoryview, source: Source) -> Graph:
    graphs = []
    for field, value in fields(content, source):
        if field == 7:
            graphs.append(value)
        elif field in (20, 25):
            raise BadFile(f"{source} holds functions or a training procedure of its own: export it without.")
        elif field == 8:
            domain = text(dict(fields(value, source)).get(1, b""))
            if domain not in ("", "ai.onnx"):
                raise BadFile(f"{source} asks for operators of {domain[:60]!r}; only those of ONNX itself are run.")
    if len(graphs) != 1:
        raise BadFile(f"{source} is not an ONNX file, or it is damaged.")
    return graph(graphs[0], source)


def graph(content: memoryview, source: Source) -> Graph:
    inputs, outputs, operators, weights = [], [], [], {}
    for field, value in fields(content, source):
        if field == 1:
            operators.append(node(value, source))
        elif field == 5:
            own, size = tensor(value, source)
            weights[own] = size
        elif field in (11, 12):
            (inputs if field == 11 else outputs).append(port(value, source))
        elif field == 15:
            raise BadFile(f"{source} holds sparse weights, which are not read.")
        if len(operators) > MOST_NODES or len(weights) > MOST_NODES:
            raise BadFile(f"{source} has more than {counted(MOST_NODES, 'operator')} or lists of weights.")
    if (size := sum(weights.values())) > MOST_WEIGHTS:
        raise BadFile(f"{source} has {counted(size, 'weight')}; at most {MOST_WEIGHTS:,} are read.")
    # Older files list their weights among the inputs too.
    inputs = [port for port in inputs if port.name not in weights]
    return Graph(tuple(inputs), tuple(outputs), size, tuple(sorted(set(operators))))


def node(content: memoryview, source: Source) -> str:
    """The operator's name."""
    operator = ""
    for field, value in fields(content, source):
        if field == 4:
            operator = text(value)[:60]
        elif field == 7 and text(value) not in ("", "ai.onnx"):
            raise BadFile(f"{source} uses an operator of {text(value)[:60]!r}; only those of ONNX itself are run.")
        elif field == 5:
            attribute(value, source)
    if operator in RANDOM:
        raise BadFile(
            f"{source} draws random numbers ({operator}): export the networks that give the mean and the log-variance, "
            "or the mean image, without the sample that is drawn between them."
        )
    return operator


def attribute(content: memoryview, source: Source) -> None:
    for field, value in fields(content, source):
        if field in (6, 11):
            raise BadFile(f"{source} has a loop or a branch, which could run for ever: export it without.")
        if field in (22, 23):
            raise BadFile(f"{source} holds sparse weights, which are not read.")
        if field in (5, 10):
            tensor(value, source)


def tensor(content: memoryview, source: Source) -> tuple[str, int]:
    """The name of some weights and how many they are; BadFile where they lie in another file or are not finite."""
    dims, kind, own, raw, floats = [], 0, "", None, []
    for field, value in fields(content, source):
        if field == 1:
            dims += [value] if isinstance(value, int) else varints(value)
        elif field == 2:
            kind = value
        elif field == 8:
            own = text(value)
        elif field == 9:
            raw = value
        elif field == 4 and not isinstance(value, int):
            floats.append(value)
        elif field == 13 or (field == 14 and value):
            raise BadFile(f"{source} keeps weights in a file beside it: export it as one file.")
    if kind not in TYPES:
        raise BadFile(f"{source} holds weights of a type that is not read; use float32.")
    size = 1
    for dim in dims:
        size *= dim
    if size > MOST_WEIGHTS or len(dims) > 8:
        raise BadFile(f"{source} holds weights of an absurd shape.")
    if raw is not None and len(raw) != size * np.dtype(TYPES[kind]).itemsize:
        raise BadFile(f"{source} is damaged: the weights {own[:60]!r} do not have the size that they name.")
    pieces = [raw] if raw is not None and kind in (FLOAT, DOUBLE, HALF) else floats
    if not all(np.isfinite(np.frombuffer(piece, TYPES[kind] if raw is not None else "<f4")).all() for piece in pieces):
        raise BadFile(f"{source}: the weights {own[:60]!r} hold values that are not finite numbers.")
    return own, size


def port(content: memoryview, source: Source) -> Port:
    about, shape, nothing = dict(fields(content, source)), [], memoryview(b"")
    typed = dict(fields(dict(fields(about.get(2, nothing), source)).get(1, nothing), source))
    for field, dim in fields(typed.get(2, nothing), source):
        if field == 1:
            size = dict(fields(dim, source)).get(1, 0)
            shape.append(size if 0 < size < 1 << 31 else "N")
    return Port(text(about.get(1, b""))[:60], typed.get(1, 0), tuple(shape))


def text(content: memoryview | bytes) -> str:
    return bytes(content).decode()


def fields(content: memoryview, source: Source) -> Iterator[tuple[int, int | memoryview]]:
    """The number and value of each field of a message: whole numbers, or the bytes of all others."""
    at = 0
    while at < len(content):
        key, at = varint(content, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(content, at)
        else:
            if kind == 2:
                length, at = varint(content, at)
            else:
                length = {1: 8, 5: 4}[kind] if kind in (1, 5) else len(content) + 1
            value, at = content[at : at + length], at + length
            if at > len(content):
                raise ValueError("a field reaches beyond its message")
        source.left -= 1
        if source.left < 0:
            raise BadFile(f"{source} has more than {MOST_FIELDS:,} fields: keep the weights as raw data.")
        yield key >> 3, value


def varints(content: memoryview) -> list[int]:
    found, at = [], 0
    while at < len(content):
        value, at = varint(content, at)
        found.append(value)
        if len(found) > 64:
            raise ValueError("a shape of too many sizes")
    return found


def varint(content: memoryview, at: int) -> tuple[int, int]:
    """A whole number of 7 bits a byte, the least first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number without an end")
