"""How a training run stands, read from its folder by whoever watches."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaecore.logged import read_asked, read_end, read_log
from vaecore.runs import ASKED, END, LOG, STOP, is_alive, partial_of
from vaecore.safefiles import BadFile


@dataclass(frozen=True)
class Standing:
    """A run as it stands. state: new, running, stopping, done, stopped, failed or interrupted (no process, no word).

    epochs: the log's line of each epoch, in order; objective: (step, nats) of some steps; both without repetitions.
    problem: what is wrong with the files in its folder, as sentences.
    """

    folder: Path
    state: str
    sentence: str = ""
    asked: dict = field(default_factory=dict)
    step: int = 0
    steps: int = 0
    epochs: tuple[dict, ...] = ()
    objective: tuple[tuple[int, float], ...] = ()
    seconds_left: float | None = None
    problem: str = ""

    @property
    def active(self) -> bool:
        return self.state in ("running", "stopping")

    @property
    def share(self) -> float:
        return min(1.0, self.step / self.steps) if self.steps else 0.0


def read(folder: Path) -> Standing:
    """The run as it stands now; where one of its files is no such file, its problem says so and the rest is shown."""
    # First whether it lives, then what it wrote: the other way round, the end would be missed in between.
    alive, partial, problems = is_alive(folder), partial_of(folder), []
    end = tried(lambda: read_end(partial / END), {}, problems)
    logged = tried(lambda: lines(folder), [], problems)
    asked = tried(lambda: read_asked(partial / ASKED), {}, problems)
    asking = (partial / STOP).exists()
    if (folder / "config.json").exists():
        state = "done"
    elif alive:
        state = "stopping" if asking else "running"
    elif end.get("state") in ("failed", "stopped"):
        state = end["state"]
    else:
        state = "stopped" if asking else "interrupted" if logged else "new"
    about = {"asked": asked, "sentence": end.get("sentence", ""), "problem": " ".join(problems)}
    return Standing(folder, state, **about, **summed_up(logged))


def lines(folder: Path) -> list[dict]:
    """The log's lines, of a run or of the checkpoint that it became; BadFile where they are not such."""
    found = read_log(partial_of(folder) / LOG)
    return (read_log(folder / LOG) or []) if found is None else found


def tried(reader: Callable[[], Any], otherwise: Any, problems: list[str]) -> Any:  # noqa: ANN401
    """What the reader gives; where the file does not hold that, `otherwise` and one sentence more."""
    try:
        return reader()
    except BadFile as error:
        problems.append(str(error))
        return otherwise


def summed_up(logged: list[dict]) -> dict:
    """What the log says, the last line of each step and epoch."""
    begun = max((k for k, line in enumerate(logged) if line["event"] == "begin"), default=0)
    steps = [line for line in logged if line["event"] == "step"]
    latest = [line for line in logged[begun:] if line["event"] == "step"]
    epochs = {line["epoch"]: line for line in logged if line["event"] == "epoch"}
    last = steps[-1] if steps else {"step": 0, "steps": 0}
    whole = [line for line in logged if line["event"] == "epoch"]
    step = max(last["step"], whole[-1]["step"]) if whole else last["step"]
    left = None
    if len(latest) > 1 and (done := latest[-1]["step"] - latest[0]["step"]) > 0:
        pace = (latest[-1]["seconds"] - latest[0]["seconds"]) / done
        left = pace * (last["steps"] - step)
    objective = {line["step"]: line["objective"] for line in steps if line["step"] <= step}
    return {
        "step": step,
        "steps": last["steps"],
        "epochs": tuple(epochs[k] for k in sorted(epochs)),
        "objective": tuple(sorted(objective.items())),
        "seconds_left": left,
    }
