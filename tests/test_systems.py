"""The encoders of the RME and GPVAE papers against independent calculations."""

import copy
import dataclasses
import math
import pickle

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import torch
from models import SHAPE, LinearDecoder, perturbed
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MultivariateNormal, Normal, kl_divergence
from torch.func import functional_call, jacrev, vmap

import vaecore
from vaecore import exact, nets, objectives, processes, refine
from vaecore.decoders import GaussianDecoder
from vaecore.distributions import Mixture, diagonal, draw
from vaecore.encoders import ImpactGate
from vaecore.objectives import Batch
from vaecore.priors import StandardNormal
from vaecore.recipes import Stage
from vaecore.training import begin

MIXTURES = ("me", "rme", "bvi-er1", "bvi-er2")


@pytest.fixture
def double() -> None:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def trained() -> vaecore.VAE:
    digits = vaecore.load_dataset("digits", "train")
    vae = vaecore.build("vae", SHAPE)
    vaecore.fit(vae, "vae", digits, epochs=15, device="cpu")
    return vae


# ---- networks


def test_networks_side_by_side_say_what_each_says_alone() -> None:
    x = torch.rand(70, 1, 28, 28)
    for make in (
        lambda: nets.build_encoder("conv", (1, 28, 28), 6),
        lambda: nets.build_encoder("small", (1, 28, 28), 6),
        lambda: nets.shallow((1, 28, 28), 2),
    ):
        alone = [make() for _ in range(3)]
        together = nets.SideBySide(alone)
        expected = torch.stack([net(x) for net in alone])
        torch.testing.assert_close(together(x), expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(together(x, 2), expected[:2], atol=1e-5, rtol=1e-4)
        with torch.no_grad():  # as oneDNN's layers, and as one wide network for a GPU
            torch.testing.assert_close(together(x), expected, atol=1e-5, rtol=1e-4)
            wide = nets.through(nets.block_diagonal(alone), x).unflatten(1, (3, -1)).movedim(1, 0)
            torch.testing.assert_close(wide, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 9, 17), (2, 30, 45)])
