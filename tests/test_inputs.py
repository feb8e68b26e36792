"""What is handed to the library: taken rightly whatever its type, or refused with a sentence, everywhere alike."""

from functools import cache

import numpy as np
import pytest
import torch
from models import fresh
from torch import Tensor

import vaecore
from vaecore import aggregate, analysis, embedding, evaluation, exact, learned, objectives, paths
from vaecore.vae import VAE

ENTRIES = {
    "fit": lambda vae, x: vaecore.fit(vae, "vae", x, epochs=1, device="cpu"),
    "posterior": lambda vae, x: vae.posterior(x),
    "elbo": lambda vae, x: vae.elbo(x),
    "split_gap": lambda vae, x: exact.split_gap(vae, x),
    "true_posterior": lambda vae, x: exact.true_posterior(vae, x),
    "best_gaussian": lambda vae, x: exact.best_gaussian(vae, x),
    "log_evidence": lambda vae, x: evaluation.log_evidence(vae, x, 2),
    "active_units": evaluation.active_units,
    "divergences": evaluation.divergences,
    "evaluate": lambda vae, x: evaluation.evaluate(vae, x, 2, 1),
    "codes": learned.codes,
    "density": learned.density,
    "analyse": lambda vae, x: analysis.analyse(vae, x, exact_images=1),
    "log_aggregate_of": lambda vae, x: aggregate.log_aggregate_of(vae, torch.zeros(1, 2), x),
    "log_densities_of": lambda vae, x: aggregate.log_densities_of(vae, torch.zeros(1, 2), x),
    "marginal_kl": lambda vae, x: aggregate.marginal_kl(vae, [x], 1),
    "low_posterior": lambda vae, x: aggregate.low_posterior(vae, x, 2, 1),
    "judge": lambda vae, x: aggregate.judge(vae, torch.zeros(len(x), 2), x, 1),
    "objectives.elbo": lambda vae, x: objectives.elbo(vae, objectives.Batch(x)),
    "warm_elbo": lambda vae, x: objectives.warm_elbo(vae, objectives.Batch(x)),
    "mutual_bound": lambda vae, x: objectives.mutual_bound(vae, objectives.Batch(x)),
}
# Inside loops nobody looks at the values.
QUICK = [name for name in ENTRIES if name not in ("posterior", "elbo", "objectives.elbo", "warm_elbo", "mutual_bound")]


def images(count: int = 6) -> Tensor:
    return torch.rand(count, 1, 8, 8).half().float()


def model(likelihood: str = "bernoulli") -> VAE:
    torch.manual_seed(1)
    return fresh("vae", "small", likelihood)


RIGHT = {
    "float64": lambda x: x.double(),
    "float16": lambda x: x.half(),
    "numpy": lambda x: x.numpy(),
    "numpy float64": lambda x: x.double().numpy(),
    "strided": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
}


def total(vae: VAE, x: Tensor) -> Tensor:
    return exact.split_gap(vae, x, exact.Overview(vae, size=40)).total


@pytest.mark.parametrize("name", RIGHT)
def test_images_of_any_float_give_the_same_numbers(name: str) -> None:
    vae, x = model(), images()
    there = RIGHT[name](x)
    assert torch.equal(evaluation.encode(vae, there)[0], evaluation.encode(vae, x)[0])
    assert torch.equal(total(vae, there[:1]), total(vae, x[:1]))
    trained = [model(), model()]
    for each, data in zip(trained, (x, there), strict=True):
        vaecore.fit(each, "vae", data, data, epochs=1, device="cpu")
    assert all(torch.equal(a, b) for a, b in zip(*(each.state_dict().values() for each in trained), strict=True))


def test_truth_values_are_pixels_and_points_may_be_whole_numbers() -> None:
    vae, x = model(), images() > 0.5
    assert torch.equal(evaluation.encode(vae, x)[0], evaluation.encode(vae, x.float())[0])
    z = torch.tensor([[1, -2]])
    for same in (z, z.numpy(), z.double(), [[1, -2]]):
        assert torch.equal(vae.likelihood(same).mean, vae.likelihood(z.float()).mean)


WRONG = {
    "of type uint8, which may mean 0 to 255": lambda x: (x * 255).to(torch.uint8),
    "of type int64": lambda x: (x > 0.5).long(),
    "of type int32": lambda x: (x > 0.5).int().numpy(),
    r"have shape \[6, 64\]": lambda x: x.flatten(1),
    r"built for images of shape \[1, 8, 8\], the data has \[1, 9, 9\]": lambda x: torch.rand(6, 1, 9, 9),
    "are a str": lambda x: "images",
}
VALUES = {
    "divide them by 255": lambda x: 255 * x,
    r"from -1 to 1; they must be in \[0, 1\]": lambda x: torch.where(x > 0.5, 1.0, -1.0),
    "not finite": lambda x: x.masked_fill(x > 0.9, torch.nan),
    "not finite numbers": lambda x: x.masked_fill(x > 0.9, torch.inf),
    "at least 1": lambda x: x[:0],
}


