"""What tensors a file must hold: their names, types and shapes, which belong together.

A form says of each name "TYPE SIDE SIDE ...": float, level (a float or minus infinity), number (any float, NaN too),
uint8 or int, and of each side its length, or a letter that stands for the same length wherever it stands.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from vaecore.safefiles import BadFile, File

Form, Held = dict[str, str], dict[str, Tensor]
FLOATS, WHOLE = (torch.float32, torch.float64), (torch.int32, torch.int64)
FINITE = {"float": torch.isfinite, "level": lambda levels: levels < torch.inf}


def held_to(form: Form, tensors: Held, file: File, needed: Iterable[str] = (), **lengths: int) -> Held:
    """The tensors, if those that the form names fit and all of the `needed` ones are there; BadFile where not.

    `lengths` are those of letters that are known. What the form does not name stays: another version may have made it.
    """
    for name in (name for name in form if name in tensors):
        if wrong := complaint(form[name], tensors[name], lengths):
            raise BadFile(f"{file}: {name} {wrong}. Remove the file to have it made anew.")
    if missing := [name for name in needed if name not in tensors]:
        raise BadFile(f"{file}: {missing[0]} is missing. Remove the file to have it made anew.")
    return tensors


def complaint(form: str, tensor: Tensor, lengths: dict[str, int]) -> str:
    """What is wrong with the tensor, "" for nothing; `lengths` learns those of the letters."""
    kind, *sides = form.split()
    if not is_of(kind, tensor):
        return f"holds {str(tensor.dtype).removeprefix('torch.')}, where {kind} is wanted"
    shape = tuple(tensor.shape)
    if len(shape) != len(sides):
        return f"has {len(shape)} sides, where {len(sides)} are wanted"
    pairs = zip(sides, shape, strict=True)
    wanted = tuple(int(side) if side.isdigit() else lengths.setdefault(side, n) for side, n in pairs)
    if shape != wanted or 0 in shape:
        return f"has the shape {shape}, which does not fit the others; {' x '.join(sides)} is wanted"
    return "" if kind not in FINITE or FINITE[kind](tensor).all() else "holds values that are not finite numbers"


def is_of(kind: str, tensor: Tensor) -> bool:
    if kind in ("float", "level", "number"):
        return tensor.dtype in FLOATS
    return tensor.dtype in WHOLE if kind == "int" else tensor.dtype == torch.uint8
