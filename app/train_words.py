"""A run in words."""

from typing import TYPE_CHECKING

from app import jobs, ranking, training, words
from vaecore.text import counted

if TYPE_CHECKING:
    from app.training import Standing

ICONS = {
    "waiting": ":material/hourglass_empty:",
    "running": ":material/play_circle:",
    "stopping": ":material/pending:",
    "stopped": ":material/pause_circle:",
    "failed": ":material/error:",
    "interrupted": ":material/link_off:",
    "new": ":material/radio_button_unchecked:",
    "done": ":material/check_circle:",
}


def is_moving(one: "Standing") -> bool:
    """Whether it may look otherwise a second later."""
    return one.active or one.state == "waiting"


def system(one: "Standing") -> str:
    """The name of its system, with its options' values."""
    return training.label(one.asked) or "a run"


def line(one: "Standing") -> str:
    about = f"{system(one)} on {one.asked.get('dataset', 'unknown data')}, D = {one.asked.get('latent_dim', '?')}"
    return f"{about}: {state(one)}" + (f". {one.problem}" if one.problem else "")


def sentence(one: "Standing") -> str:
    said = state(one)
    return said[:1].upper() + said[1:]


def state(one: "Standing") -> str:
    """What it is doing, in a few words."""
    done, of = len(one.epochs), one.asked.get("epochs") or (one.epochs[-1]["epochs"] if one.epochs else 0)
    epochs = f"{done} of {counted(of, 'epoch')}" if of else "starting"
    said = {
        "waiting": waiting,
        "running": lambda one: running(one, epochs),
        "stopping": lambda one: f"stopping at the next step, after {epochs}",
        "stopped": lambda one: f"paused after {epochs}",
        "failed": lambda one: f"failed after {epochs}",
        "interrupted": lambda one: f"interrupted after {epochs}: its process is gone",
        "new": lambda one: "not begun",  # noqa: ARG005
        "done": lambda one: finished(one, done),
    }
    return said[one.state](one)


def waiting(one: "Standing") -> str:
    job = jobs.training_of(one.folder)
    before = jobs.ahead(job) if job else 0
    others = f", {before} before it" if before else ""
    return f"waiting for a free place{others}"


def running(one: "Standing", epochs: str) -> str:
    if not one.steps:
        return "starting"
    left = f", {ranking.duration(one.seconds_left)} left" if one.seconds_left else ""
    return f"{epochs}, {100 * one.share:.0f} %{left}"


def finished(one: "Standing", done: int) -> str:
    kept = one.epochs[-1].get("best_epoch") if one.epochs else None
    lines = [line for line in one.epochs if kept in (None, line["epoch"])]
    scores = [line["valid_elbo"] for line in lines if isinstance(line.get("valid_elbo"), float)]
    best = f", ELBO {words.nats(max(scores))} nats on held-out images" if scores else ""
    return f"finished after {counted(done, 'epoch')}{best}"