@pytest.mark.parametrize("sentence", WRONG)
@pytest.mark.parametrize("name", ENTRIES)
def test_images_of_another_kind_are_refused(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ENTRIES[name](model(), WRONG[sentence](images()))


@pytest.mark.parametrize("sentence", VALUES)
@pytest.mark.parametrize("name", QUICK)
def test_images_of_other_values_are_refused(name: str, sentence: str) -> None:
    if name == "density" and sentence == "at least 1":
        sentence = "at least 2 images"
    with pytest.raises(ValueError, match=sentence):
        ENTRIES[name](model(), VALUES.get(sentence, VALUES["at least 1"])(images()))


def test_a_gaussians_samples_lie_outside_and_grey_levels_do_not_pass_for_them() -> None:
    vae = model("gaussian")
    assert evaluation.encode(vae, 3 * images() - 1)[0].isfinite().all()
    with pytest.raises(ValueError, match="divide them by 255"):
        evaluation.encode(vae, 255 * images())


@pytest.mark.parametrize(
    "z", [torch.zeros(3), torch.zeros(4, 3), torch.zeros(2, 2, dtype=torch.complex64), "z"], ids=str
)
def test_points_of_another_kind_are_refused(z: object) -> None:
    with pytest.raises(ValueError, match="The points z"):
        model().likelihood(z)


CODES = {
    "linear": lambda vae, z: paths.linear(z[0], z[1], 4),
    "spherical": lambda vae, z: paths.spherical(z[0], z[1], 4),
    "smoothest": lambda vae, z: paths.smoothest(lambda path: path.sin(), z[0], z[1], 4),
    "highest_valley": lambda vae, z: paths.highest_valley(vae.prior(), z[0], z[1], 4),
    "find_pairs": lambda vae, z: paths.find_pairs(vae.prior(), z, 1).valley,
    "pca": lambda vae, z: embedding.pca(z)[0],
    "log_aggregate": lambda vae, z: aggregate.log_aggregate(z, z, z * 0 + 1),
    "log_densities": lambda vae, z: aggregate.log_densities(z, z, z * 0 + 1),
    "closest_pairs": lambda vae, z: aggregate.closest_pairs(z, z * 0 + 1).distance,
    "log_aggregate_of": lambda vae, z: aggregate.log_aggregate_of(vae, z, PIXELS),
    "log_densities_of": lambda vae, z: aggregate.log_densities_of(vae, z, PIXELS),
    "low_posterior": lambda vae, z: aggregate.low_posterior(vae, (z, z * 0 + 1), 4, 2).log_q,
    "judge": lambda vae, z: aggregate.judge(vae, z, samples=1).elbo,
    "Overview": lambda vae, z: exact.Overview(vae, z, 8).z,
    "log_prob": lambda vae, z: posterior().log_prob(z[None]),
}


@cache
def posterior() -> exact.TruePosterior:
    return exact.true_posterior(model(), PIXELS, exact.Overview(model(), size=40))


PIXELS = torch.full((1, 1, 8, 8), 0.5)
PLACES = torch.tensor([[1.0, -2.0], [3.0, 1.0], [-1.0, 0.0], [2.0, 2.0]])
KINDS = {
    "whole numbers": lambda z: z.long(),
    "float16": lambda z: z.half(),
    "numpy": lambda z: z.numpy(),
    "numpy float64": lambda z: z.double().numpy(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CODES)
def test_points_and_codes_of_any_type_give_the_same_numbers(name: str, kind: str) -> None:
    vae = model() if name != "find_pairs" else fresh("rnvp-p", "small", "bernoulli", depth=2)
    found, wanted = (CODES[name](vae, z).float() for z in (KINDS[kind](PLACES), PLACES))
    assert found == pytest.approx(wanted, abs=2e-5)


@pytest.mark.parametrize("name", CODES)
def test_points_and_codes_of_another_kind_are_refused(name: str) -> None:
    lost = PLACES.clone()
    lost[0, 0] = torch.nan
    wrong = [PLACES.to(torch.complex64), PLACES[..., None], *([lost] if name not in UNSEEN else [])]
    for z in wrong:
        with pytest.raises(ValueError, match=r"real numbers|have shape|not finite"):
            CODES[name](model(), z)


UNSEEN = ("log_aggregate_of", "log_densities_of", "judge", "log_prob")  # points for a decoder, inside loops too


def test_images_of_no_vae_are_not_misread() -> None:
    x, grey = images(), (255 * images()).to(torch.uint8)
    for refused in (
        lambda: aggregate.nearest_images(grey, x),
        lambda: aggregate.nearest_images(x, grey),
        lambda: aggregate.optimal_images(torch.zeros(1, 6), grey),
    ):
        with pytest.raises(ValueError, match="may mean 0 to 255"):
            refused()
    index, distance = aggregate.nearest_images(x[2:4].double().numpy(), x)
    assert (index.tolist(), distance.tolist()) == ([2, 3], [0, 0])
    means = aggregate.optimal_images(np.zeros((1, 6)), x.half()).means
    assert torch.allclose(means, x.mean(0, keepdim=True), atol=1e-6)
    assert paths.energy(torch.tensor([[3], [1]], dtype=torch.uint8)) == 4


def test_codes_of_any_type_have_the_same_clusters_and_maps() -> None:
    z = torch.randn(80, 3).bfloat16()
    y = torch.arange(80) % 2
    for same in (z, z.double().requires_grad_(), z.float().numpy()):
        fit = learned.kmeans(same, 2)
        assert (fit.members == learned.kmeans(z.float(), 2).members).all()
        assert evaluation.kmeans_accuracy(same, y, same, y, 2) == evaluation.kmeans_accuracy(z.float(), y, z, y, 2)
    assert torch.equal(embedding.embed(z.double().requires_grad_(), "tsne"), embedding.embed(z.float(), "tsne"))
    for labels in (y + 0.5, y.float() * np.nan, ["a"] * 80):
        with pytest.raises(ValueError, match="not all whole numbers"):
            evaluation.kmeans_accuracy(z, labels, z, y, 2)
