"""A training that is interrupted at a random moment ends as if nothing had happened, whatever its recipe."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from models import SHAPE, SMALL
from torch import Tensor

import vaecore
from vaecore import resuming, runs

pytestmark = pytest.mark.usefixtures("one_thread")

FEW = vaecore.load_dataset("digits", "train").first(34)


@dataclass(frozen=True)
class Case:
    """A training so small that a test can repeat it, long enough for all of its stages."""

    recipe: str
    options: dict = field(default_factory=dict)
    begun: bool = False
    epochs: int = 3
    dataset: str = "digits"

    def build(self, seed: int) -> vaecore.VAE:
        torch.manual_seed(seed)
        net = {"net": "small"} if any(option.name == "net" for option in vaecore.RECIPES[self.recipe].options) else {}
        return vaecore.build(self.recipe, SHAPE, 3, **net | SMALL.get(self.recipe, {}) | self.options)

    def train(self, folder: Path, start: Path, hear: Callable[[dict], None], seed: int = 0) -> list[dict]:
        sets = [vaecore.load_dataset(self.dataset, split).first(n) for split, n in (("train", 34), ("valid", 16))]
        settings = {"epochs": self.epochs, "batch_size": 16, "seed": 3, "device": "cpu", "folder": folder}
        settings |= {"start": start} if self.begun else {}
        return vaecore.fit(self.build(seed), self.recipe, *sets, on_event=hear, **settings)


def identity(case: Case) -> str:
    words = [case.recipe, *(f"{name}={value}" for name, value in case.options.items())]
    return "-".join([*words, *(["begun"] if case.begun else []), *([case.dataset] if case.dataset != "digits" else [])])


CASES = [Case(name) for name in vaecore.RECIPES]
CASES += [Case(name, begun=True) for name in ("rme", "gpvae", "iaf")]
CASES += [Case("rnvp-p", {"training": "post-hoc"}, epochs=9)]
CASES += [Case("rnvp-p", {"training": "iterative", "rounds": 2}, epochs=9)]
CASES += [Case("rnvp-both", {"training": "iterative", "rounds": 2}, begun=True, epochs=4)]
CASES += [Case("rnvp-p", {"warm_up": 2, "regulariser": 1.0, "l2": 1e-3})]
CASES += [Case(name, {"protocol": "paper"}) for name in ("rnvp-p", "mae")]
CASES += [Case("vae", {"net": net}) for net in ("conv", "deep-conv", "resnet")]
CASES += [Case("gpvae", {"log_scale": "sampled"}), Case("vae", {"likelihood": "bernoulli"}, dataset="dynamic_digits")]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained VAE, for those that begin with one."""
    folder = tmp_path_factory.mktemp("start") / "vae"
    torch.manual_seed(7)
    vae = vaecore.build("vae", SHAPE, 3, net="small")
    vaecore.fit(vae, "vae", FEW, epochs=1, batch_size=16, device="cpu", folder=folder)
    return folder


class Interrupted(Exception):
    pass


class Listener:
    """Hears the events of `fit`: interrupts at the `nth`, and keeps the whole state as it was after the last epoch."""

    def __init__(self, folder: Path, epochs: int, nth: int | None = None) -> None:
        self.folder, self.epochs, self.nth = folder, epochs, nth
        self.count, self.state = 0, {}

    def __call__(self, event: dict) -> None:
        if self.count == self.nth:
            raise Interrupted
        self.count += 1
        if (event["event"], event["epoch"]) == ("epoch", self.epochs):
            _, self.state = resuming.stored(runs.partial_of(self.folder))


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("case", CASES, ids=identity)
def test_interrupted_at_a_random_moment_it_ends_bit_for_bit_as_if_undisturbed(
    tmp_path: Path, start: Path, case: Case
) -> None:
    whole = Listener(tmp_path / "whole", case.epochs)
    history = case.train(tmp_path / "whole", start, whole)
    each = whole.count // case.epochs
    # After a whole epoch, so that there is something to go on from, and before the last event, when nothing is left.
    moment = random.Random(identity(case)).randrange(each, whole.count - 1)
    with pytest.raises(Interrupted):
        case.train(tmp_path / "cut", start, Listener(tmp_path / "cut", case.epochs, moment))
    kept = resuming.stored(runs.partial_of(tmp_path / "cut"))[0]["epoch"]
    cut = Listener(tmp_path / "cut", case.epochs)
    # Fresh weights of another seed: all that counts must come from what was kept.
    again = case.train(tmp_path / "cut", start, cut, seed=9)
    assert cut.count == whole.count - each * kept
    assert same(whole.state, cut.state)
    assert {name.split(".")[0] for name in whole.state} >= {"last", "best", "adam"}
    for which in ("model", "last"):
        one, other = (vaecore.load(tmp_path / name, which=which).state_dict() for name in ("whole", "cut"))
        assert same(one, other)
    numbers = [name for name in history[0] if name != "seconds"]
    for one, other in zip(history, again, strict=True):
        assert [one[name] for name in numbers] == [other[name] for name in numbers]
