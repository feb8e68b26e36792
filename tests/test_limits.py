"""Densities and objectives at the ends of their ranges: 0, tiny, huge, equal, one image, one dimension and 512."""

import math

import mpmath
import pytest
import torch
from models import SHAPE, perturbed
from torch import Tensor

import vaecore
from vaecore import mutual, objectives, processes, refine
from vaecore.distributions import GreyBernoulli, diagonal
from vaecore.flows import Reflection
from vaecore.objectives import Batch
from vaecore.refine import LaplaceSteps

TYPES = (torch.float32, torch.float64)


def log_square(mean: float, variance: float) -> tuple[float, float, float]:
    """E log h² and its slopes by mean and variance for h ~ N(mean, variance), by mpmath, 50 digits: Kummer's function,
    and the asymptotic series where |mean| is over 60 standard deviations."""
    with mpmath.workdps(50):
        a, v = mpmath.mpf(mean), mpmath.mpf(variance)
        w = v / a**2 if a else mpmath.inf
        if w < 1 / mpmath.mpf(3600):
            double = [mpmath.fac2(2 * k - 1) * w**k for k in range(1, 12)]
            value = 2 * mpmath.log(abs(a)) - sum(term / k for k, term in enumerate(double, 1))
            rest = sum((2 * k + 1) * term for k, term in enumerate(double, 1))
            return float(value), float(2 / a * (1 + sum(double))), float(-(1 + rest) / a**2)
        x = -a * a / (2 * v)
        value = mpmath.log(v / 2) - mpmath.euler + a * a / v * mpmath.hyp2f2(1, 1, 1.5, 2, x)
        slope = 2 * a / v * mpmath.hyp1f1(1, 1.5, x)
        return float(value), float(slope), float((1 - a * slope / 2) / v)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("variance", [0.0, 1e-40, 1e-37, 1e-10, 1.0, 1e37])
@pytest.mark.parametrize("mean", [0.0, 1e-15, 1e-3, -1.0, 11.9, 12.1, 1e15])
def test_the_expected_log_square_and_its_slopes_in_every_limit(
    mean: float, variance: float, dtype: torch.dtype
) -> None:
    a, v = (torch.tensor(number, dtype=dtype, requires_grad=True) for number in (mean, variance))
    value = processes.expected_log_square(a, v)
    slopes = torch.autograd.grad(value, (a, v))
    if mean == variance == 0:
        assert float(value.detach()) == -math.inf
        assert all(slope.isfinite() for slope in slopes)
        return
    truth, most = log_square(float(a.detach()), float(v.detach())), torch.finfo(dtype).max
    assert float(value.detach()) == pytest.approx(truth[0], rel=1e-6, abs=1e-6)
    for slope, expected in zip(slopes, truth[1:], strict=True):
        assert float(slope) == pytest.approx(max(-most, min(most, expected)), rel=1e-5, abs=1e-30)


def test_what_is_no_number_stays_none() -> None:
    nan = torch.tensor([math.nan, 1.0, math.nan])
    assert processes.expected_log_square(nan, nan.roll(1)).isnan().tolist() == [True, True, True]


@pytest.mark.parametrize("sampled", [False, True])
def test_a_gpvae_whose_features_are_all_zero_has_a_bound_and_gradients(sampled: bool) -> None:
    vae, x = perturbed("gpvae", "small", "gaussian"), torch.rand(4, *SHAPE)
    with torch.no_grad():
        for net in vae.encoder.trunks.nets[1:]:  # dead ReLUs, in psi^m and psi^s
            net[-2].weight.zero_()
            net[-2].bias.fill_(-1.0)
    moments = vae.encoder.moments(x)
    assert (moments.var_h == 0).all()
    assert (moments.var_f == 0).all()
    bound = objectives.process_bound(vae, Batch(x), sampled)
    found = torch.autograd.grad(bound, list(vae.parameters()), allow_unused=True)
    assert bound.isfinite()
    assert all(slope.isfinite().all() for slope in found if slope is not None)
    # Equation 16 is then the divergence of N(m, h²), and the two forms are one.
    q = vae.encoder(x)
    expected = torch.distributions.kl_divergence(q, vae.prior())
    torch.testing.assert_close(processes.averaged_kl(moments, sampled), expected)


def test_the_marginal_scale_is_neither_lost_nor_overflows() -> None:
    sizes = torch.tensor([[1e-30, 1e-3, 1.0, 1e30]], requires_grad=True)
    zero = torch.zeros_like(sizes)
    q = processes.marginal(processes.Moments(zero, zero, sizes, zero, torch.zeros(())))
    scale = q.base_dist.scale
    torch.testing.assert_close(scale, sizes)
    torch.testing.assert_close(*torch.autograd.grad(scale.sum(), sizes), torch.ones_like(sizes))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [1e-38, 1e-30, 1e-13, 1.0, 1e30])
