"""How much one visitor may ask for, and all together; the environment may say otherwise."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.jobs import Job

RUNS, RUNS_EACH, JOBS_EACH = "VAESCOPE_RUNS_IN_ALL", "VAESCOPE_RUNS_EACH", "VAESCOPE_JOBS_EACH"
BROUGHT_EACH = "VAESCOPE_BROUGHT_EACH_MB"
SHARE = 4  # of what may be brought in all, one visitor's part
USUAL = {RUNS: 20, RUNS_EACH: 2, JOBS_EACH: 1}


def most(name: str, usual: int = 0) -> int:
    """The whole number that the environment has under this name, or what is usual; ValueError if it is none."""
    text = os.environ.get(name) or str(usual or USUAL[name])
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"{name} is {text[:40]!r}; it must be a whole number.")
    return int(text)


def brought_each() -> int:
    """How many bytes of all that was brought may be one visitor's."""
    from vaecore.imports.keeping import quota

    return most(BROUGHT_EACH, max(1, quota() // SHARE // 10**6)) * 10**6


def must_have_place(kind: str, owner: str, known: Iterable["Job"]) -> None:
    """ValueError, with what to do, where one more job of this kind would be too many: in all, or of this owner's."""
    active = [job for job in known if job.active and (job.kind == "train") == (kind == "train")]
    mine = sum(job.owner == owner for job in active) if owner else 0
    if kind == "train":
        if len(active) >= (of_all := most(RUNS)):
            raise ValueError(f"{of_all} trainings run or wait already, as many as may: try again when one has ended.")
        if owner and mine >= (each := most(RUNS_EACH)):
            raise ValueError(f"{mine} trainings of yours run or wait already; one visitor may have {each}: stop one.")
    elif owner and mine >= (each := most(JOBS_EACH)):
        raise ValueError(f"You have {mine} running already; one visitor may have {each}: wait for its end or stop it.")
