"""Files as strangers might send them: real ones, spoilt where their structure is, and in their bytes."""

import copy
import json
from random import Random
from typing import Any

import torch
from safetensors.torch import load, save

DEEP = "deep" * 3  # stands for lists in lists, deeper than any reader may go
TEXTS = ["", "x" * 300, "NaN", "\ud800", "<b>![](http://a)</b>", "{0.__class__}", "3", "../..", "true"]
NUMBERS = [None, True, -1, 0, 1.5, 2**31, 2**53, 2**64, 10**400, 1e308, -0.0, float("nan"), float("inf")]
ODD = [*TEXTS, *NUMBERS, DEEP, [], {}, [[]], [1, "a", None], [None] * 300, {"a": {"b": [1]}}, [[[[1]]]]]
DTYPES = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.int32]


def spoilt_json(held: Any, rng: Random) -> bytes:  # noqa: ANN401
    """The JSON, with up to three of its parts or some of its bytes changed."""
    if rng.random() < 0.75:
        held = spoilt(held, rng)
    text = json.dumps(held).replace(f'"{DEEP}"', "[" * 50_000 + "]" * 50_000).encode()
    if rng.random() < 0.1 and text.startswith(b'{"'):  # a key twice
        text = b'{"' + text[2:].split(b'"', 1)[0] + b'": 3, ' + text[1:]
    return text if rng.random() < 0.75 else spoilt_bytes(text, rng)


def spoilt(held: Any, rng: Random) -> Any:  # noqa: ANN401
    held = [copy.deepcopy(held)]
    for _ in range(rng.randint(1, 3)):
        if found := list(places(held)):
            change(*rng.choice(found), found, rng)
    return held[0] if held else None


def places(held: Any) -> Any:  # noqa: ANN401
    """Every part of the JSON, as what it lies in and its key there; long lists are entered at their ends."""
    keys = list(held) if isinstance(held, dict) else [*range(len(held))][:3] + [*range(len(held))][-1:]
    for key in keys:
        yield held, key
        if isinstance(held[key], dict | list):
            yield from places(held[key])


def change(into: Any, key: Any, found: list, rng: Random) -> None:  # noqa: ANN401
    act = rng.randint(0, 5)
    if act == 0:
        del into[key]
    elif act == 1:
        other, place = rng.choice(found)
        into[key] = copy.deepcopy(other[place])
    elif act == 2 and isinstance(into, dict):
        into[rng.choice(["event", "later", "x" * 500, str(key) + "s"])] = into.pop(key)
    elif act == 3 and isinstance(into, list):
        into.extend([copy.deepcopy(into[key])] * rng.choice([1, 5000]))
    else:
        into[key] = copy.deepcopy(rng.choice(ODD))


def spoilt_bytes(text: bytes, rng: Random) -> bytes:
    """Cut off, overwritten, doubled, or with bytes that are no UTF-8 in it."""
    act, at = rng.randint(0, 4), rng.randint(0, len(text))
    if act == 0:
        return text[:at]
    if act == 1:
        return text[:at] + bytes(rng.randint(0, 255) for _ in range(rng.randint(1, 8))) + text[at + 1 :]
    if act == 2:
        return text[:at] + b"\xff\xfe" + text[at:]
    if act == 3:
        return text + text[at:]
    return bytes(rng.randint(0, 255) for _ in range(rng.randint(0, 40)))


def spoilt_tensors(content: bytes, rng: Random) -> bytes:
    """A safetensors file whose tensors have other types, shapes and values; or other bytes, header or body."""
    length = int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    if rng.random() < 0.6:
        tensors = load(content)
        for name in rng.sample(sorted(tensors), rng.randint(1, min(3, len(tensors)))):
            misshape(tensors, name, rng)
        return save(tensors, header.get("__metadata__"))
    if rng.random() < 0.5:
        text = spoilt_json(header, rng)
        return len(text).to_bytes(8, "little") + text + body
    return content[:8] + spoilt_bytes(content[8 : 8 + length], rng) + spoilt_bytes(body, rng)


def misshape(tensors: dict[str, torch.Tensor], name: str, rng: Random) -> None:
    tensor, act = tensors.pop(name), rng.randint(0, 7)
    changes = [
        lambda: tensor.to(rng.choice(DTYPES)),
        lambda: tensor.flatten()[: rng.randint(0, 3)],
        lambda: tensor[None],
        lambda: tensor[: rng.randint(0, 3)] if tensor.ndim else tensor,
        lambda: torch.full_like(tensor, float("nan")) if tensor.is_floating_point() else tensor + 200,
        lambda: tensor * (1e38 if tensor.is_floating_point() else 3),
        lambda: torch.zeros(()),
    ]
    if act < len(changes):  # else it is gone
        tensors[name if rng.random() < 0.9 else name + "x"] = changes[act]().contiguous().clone()
