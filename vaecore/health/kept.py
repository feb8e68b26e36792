"""A report that is kept with its checkpoint as JSON, and refused where it belongs to others or is no report."""

import math
import os
from pathlib import Path

from vaecore import checkpoints
from vaecore.health.measures import Found
from vaecore.health.report import VERSION
from vaecore.safefiles import BadFile, cache, read_json, write_json

NUMBERS = {
    "bounds": ("ELBO", "IWAE", "IWAE - ELBO", "reconstruction", "KL(q(z|x) || p(z))", "images measured", "draws")
    + ("reconstruction gained by the right code", "spread of the ELBO", "spread of log p(x)"),
    "codes": ("active units", "images for the codes"),
    "prior": ("KL(q(z) || p(z))", "mutual information", "ceiling of the mutual information", "low posterior share")
    + ("images held out",),
}
EXACT = ("gap", "gap error", "median of the gap", "spread of log p(x)", "images")
COMPARED = ("training - test", "training - test error", "images", "draws")
ERRORS = ("active units", "images measured", "draws", "images for the codes", "images held out")  # have none


def name(seed: int = 0, split: str = "test") -> str:
    """Under which name a report is kept, in the checkpoint's folder or the user's cache."""
    return f"health-{split}-{seed}.json"


def files(folder: str | Path, key: str, seed: int, split: str) -> tuple[Path, Path]:
    """Where a report for the weights of digest `key` may lie: beside them, and in the user's cache."""
    return Path(folder) / name(seed, split), cache() / "health" / f"{key}-{name(seed, split)}"


def keep(folder: str | Path, found: Found, split: str = "test") -> Path:
    """Keep a report beside its weights, or in the user's cache if that is read-only."""
    key = checkpoints.digest(folder)
    beside, cached = files(folder, key, found["seed"], split)
    file = beside if os.access(folder, os.W_OK) else cached
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"digest": key, "split": split, **found})
    return file


def read(folder: str | Path, seed: int = 0, split: str = "test", key: str = "") -> Found | None:
    """What is kept for these very weights, perhaps unfinished; None where that is nothing, or no such report.

    `key` is the digest of the weights, where it is known.
    """
    key = key or checkpoints.digest(folder)
    for file in files(folder, key, seed, split):
        try:
            found = read_json(file) if file.is_file() else {}
        except BadFile:
            continue
        wanted = {"digest": key, "split": split, "seed": seed, "version": VERSION}
        if all(found.get(part) == value for part, value in wanted.items()) and is_report(found):
            return {part: value for part, value in found.items() if part not in ("digest", "split")}
    return None


def is_report(found: Found) -> bool:
    """Whether it holds, of every stage that it says it has, what that stage measures. A file may come from anybody."""
    try:
        return not problems(found)
    except (AttributeError, KeyError, TypeError, IndexError, ValueError):
        return False


def problems(found: Found) -> list[str]:
    """What is wrong with it; a part that is absent or of another type may raise instead."""
    size, stages = found["latent dimensions"], found["stages"]
    wrong = [stage for stage in stages if any(not is_number(found[part]) for part in NUMBERS.get(stage, ()))]
    wrong += [part for part in NUMBERS["bounds"] + NUMBERS["codes"] + NUMBERS["prior"] if spoilt(found, part)]
    if not (is_number(size) and 0 < size < 100_000):
        wrong.append("latent dimensions")
    if worst := found.get("worst images"):
        limit = found["images"]
        wrong += [each for each in worst if not (type(each["image"]) is int and 0 <= each["image"] < limit)]
        wrong += [each for each in worst if not is_number(each["ELBO"])]
    if "codes" in stages:
        divided = found["KL by dimension"]
        lists = [found["mean of q(z)"], found["variance of q(z)"], *([divided] if divided is not None else [])]
        wrong += [each for each in lists if len(each) != size or not all(map(is_number, each))]
        wrong += [] if isinstance(found["KL by dimension is absent because"], str) else ["reason"]
    for part in (found.get("exact"), found.get("training"), (found.get("training") or {}).get("exact")):
        wrong += [value for value in (part or {}).values() if not (is_number(value) or isinstance(value, dict))]
    if "exact" in stages and found["exact"] is not None:
        wrong += [part for part in EXACT if part not in found["exact"]]
    if "training" in stages and found["training"] is not None:
        wrong += [part for part in COMPARED if part not in found["training"]]
    return wrong + drawn_wrong(found.get("picture"), size)


def spoilt(found: Found, part: str) -> bool:
    """Whether a number that is there, or its error, is none."""
    there = [found[each] for each in (part, *([] if part in ERRORS else [f"{part} error"])) if each in found]
    return not all(map(is_number, there))


def drawn_wrong(picture: dict | None, size: int) -> list:
    """What is wrong with the picture of q(z)."""
    if picture is None:
        return []
    if "axes" in picture:
        (first, second), grids = picture["axes"], (picture["log q"], picture["log p"])
        rows = [first, second, *(row for grid in grids for row in grid)]
        fits = all(len(grid) == len(first) and all(len(row) == len(second) for row in grid) for grid in grids)
        fits = fits and size == 2 and len(first) > 1 and all(is_number(v) for row in rows for v in row)
        return [] if fits else ["plane"]
    return [
        each
        for each in picture["dimensions"]
        if not (
            len({len(each[part]) for part in ("axis", "q", "p")}) == 1
            and len(each["axis"]) > 1
            and all(is_number(v) for part in ("axis", "q", "p") for v in each[part])
            and all(is_number(each[part]) for part in ("dimension", "mean", "sd", "overlap"))
        )
    ]


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
