"""What is handed to the library: taken rightly whatever its type, or refused with a sentence, everywhere alike."""

import numpy as np
import pytest
import torch
from models import fresh
from torch import Tensor

import vaecore
from vaecore import aggregate, analysis, embedding, evaluation, exact, learned
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
}
QUICK = [name for name in ENTRIES if name not in ("posterior", "elbo")]  # inside loops nobody looks at the values


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


@pytest.mark.parametrize("name", RIGHT)
def test_images_of_any_float_give_the_same_numbers(name: str) -> None:
    vae, x = model(), images()
    there = RIGHT[name](x)
    assert torch.equal(evaluation.encode(vae, there)[0], evaluation.encode(vae, x)[0])
    assert torch.equal(exact.split_gap(vae, there).total, exact.split_gap(vae, x).total)
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


def test_codes_of_any_type_have_the_same_clusters_and_maps() -> None:
    z = torch.randn(80, 3).bfloat16()
    y = torch.arange(80) % 2
    for same in (z, z.double().requires_grad_(), z.float().numpy()):
        fit = learned.kmeans(same, 2)
        assert (fit.members == learned.kmeans(z.float(), 2).members).all()
        assert torch.equal(embedding.embed(same, "tsne"), embedding.embed(z.float(), "tsne"))
        assert evaluation.kmeans_accuracy(same, y, same, y, 2) == evaluation.kmeans_accuracy(z.float(), y, z, y, 2)
    for labels in (y + 0.5, y.float() * np.nan, ["a"] * 80):
        with pytest.raises(ValueError, match="not all whole numbers"):
            evaluation.kmeans_accuracy(z, labels, z, y, 2)