def test_the_last_layer_is_the_transposed_convolution_it_stands_for(shape: tuple[int, int, int]) -> None:
    net = nets.build_decoder("conv", 2, shape)
    h = net[:-1](torch.randn(3, 2)).detach().requires_grad_()
    fast, plain = net[-1](h), nn.ConvTranspose2d.forward(net[-1], h)
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-4)
    seed = torch.randn_like(plain)
    for a, b in zip(*(torch.autograd.grad(y, [h, net[-1].weight], seed) for y in (fast, plain)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_the_dense_decoder_of_the_tables_has_as_many_weights_as_the_convolutional_one() -> None:
    dense, conv = (nets.build_decoder(net, 50, (1, 28, 28)) for net in ("conv-dense", "conv"))
    assert abs(nets.count(dense) / nets.count(conv) - 1) < 0.01
    assert 195 < dense[0].out_features < 210


@pytest.mark.parametrize("name", ["gpvae", "rme"])
def test_weights_that_move_are_laid_out_anew_and_copies_stand_alone(name: str) -> None:
    vae, x = perturbed(name, "small", "gaussian"), torch.rand(3, *SHAPE)

    def says(vae: vaecore.VAE) -> Tensor:
        with torch.no_grad():
            q = vae.posterior(x)
        return torch.cat([q.mean, q.variance])

    before, copies = says(vae), (copy.deepcopy(vae), pickle.loads(pickle.dumps(vae)))
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter *= 1.1
    moved = says(vae)
    assert (moved - before).abs().max() > 1e-3
    torch.testing.assert_close(moved, torch.cat(moments_with_gradients(vae, x)).detach(), atol=1e-4, rtol=1e-4)
    for other in copies:
        torch.testing.assert_close(says(other), before)


def moments_with_gradients(vae: vaecore.VAE, x: Tensor) -> list[Tensor]:
    q = vae.posterior(x)  # under gradients nothing is kept
    return [q.mean, q.variance]


# ---- SA


def test_the_encoders_gradient_goes_through_the_unrolled_steps(double: None) -> None:  # noqa: ARG001
    vae, x = perturbed("sa", "small", "gaussian").train(), torch.rand(3, *SHAPE)
    vae.refine = refine.GradientSteps(3, 1e-2)
    weight = vae.encoder.net[-1].weight

    def bound(weight: Tensor) -> Tensor:
        torch.manual_seed(1)
        parts = dict(vae.encoder.named_parameters()) | {"net.5.weight": weight}
        start = functional_call(vae.encoder, parts, (x,))
        q = vae.refine(vae, x, start)
        return vae.elbo(x, q=q).sum()

    gradient = torch.autograd.grad(bound(weight), weight)[0]
    vae.refine = refine.GradientSteps(3, 0.0)
    plain = torch.autograd.grad(bound(weight), weight)[0]
    vae.refine = refine.GradientSteps(3, 1e-2)
    for index in ((0, 3), (1, 50), (2, 7), (3, 90)):
        step = torch.zeros_like(weight)
        step[index] = 1e-6
        difference = (bound((weight + step).detach()) - bound((weight - step).detach())) / 2e-6
        assert abs(difference - gradient[index]) < 1e-4 * (1 + abs(gradient[index]))
    # The steps matter: a straight-through gradient would not pass.
    assert (gradient - plain).abs().max() > 1e-2 * gradient.abs().max()


def test_a_gradient_that_the_steps_blew_up_is_clipped() -> None:
    vae, images = perturbed("sa", "small", "gaussian"), torch.rand(8, *SHAPE)
    ((phase,),) = {stage.phases for stage in vaecore.RECIPES["sa"].stages(vae)}
    blown = dataclasses.replace(phase, objective=lambda vae, batch: 1e6 * phase.objective(vae, batch))
    norms = []

    def watch(event: dict) -> None:
        if event["event"] == "step":
            norms.append(torch.stack([p.grad.norm() for p in vae.parameters()]).norm())

    recipe = dataclasses.replace(vaecore.RECIPES["sa"], stages=lambda vae: (Stage(1.0, 1e-4, (blown,)),))  # noqa: ARG005
    vaecore.fit(vae, recipe, images, epochs=1, device="cpu", on_event=watch)
    torch.testing.assert_close(torch.stack(norms), torch.full((1,), 5.0))


def test_each_image_climbs_its_own_bound() -> None:
    vae, x = trained(), torch.rand(6, *SHAPE)
    vae.refine = refine.GradientSteps(4)
    with torch.no_grad():
        together, alone = vae.posterior(x), [vae.posterior(x[k : k + 1]) for k in range(6)]
    torch.testing.assert_close(together.mean, torch.cat([q.mean for q in alone]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together.stddev, torch.cat([q.stddev for q in alone]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [1e-3, 1.0])
def test_the_steps_do_not_lower_the_bound(size: float) -> None:
    vae, x = trained(), vaecore.load_dataset("digits", "valid").images[:40]
    with torch.no_grad():
        path = refine.GradientSteps(8, size).path(vae, x, vae.encoder(x))
    posterior = exact.true_posterior(vae, x)
    gaps = torch.stack([posterior.kl(q) for q in path])
    assert len(path) == 9
    # The exact bound is the evidence less the gap; the steps see it through four draws.
    assert (gaps.mean(1).diff() < 0.01).all()
    assert gaps[-1].mean() < gaps[0].mean() - 0.005


@pytest.mark.parametrize("dim", [1, 2, 3, 5, 16, 20, 50, 512])
def test_the_fixed_draws_integrate_quadratics(dim: int) -> None:
    """Exactly up to 16 dimensions; beyond within each block of 16, and nearly between them."""
    rows = refine.fixed_draws(torch.zeros(3, dim, dtype=torch.float64))[:, 1]
    assert len(rows) <= 32
    assert (rows.mean(0) == 0).all()
    second = rows.T @ rows / len(rows)
    own = [block.split(16, 1)[k] for k, block in enumerate(second.split(16))]
    assert all(torch.equal(part, torch.eye(len(part), dtype=part.dtype)) for part in own)
    across = second - torch.block_diag(*own)
    if dim > 16:
        assert across.square().sum() / (dim * dim - sum(len(part) ** 2 for part in own)) < 0.27**2


def test_the_steps_find_the_best_gaussian_in_more_than_two_dimensions(double: None) -> None:  # noqa: ARG001
    """Of an affine decoder's posterior, by closed form: draws that correlate dimensions would end elsewhere."""
    decoder = LinearDecoder(2.0, 6)
    vae = vaecore.VAE(StandardNormal(6), nn.Identity(), decoder).eval()
    x, start = torch.rand(3, 1, 4, 4), diagonal(torch.zeros(3, 12))
    with torch.no_grad():
        q, truth = refine.GradientSteps(400, 0.1)(vae, x, start), decoder.posterior(x)
    torch.testing.assert_close(q.mean, truth.mean, atol=1e-4, rtol=0)
    best = 1 / truth.precision_matrix.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(q.variance, best.expand(3, 6), atol=0, rtol=1e-4)


# ---- Laplace


def test_the_undamped_laplace_step_is_exact_for_an_affine_decoder(double: None) -> None:  # noqa: ARG001
    plain = LinearDecoder(0.3)
    layer = nn.Linear(2, 16)
    decoder = GaussianDecoder(nn.Sequential(layer, nn.Unflatten(-1, (1, 4, 4))))
    with torch.no_grad():
        layer.weight.copy_(plain.weight)
        layer.bias.copy_(plain.bias)
        decoder.log_scale.fill_(math.log(0.3))
    vae = vaecore.VAE(StandardNormal(2), nn.Identity(), decoder)
    x, start = torch.rand(5, 1, 4, 4), diagonal(torch.randn(5, 4))
    with torch.no_grad():
        q, truth = refine.LaplaceSteps(1, damped=False)(vae, x, start), plain.posterior(x)
        torch.testing.assert_close(q.mean, truth.mean)
        torch.testing.assert_close(q.covariance_matrix, truth.covariance_matrix.expand(5, 2, 2))
        halfway = refine.LaplaceSteps(1)(vae, x, start)
    torch.testing.assert_close(halfway.mean, (start.mean + truth.mean) / 2)


def test_the_decoders_linearisation_and_quadratic_agree_with_autograd() -> None:
    for likelihood in ("gaussian", "bernoulli"):
        vae, z = perturbed("laplace-vae", "small", likelihood), torch.randn(3, 2)
        output, jacobian = refine.linearised(vae.decoder.net, z)
        expected = vmap(jacrev(lambda z: vae.decoder.net(z[None])[0]))(z)  # noqa: B023
        torch.testing.assert_close(jacobian, expected)
        x, output = torch.rand(3, *SHAPE), output.detach().requires_grad_()
        score, fisher = vae.decoder.quadratic(x, output)
        base = Normal(output, vae.decoder.log_scale.exp()) if likelihood == "gaussian" else None
        log_density = base.log_prob(x) if base else x * output - nn.functional.softplus(output)
        (slope,) = torch.autograd.grad(log_density.sum(), output, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), output)
        torch.testing.assert_close(score, slope)
        torch.testing.assert_close(fisher, -curvature)


# ---- flows


@pytest.mark.parametrize("name", ["iaf", "hf"])
def test_flows_invert_and_their_log_determinants_are_autograds(name: str, double: None) -> None:  # noqa: ARG001
    vae, x = perturbed(name, "small", "gaussian", latent_dim=3), torch.rand(4, *SHAPE)
    q = vae.posterior(x)
    z = q.base_dist.sample()
    there, total = z, torch.zeros(4)
    for step in q.transforms:
        before, there = there, step(there)
        total = total + step.log_abs_det_jacobian(before, there)

    def whole(k: int, z: Tensor) -> Tensor:
        for step in vae.posterior(x[k : k + 1]).transforms:
            z = step(z)
        return z

    for k in range(4):
        jacobian = jacrev(lambda z: whole(k, z[None])[0])(z[k])  # noqa: B023
        torch.testing.assert_close(total[k], jacobian.det().abs().log(), atol=1e-9, rtol=1e-6)
    back = there.clone()  # a new tensor, so that nothing comes from a cache
    for step in reversed(q.transforms):
        back = step.inv(back)
    torch.testing.assert_close(back, z)
    torch.testing.assert_close(q.log_prob(there.clone()), q.base_dist.log_prob(z) - total)
    # The features steer each step, and not only the base.
    other = vae.posterior(torch.rand(4, *SHAPE))
    assert all((a(z) - b(z)).abs().max() > 1e-4 for a, b in zip(q.transforms, other.transforms, strict=True))


def test_a_householder_flow_is_a_gaussian_of_full_covariance(double: None) -> None:  # noqa: ARG001
    vae, x = perturbed("hf", "small", "gaussian"), torch.rand(3, *SHAPE)
    with torch.no_grad():
        q = vae.posterior(x)
        matrix = torch.stack([torch.stack([s for s in self_images(q, axis)]) for axis in torch.eye(2)], -1)[0]
        truth = MultivariateNormal(
            (matrix @ q.base_dist.mean[..., None])[..., 0],
            matrix @ torch.diag_embed(q.base_dist.variance) @ matrix.mT,
        )
        z = torch.randn(7, 3, 2)
        torch.testing.assert_close(q.log_prob(z), truth.log_prob(z))
        gap = exact.true_posterior(vae, x)
        (one, error), (other, more) = gap.divergence(q), gap.divergence(truth)
        assert ((one - other).abs() <= error + more).all()
        torch.testing.assert_close(one, other, atol=2e-2, rtol=2e-2)


def self_images(q: torch.distributions.Distribution, axis: Tensor) -> list[Tensor]:
    """Where the flow sends a unit vector, for each image."""
    z = axis.expand(3, 2)
    for step in q.transforms:
        z = step(z)
    return [z]


def test_an_autoregressive_flow_has_the_kl_that_samples_estimate(double: None) -> None:  # noqa: ARG001
    vae, x = perturbed("iaf", "small", "gaussian"), torch.rand(3, *SHAPE)
    posterior = exact.true_posterior(vae, x)
    with torch.no_grad():
        q = vae.posterior(x)
        z = q.rsample((40_000,))
        gaps = q.log_prob(z) - posterior.log_prob(z.movedim(0, 1)).movedim(0, 1)
        kl, error = posterior.divergence(q)
        assert ((gaps.mean(0) - kl).abs() < 5 * gaps.std(0) / 200 + error).all()
        moments = torch.stack([z.mean(0), z.std(0)])
        torch.testing.assert_close(torch.stack([q.mean, q.stddev]), moments, atol=0.1, rtol=0.1)


# ---- mixtures


def test_the_weights_of_the_recursive_mixture_by_both_formulas() -> None:
    gate, x = ImpactGate([nets.shallow(SHAPE, 1) for _ in range(4)]), torch.rand(6, *SHAPE)
    with torch.no_grad():
        raw = torch.stack([net(x)[:, 0] for net in gate.impacts.nets])
        impact = 0.001 + (0.1 - 0.001) / (1 + (-raw).exp())
        by_product = [
            (impact[m - 1] if m else torch.ones(6)) * math.prod([1 - impact[k - 1] for k in range(m + 1, 5)])
            for m in range(5)
        ]
        torch.testing.assert_close(gate(x).exp(), torch.stack(by_product, 1))
        recursive = torch.ones(6, 1)
        for m in range(4):
            recursive = torch.cat([(1 - impact[m])[:, None] * recursive, impact[m][:, None]], 1)
            torch.testing.assert_close(gate(x, m + 2).exp(), recursive)
    assert gate(x, 1).tolist() == [[0.0]] * 6


@pytest.mark.parametrize("name", MIXTURES)
def test_the_mixtures_density_is_that_of_its_parts(name: str) -> None:
    vae, x, z = perturbed(name, "small", "gaussian"), torch.rand(3, *SHAPE), torch.randn(4, 3, 2)
    with torch.no_grad():
        weights = vae.encoder.gate(x).exp()
        parts = [vae.encoder.component(x, m) for m in range(5)]
        density = sum(weights[:, m] * parts[m].log_prob(z).exp() for m in range(5))
        torch.testing.assert_close(vae.posterior(x).log_prob(z), density.log(), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(weights.sum(1), torch.ones(3))


def test_samples_of_a_mixture_carry_the_gradient_of_every_parameter(double: None) -> None:  # noqa: ARG001
    """d/dp E f(z) by implicitly reparameterised samples, by strata, and by quadrature."""
    logits = torch.tensor([[0.2, -0.4, 0.1]]).requires_grad_()
    loc = torch.tensor([[[-1.0, 0.5], [0.8, -0.3], [0.1, 1.0]]]).requires_grad_()
    scale = torch.tensor([[[0.5, 0.9], [0.7, 0.4], [1.1, 0.6]]]).requires_grad_()
    q = Mixture(Categorical(logits=logits), Independent(Normal(loc, scale), 1))

    leaves = (logits, loc, scale)

    def f(z: Tensor) -> Tensor:
        return torch.sin(z[..., 0] + 0.5 * z[..., 1]) + z[..., 0].square() * z[..., 1]

    line = torch.linspace(-9, 9, 601)
    grid = torch.cartesian_prod(line, line)[:, None]
    truth = torch.autograd.grad(
        (q.log_prob(grid).exp() * f(grid)).sum() * (line[1] - line[0]) ** 2, leaves, retain_graph=True
    )
    sampled = torch.autograd.grad(f(q.rsample((400_000,))).mean(), leaves, retain_graph=True)
    z, weight = draw(q, 200_000)
    stratified = torch.autograd.grad((weight * f(z)).sum(), leaves)
    for expected, *estimates in zip(truth, sampled, stratified, strict=True):
        for estimate in estimates:
            torch.testing.assert_close(estimate, expected, atol=0.02, rtol=0.02)


def test_each_phase_of_the_recursive_mixture_moves_its_own_part_only() -> None:
    vae, x = perturbed("rme", "small", "gaussian"), torch.rand(8, *SHAPE)
    (phases,) = {stage.phases for stage in vaecore.RECIPES["rme"].stages(vae)}
    assert len(phases) == 10
    owners = [
        [name for name, p in vae.named_parameters() if any(p is q for q in phase.parameters(vae))] for phase in phases
    ]
    assert {name.rsplit(".", 3)[0] for name in owners[0]} == {"encoder.parts.nets"}
    assert all(name.startswith("encoder.parts.nets.1.") for name in owners[1])
    assert all(name.startswith("encoder.gate.impacts.nets.0.") for name in owners[2])
    assert all(name.startswith("decoder.") for name in owners[-1])
    assert sorted(sum(owners, [])) == sorted(name for name, _ in vae.named_parameters())
    with torch.no_grad():
        assert all(math.isfinite(float(phase.objective(vae, Batch(x)))) for phase in phases)


def test_what_holds_components_apart() -> None:
    q, before = diagonal(torch.tensor([[0.5, 0.0, -1.0, -2.0]] * 5000)), diagonal(torch.zeros(5000, 4))
    kl = float(kl_divergence(q, before)[0])
    assert abs(float(objectives.bounded_kl(q, before, Batch(None), most=10.0)) - (kl - 10)) < 0.1
    assert float(objectives.bounded_kl(q, before, Batch(None), most=kl / 2)) == 0
    entropy = float(q.entropy()[0])
    for iteration, share in ((0, 1.0), (3, 0.5)):
        now = Batch(None, iteration)
        assert abs(float(objectives.sampled_entropy(q, before, now)) - share * entropy) < 0.05
        log_det = float(q.variance[0].log().sum())
        assert abs(float(objectives.gaussian_entropy(q, before, now)) - share * log_det / 2) < 1e-5


# ---- GPVAE


@pytest.mark.parametrize("mean", [-3.0, 0.0, 0.01, 0.3, 2.0, 11.9, 40.0])
@pytest.mark.parametrize("variance", [1e-4, 0.5, 3.0])
def test_the_expected_log_square_and_its_gradient_by_quadrature(mean: float, variance: float, double: None) -> None:  # noqa: ARG001
    """E log h² for h ~ N(a, s²) by a Poisson series or scipy's quadrature; its gradient by scipy's Dawson integral."""
    a, s = torch.tensor(mean, requires_grad=True), math.sqrt(variance)
    v = torch.tensor(variance, requires_grad=True)
    value = processes.expected_log_square(a, v)
    if abs(mean / s) < 12:
        k = np.arange(1000)
        share = scipy.stats.poisson.pmf(k, mean**2 / (2 * variance))
        truth = math.log(2 * variance) + (share * scipy.special.digamma(k + 0.5)).sum()
    else:

        def term(u: float) -> float:
            return 2 * math.log(abs(mean + s * u)) * math.exp(-u * u / 2) / math.sqrt(2 * math.pi)

        truth = scipy.integrate.quad(term, -11, 11)[0]
    assert abs(float(value.detach()) - truth) < 1e-6
    by_a, by_v = torch.autograd.grad(value, (a, v))
    dawson = scipy.special.dawsn(mean / (s * math.sqrt(2)))
    assert float(by_a) == pytest.approx(2 * math.sqrt(2) / s * dawson, rel=1e-6, abs=1e-9)
    if abs(mean / s) < 100:
        expected = (1 - math.sqrt(2) * mean / s * dawson) / variance
        assert float(by_v) == pytest.approx(expected, rel=1e-4, abs=1e-6 / variance)
    else:
        assert float(by_v) == pytest.approx(-1 / mean**2, rel=1e-3)


def gp(latent_dim: int = 2) -> vaecore.VAE:
    vae = perturbed("gpvae", "small", "gaussian", latent_dim)
    with torch.no_grad():
        for block in [*vae.encoder.f.below, *vae.encoder.h.below]:
            block.copy_(0.01 * torch.randn_like(block))
        for corner in [*vae.encoder.f.corners, *vae.encoder.h.corners]:
            corner.copy_(0.01 * torch.randn_like(corner) - 4 * torch.eye(len(corner))[:, None])
    return vae


def drawn_weights(encoder: processes.GaussianProcessEncoder, count: int) -> list[Tensor]:
    """W and U, each [count, D, p], from q(W, U)."""
    pairs = ((encoder.mu, encoder.f), (encoder.eta, encoder.h))
    return [mean + torch.einsum("dij,ndj->ndi", part.dense(), torch.randn(count, *mean.shape)) for mean, part in pairs]


def test_equation_13_is_the_first_two_moments_over_the_weights() -> None:
    encoder, x = gp().encoder, torch.rand(2, *SHAPE)
    with torch.no_grad():
        _, psi_m, psi_s = (trunk(x) for trunk in encoder.trunks.nets)
        base, q = encoder.base(x), encoder(x)
        w, u = drawn_weights(encoder, 20_000)
        f = base.mean + torch.einsum("ndp,bp->nbd", w, psi_m)
        h = base.stddev + torch.einsum("ndp,bp->nbd", u, psi_s)
        z = f + h * torch.randn_like(f)
    torch.testing.assert_close(q.mean, z.mean(0), atol=4 * float(z.std(0).max()) / 140, rtol=0)
    torch.testing.assert_close(q.variance, z.var(0), rtol=0.05, atol=0)


def test_equation_16_is_the_mean_divergence_over_the_weights_exact_or_sampled() -> None:
    encoder, x = gp().encoder, torch.rand(2, *SHAPE)
    with torch.no_grad():
        _, psi_m, psi_s = (trunk(x) for trunk in encoder.trunks.nets)
        base, moments = encoder.base(x), encoder.moments(x)
        w, u = drawn_weights(encoder, 20_000)
        f = base.mean + torch.einsum("ndp,bp->nbd", w, psi_m)
        h = base.stddev + torch.einsum("ndp,bp->nbd", u, psi_s)
        prior = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
        kl = kl_divergence(Independent(Normal(f, h.abs()), 1), prior)
        value = processes.averaged_kl(moments)
        assert ((value - kl.mean(0)).abs() < 5 * kl.std(0) / 140).all()
        sampled = torch.stack([processes.averaged_kl(moments, sampled=True) for _ in range(4000)])
        assert ((sampled.mean(0) - value).abs() < 5 * sampled.std(0) / 63).all()
        # It is at least the divergence of the matched Gaussian, by convexity.
        assert (value >= kl_divergence(encoder(x), prior) - 1e-5).all()


def test_equation_15_is_a_bound_below_the_plain_one(double: None) -> None:  # noqa: ARG001
    vae, x = gp(), torch.rand(4, *SHAPE)
    vae.encoder.train_size.fill_(1000)
    with torch.no_grad():
        values = torch.stack([objectives.process_bound(vae, Batch(x)) for _ in range(3000)])
        plain = torch.stack([vae.elbo(x).mean() for _ in range(3000)])
        moments = vae.encoder.moments(x)
        looser = 0.5 * (moments.variance.log() - processes.expected_log_square(moments.mean_h, moments.var_h)).sum(-1)
        expected = looser.mean() + moments.weights_kl / 1000
    error = (values.var() / 3000 + plain.var() / 3000).sqrt()
    assert abs(plain.mean() - values.mean() - expected) < 5 * error
    assert expected > 0


def test_the_weights_divergence_is_that_of_full_gaussians() -> None:
    encoder = gp().encoder
    total = 0.0
    for mean, part in ((encoder.mu, encoder.f), (encoder.eta, encoder.h)):
        full = part.dense()
        assert (full.triu(1) == 0).all()
        assert (full.diagonal(dim1=1, dim2=2) > 0).all()
        p = full.shape[1]
        prior = MultivariateNormal(torch.zeros(p), torch.eye(p))
        total += sum(
            kl_divergence(MultivariateNormal(m, scale_tril=factor), prior) for m, factor in zip(mean, full, strict=True)
        )
    torch.testing.assert_close(encoder.moments(torch.rand(1, *SHAPE)).weights_kl, total, rtol=1e-4, atol=0)


def test_without_its_process_a_gpvae_is_the_vae_that_it_began_with() -> None:
    vae, x = trained(), torch.rand(5, *SHAPE)
    made = vaecore.build("gpvae", SHAPE)
    begin(made, x, vae)
    with torch.no_grad():
        for corner in [*made.encoder.f.corners, *made.encoder.h.corners]:
            corner.copy_(-20 * torch.eye(len(corner))[:, None].expand_as(corner))
        q, p, plain = made.posterior(x), vae.prior(), vae.posterior(x)
        torch.testing.assert_close(q.mean, plain.mean)
        torch.testing.assert_close(q.stddev, plain.stddev)
        torch.testing.assert_close(processes.averaged_kl(made.encoder.moments(x)), kl_divergence(plain, p))
    assert float(made.encoder.train_size) == 5


def test_all_at_once_a_gpvae_says_the_same_as_by_its_moments() -> None:
    for net, shape, latent_dim in (("conv", (1, 28, 28), 7), ("small", SHAPE, 2)):
        encoder, x = vaecore.build("gpvae", shape, latent_dim, net=net).encoder, torch.rand(5, *shape)
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter += 0.05 * torch.randn_like(parameter)
            at_once, doubled = encoder(x), encoder.double()(x.double())  # by oneDNN's products, and by torch's own
        by_moments = encoder.float()(x)
        for q in (at_once, doubled):
            torch.testing.assert_close(q.mean.float(), by_moments.mean, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(q.stddev.float(), by_moments.stddev, atol=0, rtol=1e-4)


def test_the_factors_gradients_are_right(double: None) -> None:  # noqa: ARG001
    part = processes.Triangles(2, 12, 0.3)
    with torch.no_grad():
        for parameter in part.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    names, values = zip(*part.named_parameters(), strict=True)

    def by(psi: Tensor, *values: Tensor) -> tuple[Tensor, Tensor]:
        return functional_call(part, dict(zip(names, values, strict=True)), (psi,))

    assert torch.autograd.gradcheck(by, (torch.randn(3, 12, requires_grad=True), *values))


def test_the_uncertainty_is_the_trace_of_both_variances() -> None:
    encoder, x = gp(3).encoder, torch.rand(6, *SHAPE)
    with torch.no_grad():
        moments = encoder.moments(x)
        f, h = encoder.uncertainty(x, chunk=4)
    torch.testing.assert_close(f, moments.var_f.sum(1), rtol=1e-4, atol=0)
    torch.testing.assert_close(h, moments.var_h.sum(1), rtol=1e-4, atol=0)


# ---- beginning with a trained VAE


@pytest.mark.parametrize("name", [name for name, recipe in vaecore.RECIPES.items() if recipe.begins])
def test_a_system_begins_with_the_trained_decoder_and_encoder(name: str) -> None:
    vae, x = trained(), torch.rand(5, *SHAPE)
    made = vaecore.build(name, SHAPE)
    begin(made, x, vae)
    z = torch.randn(3, 2)
    with torch.no_grad():
        torch.testing.assert_close(made.likelihood(z).mean, vae.likelihood(z).mean)
        base = vae.encoder(x)
        q = made.posterior(x)
        if name in ("rme", "bvi-er1", "bvi-er2"):
            torch.testing.assert_close(q.log_prob(base.mean), base.log_prob(base.mean))
        elif name == "me":
            torch.testing.assert_close(made.encoder.component(x, 0).mean, base.mean)
        elif name == "hf":  # an even number of equal reflections
            torch.testing.assert_close(q.log_prob(base.mean), base.log_prob(base.mean), atol=1e-4, rtol=1e-4)
        elif name == "iaf":
            torch.testing.assert_close(q.base_dist.mean, base.mean)
        else:
            torch.testing.assert_close(made.encoder.base(x).mean, base.mean)


@pytest.mark.parametrize(
    ("recipe", "options", "sentence"),
    [
        ("rme", {"components": 1}, "Option components is 1; it must be a whole number from 2 to 32"),
        ("sa", {"steps": "2.5"}, "Option steps is '2.5'; it must be a whole number from 1 to 64"),
        ("sa", {"steps": True}, "must be a whole number"),
        ("sa", {"step_size": "nan"}, "must be a number"),
        ("laplace-vae", {"net": "conv"}, "must be one of dense, small, conv-dense"),
    ],
)
def test_options_that_cannot_be(recipe: str, options: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        vaecore.build(recipe, SHAPE, **options)


def test_numbers_are_read_from_text_and_stand_in_the_label() -> None:
    vae = vaecore.build("sa", SHAPE, steps="8", step_size="1e-2")
    assert vae.config["options"]["steps"] == 8
    assert vae.refine == refine.GradientSteps(8, 0.01)
    assert vaecore.recipes.label(vae.config) == "SA(8)"
