"""A report that is kept with its checkpoint as JSON, and refused where it belongs to others or is no report."""

import os
from pathlib import Path

from vaecore import checkpoints
from vaecore.health.measures import Found
from vaecore.health.report import VERSION
from vaecore.safefiles import BadFile, cache, read_json, write_json
from vaecore.verdicts import verdicts

LARGEST = 1e75  # what is beyond, or no number, is none of a report's: verdicts square it, twice at most
# What each stage measures; with * a standard error beside it. A report that has one of them must have all.
NUMBERS = {
    "bounds": "*ELBO,*IWAE,*IWAE - ELBO,*reconstruction,*reconstruction gained by the right code,"
    "*KL(q(z|x) || p(z)),images measured,draws,spread of the ELBO,spread of log p(x)",
    "codes": "active units,images for the codes",
    "prior": "*KL(q(z) || p(z)),*mutual information,ceiling of the mutual information,*low posterior share,"
    "images held out",
    "training": "*training - test,images,draws",
    "exact": "*gap,*log p(x),median of the gap,spread of log p(x),images",
}


def name(seed: int = 0, split: str = "test") -> str:
    """Under which name a report is kept, in the checkpoint's folder or the user's cache."""
    return f"health-{split}-{seed}.json"


def files(folder: str | Path, key: str, seed: int, split: str) -> tuple[Path, Path]:
    """Where a report for the weights of digest `key` may lie: beside them, and in the user's cache."""
    return Path(folder) / name(seed, split), cache() / "health" / f"{key}-{name(seed, split)}"


def keep(folder: str | Path, found: Found, split: str = "test", key: str = "") -> Path:
    """Keep a report beside its weights, or in the user's cache if that is read-only or holds others by now.

    `key` is the digest of the weights that were measured; without it they are those of the folder.
    """
    there = checkpoints.digest(folder)
    key = key or there
    beside, cached = files(folder, key, found["seed"], split)
    file = beside if key == there and os.access(folder, os.W_OK) else cached
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
    """Whether it holds, of every stage that it has begun, what that stage measures. A file may come from anybody."""
    try:
        return well_formed(found) and all(is_number(row["value"]) for row in verdicts(found))
    except (AttributeError, KeyError, TypeError, IndexError, ValueError):
        return False


def well_formed(found: Found) -> bool:
    """Whether each part is what it should be; a part that is absent or of another type may raise instead."""
    size, stages = found["latent dimensions"], found["stages"]
    begun = [stage for stage in ("bounds", "codes", "prior") if stage in stages or any_of(stage, found)]
    return (
        all(type(found[name]) is bool for name in ("complete", "q is a diagonal Gaussian"))
        and all(type(found[name]) is int for name in ("images", "latent dimensions"))
        and is_number(found["sizes"]["compared"])
        and (not found["complete"] or {"bounds", "codes", "prior", "picture", "training", "exact"} <= set(stages))
        and all(has(stage, found) for stage in begun)
        and all(has(stage, found[stage]) for stage in ("training", "exact") if found.get(stage) is not None)
        and has_exact(found.get("training") or {})
        and ("bounds" not in begun or are_images(found["worst images"], found["images"]))
        and ("codes" not in begun or are_codes(found, size))
        and ("picture" not in stages or is_picture(found["picture"], size))
    )


def names_of(stage: str) -> list[str]:
    """The keys of all numbers of a stage."""
    listed = NUMBERS[stage].split(",")
    plain = [name.removeprefix("*") for name in listed]
    return plain + [f"{name[1:]} error" for name in listed if name.startswith("*")]


def any_of(stage: str, found: Found) -> bool:
    return any(name in found for name in names_of(stage))


def has(stage: str, found: Found) -> bool:
    return all(is_number(found[name]) for name in names_of(stage))


def has_exact(found: Found) -> bool:
    return found.get("exact") is None or has("exact", found["exact"])


def are_images(found: list[dict], count: int) -> bool:
    return len(found) > 0 and all(
        type(each["image"]) is int and 0 <= each["image"] < count and is_number(each["ELBO"]) for each in found
    )


def are_codes(found: Found, size: int) -> bool:
    divided = found["KL by dimension"]
    lists = [found["mean of q(z)"], found["variance of q(z)"], *([divided] if divided is not None else [])]
    described = type(found["prior is N(0, I)"]) is bool and isinstance(found["KL by dimension is absent because"], str)
    return described and all(len(each) == size and are_numbers(each) for each in lists)


def is_picture(picture: dict, size: int) -> bool:
    if "axes" not in picture:
        return all(is_marginal(each) for each in picture["dimensions"]) and len(picture["dimensions"]) > 0
    (first, second), grids = picture["axes"], (picture["log q"], picture["log p"])
    rows = [first, second, *(row for grid in grids for row in grid)]
    fits = all(len(grid) == len(first) and all(len(row) == len(second) for row in grid) for grid in grids)
    return size == 2 and fits and 1 < len(first) < 500 and all(map(are_numbers, rows))


def is_marginal(each: dict) -> bool:
    lines = [each[part] for part in ("axis", "q", "p")]
    return (
        len({len(line) for line in lines}) == 1
        and 1 < len(lines[0]) < 2000
        and all(map(are_numbers, lines))
        and are_numbers([each[part] for part in ("dimension", "mean", "sd", "overlap")])
    )


def are_numbers(values: list) -> bool:
    return isinstance(values, list) and all(map(is_number, values))


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