def test_a_reflection_keeps_lengths_however_small_or_large_its_normal_is(size: float, dtype: torch.dtype) -> None:
    normal, z = torch.tensor([[3.0, -4.0, 0.0]], dtype=dtype) * size, torch.randn(5, 1, 3, dtype=dtype)
    step = Reflection(normal)
    torch.testing.assert_close(step(z).norm(dim=-1), z.norm(dim=-1))
    torch.testing.assert_close(step(step(z)), z, atol=1e-5, rtol=1e-5)
    assert (step(z) - z).abs().max() > 0.1


def test_a_reflection_without_a_normal_leaves_z_and_has_finite_gradients() -> None:
    normal, z = torch.zeros(2, 3, requires_grad=True), torch.randn(2, 3)
    image = Reflection(normal)(z)
    torch.testing.assert_close(image, z)
    assert torch.autograd.grad(image.square().sum(), normal)[0].isfinite().all()


@pytest.mark.parametrize("logit", [-3e38, -100.0, 0.0, 1e-30, 100.0, 3e38])
@pytest.mark.parametrize("x", [0.0, 0.5, 1.0])
def test_a_pixels_log_probability_for_every_logit(logit: float, x: float) -> None:
    at = torch.tensor(logit, requires_grad=True)
    value = GreyBernoulli(logits=at).log_prob(torch.tensor(x))
    expected = -(x * math.log1p(math.exp(-logit)) if logit > -700 else -x * logit)
    expected -= (1 - x) * logit if logit > 700 else (1 - x) * math.log1p(math.exp(logit))
    assert float(value.detach()) == pytest.approx(expected, rel=1e-6, abs=1e-8)
    (slope,) = torch.autograd.grad(value, at)
    assert float(slope) == pytest.approx(x - float(torch.tensor(logit).double().sigmoid()), abs=1e-7)


@pytest.mark.parametrize("form", mutual.FORMS)
def test_equal_posteriors_have_finite_diversity_and_smoothness(form: str) -> None:
    loc, scale = torch.zeros(3, 512, requires_grad=True), torch.ones(3, 512, requires_grad=True)
    kl = mutual.pairwise_kl(loc, scale)
    assert (kl == 0).all()
    total = mutual.closeness(kl, form) + mutual.spread(kl)
    assert float(total.detach()) == pytest.approx(512 * math.log(2), rel=1e-6)
    assert all(slope.isfinite().all() for slope in torch.autograd.grad(total, (loc, scale)))


@pytest.mark.parametrize("log_scale", [-9.0, -3.0, 3.0])
def test_the_laplace_steps_find_a_gaussian_for_any_scale_of_the_pixels(log_scale: float) -> None:
    vae, x = perturbed("laplace-vae", "small", "gaussian", 8), torch.rand(3, *SHAPE)
    with torch.no_grad():
        vae.decoder.log_scale.fill_(log_scale)
        q = LaplaceSteps(2)(vae, x, diagonal(torch.zeros(3, 16)))
    assert q.log_prob(q.mean).isfinite().all()


SIZES = {"vae": (1, 512), "sa": (1, 40), "hf": (1, 512), "iaf": (1, 40), "gpvae": (1, 40), "rme": (1, 512)}
SIZES |= {"rnvp-p": (2, 64), "rnvp-q": (2, 64), "vampprior": (1, 512), "laplace-vae": (1, 16), "me": (1, 40)}


@pytest.mark.parametrize(("name", "latent"), [(name, latent) for name, sizes in SIZES.items() for latent in sizes])
def test_one_image_and_any_number_of_dimensions(name: str, latent: int) -> None:
    torch.manual_seed(0)
    more = {"depth": 2} if name.startswith("rnvp") else {"pseudo_inputs": 3} if name == "vampprior" else {}
    vae = vaecore.build(name, SHAPE, latent, net="small", **more)
    history = vaecore.fit(vae, name, torch.rand(1, *SHAPE), epochs=2, device="cpu")
    assert math.isfinite(history[-1]["train_elbo"])
    q = refined(vae, torch.rand(1, *SHAPE))
    assert q.isfinite().all()


def refined(vae: vaecore.VAE, x: Tensor) -> Tensor:
    with torch.no_grad():
        q = vae.posterior(x)
        return torch.stack([q.mean, q.variance])


def test_steps_that_overflow_leave_every_gradient_a_number() -> None:
    """Sizes up to 1e3 are allowed: what is tried then lies beyond every number, and must not count."""
    x = torch.rand(4, *SHAPE)
    for size, loud in ((1e3, 1.0), (1e9, 1.0), (1e3, 1e12)):
        vae = perturbed("sa", "small", "gaussian").train()
        with torch.no_grad():
            vae.decoder.net[-2].weight.mul_(loud)
        vae.refine = refine.GradientSteps(4, size)
        found = torch.autograd.grad(vae.elbo(x).mean(), list(vae.parameters()))
        assert all(slope.isfinite().all() for slope in found)
