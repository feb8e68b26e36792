"""What a brought metrics.json says of training and evaluation: claims, kept only where they are plain."""

import math
import re
from typing import Any

from vaecore.safefiles import BadFile
from vaecore.text import counted

# No markup: these words stand on the pages and in the model card.
PLAIN = re.compile(r"[\w .,;:%=+/()\-|*?'^²σμ>~]{0,500}")
TRAINING = {
    "command": str,
    "start": str,
    "images": int,
    "epochs": int,
    "batch_size": int,
    "learning_rate": float,
    "seed": int,
    "recipe": str,
    "device": str,
    "best_epoch": int,
    "seconds": float,
    "hardware": str,
    "versions": str,
    "note": str,
}
EPOCH = {"epoch": int, "epochs": int, "train_elbo": float, "valid_elbo": float, "learning_rate": float}
EPOCH |= {"seconds": float}
MOST_MEASURES, MOST_EPOCHS, LARGEST = 100, 20_000, 1e15


def claims(metrics: dict) -> dict:
    """The entries of `metrics` that a page knows, each of its type; what is not is left out."""
    training, measures, history = (metrics.get(key) for key in ("training", "evaluation", "history"))
    kept: dict[str, Any] = {}
    if isinstance(training, dict):
        kept["training"] = chosen(training, TRAINING)
    if isinstance(measures, dict):
        kept["evaluation"] = evaluation(measures)
    if isinstance(history, list):
        if len(history) > MOST_EPOCHS:
            told = counted(len(history), "epoch")
            raise BadFile(f"metrics.json has a history of {told}; at most {MOST_EPOCHS:,} are read.")
        epochs = (chosen(event, EPOCH) for event in history if isinstance(event, dict))
        kept["history"] = [{"event": "epoch", **event} for event in epochs if "epoch" in event]
    return kept


def chosen(held: dict, kinds: dict[str, type]) -> dict:
    return {key: held[key] for key, kind in kinds.items() if is_plain(held.get(key), kind)}


def evaluation(measures: dict) -> dict:
    """Numbers, lists of numbers, and the protocol."""
    kept = {}
    for name, value in list(measures.items())[:MOST_MEASURES]:
        if name == "protocol":
            continue
        listed = isinstance(value, list) and len(value) <= 1024 and all(is_plain(entry, float) for entry in value)
        if is_plain(name, str) and len(name) <= 100 and (listed or is_plain(value, float)):
            kept[name] = value
    return kept | chosen(measures, {"protocol": str})


def is_plain(value: Any, kind: type) -> bool:  # noqa: ANN401
    """Whether `value` is a short text without markup, a whole number or any number, none of them absurd."""
    if kind is str:
        return isinstance(value, str) and "://" not in value and bool(PLAIN.fullmatch(value))
    number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    return number and abs(value) < LARGEST and math.isfinite(value)
