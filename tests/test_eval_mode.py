"""What is asked of a VAE in training is answered in evaluation mode, and the VAE goes on in training as it was."""

import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from models import SHAPE
from torch import nn

import vaecore
from vaecore import aggregate, analysis, evaluation, exact, health, learned, snapshots
from vaecore.eval_mode import eval_mode

X = vaecore.load_dataset("digits", "test").first(12)
IMAGES, Z = (X.images >= 0.5).float(), torch.linspace(-1, 1, 6).reshape(3, 2)
SIZES = health.Sizes(images=4, samples=2, compared=4, draws=2, codes=8, exact=2, prior=4, worst=1)
SPLITS = {name: replace(X, images=IMAGES) for name in ("train", "valid", "test")}
PROTOCOL = learned.Protocol(samples=2, runs=1, labels=(), clusters=(2,))
# Every public function whose first argument is a VAE, with the rest of its arguments.
ASKED: dict[str, Callable[[Callable, vaecore.VAE], object]] = {
    "evaluation.bounds": lambda f, vae: f(vae, IMAGES, 2),
    "evaluation.log_evidence": lambda f, vae: f(vae, IMAGES, 2),
    "evaluation.active_units": lambda f, vae: f(vae, IMAGES),
    "evaluation.encode": lambda f, vae: f(vae, IMAGES),
    "evaluation.divergences": lambda f, vae: f(vae, IMAGES, 2),
    "evaluation.evaluate": lambda f, vae: f(vae, IMAGES[:4], 2, 1),
    "exact.best_gaussian": lambda f, vae: f(vae, IMAGES[:1]),
    "exact.split_gap": lambda f, vae: f(vae, IMAGES[:1]),
    "exact.true_posterior": lambda f, vae: f(vae, IMAGES[:2]).log_prob(Z[:2]),
    "exact.Overview": lambda f, vae: f(vae, size=9).log_joint(IMAGES[:2]),
    "aggregate.log_aggregate_of": lambda f, vae: f(vae, Z, IMAGES),
    "aggregate.log_densities_of": lambda f, vae: f(vae, Z, IMAGES),
    "aggregate.marginal_kl": lambda f, vae: f(vae, [IMAGES], 2),
    "aggregate.low_posterior": lambda f, vae: f(vae, IMAGES, 4, 2),
    "aggregate.judge": lambda f, vae: f(vae, Z),
    "learned.codes": lambda f, vae: f(vae, IMAGES),
    "learned.density": lambda f, vae: f(vae, IMAGES),
    "learned.evidence": lambda f, vae: f(vae, IMAGES, 2),
    "learned.measure": lambda f, vae: f(vae, SPLITS, PROTOCOL),
    "health.report": lambda f, vae: f(vae, IMAGES, sizes=SIZES),
    "health.first": lambda f, vae: f(vae, IMAGES),
    "health.sizes_for": lambda f, vae: f(vae, IMAGES),
    "analysis.analyse": lambda f, vae: f(vae, IMAGES, exact_images=1),
    "snapshots.shot": lambda f, vae: f(vae, SPLITS["test"]),
}


def public() -> Iterator[str]:
    """The functions, and classes, of these modules and packages whose first argument is a VAE."""
    for module in (evaluation, exact, aggregate, learned, health, analysis, snapshots):
        short = module.__name__.removeprefix("vaecore.")
        for name in getattr(module, "__all__", vars(module)):
            value = getattr(module, name)
            own = getattr(value, "__module__", "").startswith(module.__name__)
            if own and callable(value):
                first = next(iter(inspect.signature(value).parameters.items()), None)
                if first is not None and first[0] == "vae":
                    yield f"{short}.{name}"


INNER = {"analysis.measures", "snapshots.plane", "exact.TruePosterior"}  # parts of the others


def test_every_public_question_is_in_the_table() -> None:
    assert set(public()) - INNER == set(ASKED)


@pytest.fixture(scope="module")
def dropping() -> vaecore.VAE:
    """In training: actnorms in q and p that have not begun, dropout in the decoder, and one part at rest."""
    torch.manual_seed(0)
    vae = vaecore.build("rnvp-both", SHAPE, 2, net="small", likelihood="bernoulli", depth=1)
    vae.decoder.net = nn.Sequential(nn.Dropout(0.5), *vae.decoder.net)
    vae.encoder.net.eval()
    return vae


@pytest.mark.parametrize("name", ASKED)
def test_a_question_leaves_a_vae_in_training_as_it_was(name: str, dropping: vaecore.VAE) -> None:
    package, function = name.split(".")
    before = {key: value.clone() for key, value in dropping.state_dict().items()}
    modes = [part.training for part in dropping.modules()]
    torch.manual_seed(0)
    ASKED[name](getattr(importlib.import_module(f"vaecore.{package}"), function), dropping)
    assert [part.training for part in dropping.modules()] == modes
    assert all(torch.equal(before[key], value) for key, value in dropping.state_dict().items())


def test_its_answer_is_the_one_in_evaluation_mode(dropping: vaecore.VAE) -> None:
    torch.manual_seed(0)
    asked = evaluation.bounds(dropping, IMAGES, 2)
    with eval_mode(dropping):
        torch.manual_seed(0)
        expected = evaluation.bounds(dropping, IMAGES, 2)
    assert all(torch.equal(a, b) for a, b in zip(asked, expected, strict=True))


def test_it_goes_back_to_training_after_an_error(dropping: vaecore.VAE) -> None:
    modes = [part.training for part in dropping.modules()]
    with pytest.raises(ValueError, match="at least 1"):
        evaluation.bounds(dropping, IMAGES, 0)
    assert [part.training for part in dropping.modules()] == modes
