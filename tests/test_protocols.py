"""`protocol=paper`: rates, warm-up, L2, plateaus and evaluation as the papers have them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from models import SHAPE

import vaecore
from vaecore import resuming, runs
from vaecore.__main__ import main
from vaecore.averaging import Average
from vaecore.objectives import Batch, half_square, warm_elbo
from vaecore.protocols import BY_KIM, BY_MA, BY_XU, Plateau
from vaecore.recipes import ELBO, RECIPES, Recipe, Stage, paper_of
from vaecore.safefiles import write_tensors

pytestmark = pytest.mark.usefixtures("one_thread")

FEW = vaecore.load_dataset("digits", "train").first(48)
VALID = vaecore.load_dataset("digits", "valid").first(16)


def built(recipe: str, **options: str | float) -> vaecore.VAE:
    torch.manual_seed(0)
    return vaecore.build(recipe, SHAPE, 2, **options)


def rates(recipe: str, **options: str | float) -> list[tuple[float, float]]:
    return [(stage.share, stage.learning_rate) for stage in RECIPES[recipe].stages(built(recipe, **options))]


@pytest.mark.parametrize("recipe", ["rnvp-p", "rnvp-q", "vampprior", "pixelvae"])
def test_the_learned_priors_paper_has_its_rates_in_thirds(recipe: str) -> None:
    assert rates(recipe, protocol="paper") == [(pytest.approx(1 / 3), rate) for rate in (1e-3, 1e-4, 1e-5)]
    static = [(pytest.approx(2 / 3), 1e-4), (pytest.approx(1 / 3), 1e-5)]
    assert rates(recipe, protocol="paper-static") == static


def test_a_vae_follows_the_paper_of_its_nets() -> None:
    assert rates("vae", protocol="paper") == [(1.0, 5e-4)]
    assert len(rates("vae", net="leaky-dense", protocol="paper")) == 3
    whose = {net: paper_of(built("vae", net=net).config) for net in ("small", "leaky-dense")}
    assert whose == {"small": BY_KIM, "leaky-dense": BY_XU}
    assert paper_of(built("rme").config) is BY_KIM


@pytest.mark.parametrize(("options", "l2", "warm_up"), [({}, 1e-4, 100 / 2400), ({"l2": 2.0, "warm_up": 3}, 2.0, 3)])
def test_l2_and_warm_up_are_the_papers_unless_they_are_given(options: dict, l2: float, warm_up: float) -> None:
    stages = RECIPES["rnvp-p"].stages(built("rnvp-p", depth=1, protocol="paper", **options))
    (phase,) = stages[0].phases
    assert phase.objective.func is warm_elbo
    assert phase.objective.keywords["l2"] == l2
    assert phase.objective.keywords["warm_up"] == warm_up
    plain = RECIPES["rnvp-p"].stages(built("rnvp-p", depth=1))[0].phases[0]
    assert (plain.objective.keywords["l2"], plain.objective.keywords["warm_up"]) == (0, 0)


def test_a_warm_up_below_one_is_a_share_of_all_epochs() -> None:
    vae, x = built("rnvp-p", depth=1), FEW.images[:8]

    def value(warm_up: float, epoch: int) -> torch.Tensor:
        torch.manual_seed(0)
        return warm_elbo(vae, Batch(x, epoch=epoch, epochs=40), warm_up=warm_up, l2=1e-4)

    for epoch in (0, 4, 9, 39):
        torch.testing.assert_close(value(0.25, epoch), value(10, epoch))
    assert not torch.equal(value(0.25, 0), value(0.25, 9))
    assert half_square(vae) > 0


def test_halvings_are_counted_from_the_history() -> None:
    rule = Plateau(patience=2, most=1)
    rising = [1.0, 2.0, 3.0]
    assert rule.halvings(rising) == 0
    assert rule.halvings([*rising, 3.0, 2.0]) == 0
    assert rule.halvings([*rising, 3.0, 2.0, 1.0]) == 1
    assert rule.halvings([*rising, 3.0, 2.0, 1.0, 0.0, 0.0]) == 1
    assert rule.halvings([*rising, 3.0, 2.0, 1.0, 0.0, 0.0, 0.0]) == 2
    assert [rule.ends(n, 1e-3) for n in (0, 1, 2)] == [False, False, True]
    assert rule.ends(0, 4e-5)
    assert not rule.ends(0, 6e-5)


def plateaus(**settings: float) -> Recipe:
    """A VAE under plateaus so short that a few epochs show them all."""
    return replace(RECIPES["vae"], stages=lambda vae: (Stage(1.0, 1e-3, (ELBO,), plateau=Plateau(**settings)),))  # noqa: ARG005


def test_the_rate_is_halved_with_a_fresh_adam_until_the_training_ends(tmp_path: Path) -> None:
    # An epoch that does not rise is a rest already.
    rule = Plateau(patience=0, most=2, decay=0.5 ** (1 / 6))
    vae = built("vae", net="small")
    recipe = plateaus(patience=0, most=2, decay=rule.decay)
    history = vaecore.fit(vae, recipe, FEW, VALID, epochs=60, batch_size=16, device="cpu", folder=tmp_path / "a")
    bounds = [event["valid_elbo"] for event in history]
    for epoch, event in enumerate(history):
        halved = rule.halvings(bounds[:epoch])
        assert event["learning_rate"] == pytest.approx(1e-3 * 0.5**halved * rule.decay ** (3 * epoch))
    ended = rule.ends(rule.halvings(bounds), 1e-3 * 0.5 ** rule.halvings(bounds) * rule.decay ** (3 * len(history)))
    assert ended
    assert len(history) < 60
    metrics = json.loads((tmp_path / "a" / "metrics.json").read_text())
    assert metrics["training"]["note"] == f"ended by its plateaus after {len(history)} of 60 epochs"


def test_adam_forgets_where_the_rate_was_halved() -> None:
    from vaecore.training import rested

    weight = torch.nn.Parameter(torch.ones(2))
    adam = torch.optim.Adam([weight])
    weight.sum().backward()
    adam.step()
    told = [{"valid_elbo": bound} for bound in (2.0, 1.0)]
    run = resuming.Run(epoch=2, history=told)
    assert rested(Plateau(patience=5), 1e-3, run, {0: adam}) == 1e-3
    assert adam.state
    assert rested(Plateau(patience=0), 1e-3, run, {0: adam}) == 5e-4
    assert not adam.state
    assert rested(Plateau(patience=0, most=0), 1e-3, run, {0: adam}) is None


def test_a_run_under_plateaus_resumes_bit_for_bit(tmp_path: Path) -> None:
    def train(folder: Path, cut: int | None = None) -> dict[str, torch.Tensor]:
        def hear(event: dict) -> None:
            if cut is not None and (event["event"], event["epoch"]) == ("epoch", cut):
                raise KeyboardInterrupt

        vae = built("vae", net="small")
        recipe = plateaus(patience=0, most=3)
        vaecore.fit(vae, recipe, FEW, VALID, epochs=12, batch_size=16, device="cpu", folder=folder, on_event=hear)
        return vaecore.load(folder, which="last").state_dict()

    whole = train(tmp_path / "whole")
    epochs = len(json.loads((tmp_path / "whole" / "metrics.json").read_text())["history"])
    for cut in range(1, epochs):
        folder = tmp_path / f"cut{cut}"
        with pytest.raises(KeyboardInterrupt):
            train(folder, cut)
        assert runs.partial_of(folder).exists()
        assert all(torch.equal(whole[name], weight) for name, weight in train(folder).items())


def test_plateaus_want_images_held_out() -> None:
    vae = vaecore.build("mae", SHAPE, 2, width=4, layers=1, flows=1, maps=1, blocks=1, units=4, protocol="paper")
    with pytest.raises(ValueError, match="give `valid` images"):
        vaecore.fit(vae, "mae", FEW, epochs=1, device="cpu")


def test_a_warmed_average_follows_from_the_first_steps_on() -> None:
    part = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        part.weight.fill_(0.0)
    averages = {warmed: Average(part, 0.999, warmed) for warmed in (True, False)}
    shadow = 0.0
    for step in range(60):
        with torch.no_grad():
            part.weight.fill_(float(step + 1))
        for average in averages.values():
            average.follow(step)
        shadow += (1 - min(0.999, (1 + step) / (10 + step))) * (step + 1 - shadow)
    warmed, plain = (float(averages[which].shadow["weight"]) for which in (True, False))
    assert warmed == pytest.approx(shadow, rel=1e-5)
    assert warmed > 50
    assert plain < 2
    # In the long run both are the paper's.
    assert min(0.999, (1 + 20_000) / (10 + 20_000)) == 0.999


def test_so_many_images_are_held_out() -> None:
    train, valid = (vaecore.load_dataset("digits", split, valid=100) for split in ("train", "valid"))
    whole = vaecore.load_dataset("digits", "train")
    assert (len(train), len(valid)) == (len(whole) + len(vaecore.load_dataset("digits", "valid")) - 100, 100)
    everything = torch.cat([train.images, valid.images]).flatten(1)
    assert len(everything.unique(dim=0)) >= len(everything) - 2
    with pytest.raises(ValueError, match="valid is 0"):
        vaecore.load_dataset("digits", "train", valid=0)
    assert dict(BY_MA.valid)["mnist"] == 2000


def test_the_command_line_follows_a_paper(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "a")
    asked = ["train", "rnvp-p", "--dataset", "dynamic_digits", "--epochs", "3", "--folder", folder, "--device", "cpu"]
    assert main([*asked, "--option", "depth=1", "--option", "net=small", "--protocol", "paper"]) == 0
    history = json.loads((tmp_path / "a" / "metrics.json").read_text())["history"]
    assert [event["learning_rate"] for event in history] == [1e-3, 1e-4, 1e-5]
    card = (tmp_path / "a" / "README.md").read_text()
    assert "protocol paper" in card
    assert "learning rates: 0.001 for 1 epoch, 0.0001 for 1 epoch, 1e-05 for 1 epoch" in card
    assert BY_XU.training in card
    capsys.readouterr()
    assert main(["evaluate", folder, "--protocol", "paper", "--images", "5", "--exact-images", "5"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "binarised 10 times: 50 images; K = 1,000 draws" in found["protocol"]
    assert "active units on 1,298 training images" in found["protocol"]


def test_a_run_from_before_the_option_goes_on(tmp_path: Path) -> None:
    def stop(event: dict) -> None:
        if event["event"] == "epoch":
            raise KeyboardInterrupt

    settings = {"epochs": 2, "batch_size": 16, "device": "cpu", "folder": tmp_path / "a"}
    with pytest.raises(KeyboardInterrupt):
        vaecore.fit(built("vae", net="small"), "vae", FEW, VALID, on_event=stop, **settings)
    file = runs.partial_of(tmp_path / "a") / resuming.STATE
    about, tensors = resuming.stored(file.parent)
    del about["settings"]["config"]["options"]["protocol"]
    write_tensors(file, tensors, {"run": json.dumps(about)})
    assert len(vaecore.fit(built("vae", net="small"), "vae", FEW, VALID, **settings)) == 2
