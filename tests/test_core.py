"""Laws that every recipe must keep."""

import pytest
import torch
from models import SHAPE, VARIANTS, FixedEncoder, linear_gaussian, perturbed

import vaecore
from vaecore import evaluation, nets
from vaecore.distributions import GreyBernoulli
from vaecore.objectives import Batch

variants = pytest.mark.parametrize(("name", "net", "likelihood"), VARIANTS)


@variants
def test_the_three_densities_have_their_shapes(name: str, net: str, likelihood: str) -> None:
    vae, x = perturbed(name, net, likelihood, latent_dim=3), torch.rand(5, *SHAPE)
    q, p = vae.posterior(x), vae.prior()
    assert (q.batch_shape, q.event_shape) == ((5,), (3,))
    assert (p.batch_shape, p.event_shape) == ((), (3,))
    z = q.rsample((4,))
    assert q.log_prob(z).shape == (4, 5)
    likelihood = vae.likelihood(z[0])
    assert (likelihood.batch_shape, likelihood.event_shape) == ((5,), SHAPE)
    assert vae.log_joint(x, z).shape == (4, 5)
    assert vae.elbo(x, samples=2).shape == (5,)


@variants
def test_log_joint_is_the_two_densities_summed(name: str, net: str, likelihood: str) -> None:
    vae, x = perturbed(name, net, likelihood), torch.rand(3, *SHAPE)
    z = torch.randn(2, 3, 2)
    for k in range(2):
        expected = vae.likelihood(z[k]).log_prob(x) + vae.prior().log_prob(z[k])
        torch.testing.assert_close(vae.log_joint(x, z)[k], expected)


@variants
def test_every_parameter_gets_a_gradient_in_some_phase(name: str, net: str, likelihood: str) -> None:
    # In two dimensions MAE's prior has weight-normed rows of one weight, whose direction cannot turn.
    vae, x = perturbed(name, net, likelihood, latent_dim=3), torch.rand(16, *SHAPE)
    for stage in vaecore.RECIPES[name].stages(vae):
        for phase in stage.phases:
            (-phase.objective(vae, Batch(x))).backward(inputs=phase.parameters(vae))
    for name_of, parameter in vae.named_parameters():
        assert parameter.grad is not None, name_of
        assert parameter.grad.abs().sum() > 0, name_of


def test_elbo_and_importance_bound_of_a_linear_gaussian_model() -> None:
    vae = linear_gaussian(1.0, loc=[0.0, 0.0], std=[1.0, 1.0])
    with torch.no_grad():
        x = vae.likelihood(torch.randn(4, 2).double()).sample()
        truth = vae.decoder.evidence().log_prob(x.flatten(1))
        posterior, q = vae.decoder.posterior(x), vae.posterior(x)
        wide = torch.distributions.MultivariateNormal(q.mean, torch.diag_embed(q.variance))
        gap = torch.distributions.kl_divergence(wide, posterior)
        elbo = vae.elbo(x, samples=40_000)
    torch.testing.assert_close(elbo + gap, truth, atol=0.3, rtol=0)
    bound = evaluation.log_evidence(vae, x, samples=100_000)
    torch.testing.assert_close(bound, truth, atol=0.05, rtol=0)
    exactly = vaecore.VAE(vae.prior, FixedEncoder([0.0, 0.0], [1.0, 1.0]), vae.decoder)
    exactly.posterior = lambda x: posterior
    # With q = p(z|x) every weight is the evidence itself, however few they are.
    torch.testing.assert_close(evaluation.log_evidence(exactly, x, samples=1), truth)


def test_the_kl_is_the_mean_of_samples_where_torch_has_no_closed_form() -> None:
    vae = linear_gaussian(1.0)
    x = torch.rand(2, 1, 4, 4).double()
    closed = vae.bound(x)[1]
    base = vae.encoder

    class Hidden(torch.distributions.TransformedDistribution):
        pass

    class Flow(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.distributions.Distribution:
            q = base(x)
            shift = torch.distributions.AffineTransform(torch.zeros(2).double(), 1.0, event_dim=1)
            return Hidden(q, [shift])

    sampled = vaecore.VAE(vae.prior, Flow(), vae.decoder).bound(x, samples=100_000)[1]
    torch.testing.assert_close(sampled, closed, atol=0.02, rtol=0)


def test_grey_pixels_have_the_mean_log_probability_of_their_binarisations() -> None:
    logits, grey = torch.randn(6), torch.rand(6)
    p = GreyBernoulli(logits=logits)
    expected = grey * p.log_prob(torch.ones(6)) + (1 - grey) * p.log_prob(torch.zeros(6))
    torch.testing.assert_close(p.log_prob(grey), expected)
    plain = torch.distributions.Bernoulli(logits=logits)
    torch.testing.assert_close(p.log_prob(torch.ones(6)), plain.log_prob(torch.ones(6)))
    with pytest.raises(ValueError, match="support"):
        p.log_prob(grey + 1)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 9, 17), (2, 30, 45), (1, 8, 8)])
def test_the_convolutional_pair_arrives_at_any_size(shape: tuple[int, int, int]) -> None:
    vae = vaecore.build("vae", shape, net="conv")
    x = torch.rand(2, *shape)
    assert vae.likelihood(vae.posterior(x).mean).event_shape == shape


def test_the_papers_pair_has_the_papers_size() -> None:
    encoder = nets.build_encoder("conv", (1, 28, 28), features=100)
    decoder = nets.build_decoder("conv", 50, (1, 28, 28))
    assert sum(p.numel() for p in encoder.parameters()) == 223_204
    assert sum(p.numel() for p in decoder.parameters()) == 210_817


def test_active_units_counts_the_dimensions_that_move() -> None:
    vae, images = perturbed("vae", "small", "gaussian", latent_dim=3), torch.rand(64, *SHAPE)
    with torch.no_grad():
        vae.encoder.net[-1].weight[1] = 0
        vae.encoder.net[-1].weight[0] *= 100
    active = evaluation.active_units(vae, images)
    means = vae.posterior(images).mean
    assert active.tolist() == (means.var(0, correction=0) > 0.01).tolist()
    assert active[0]
    assert not active[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"recipe": "vea"}, "There is no recipe 'vea'; the recipes are vae"),
        ({"net": "convnet"}, "Option net is 'convnet'; it must be one of dense, conv, small"),
        ({"layers": "3"}, "has no option 'layers'; its options are net, likelihood"),
        ({"data_shape": (28, 28)}, "must be \\(channels, height, width\\)"),
        ({"data_shape": (1, 0, 28)}, "must be \\(channels, height, width\\)"),
        ({"latent_dim": 0}, "latent_dim is 0"),
        ({"latent_dim": 2.0}, "latent_dim is 2.0"),
        ({"net": "conv", "data_shape": (1, 4, 4)}, "needs images of at least 8x8 pixels, not 1x4x4: use net='dense'"),
    ],
)
def test_what_cannot_be_built_is_said_in_a_sentence(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        vaecore.build(**{"recipe": "vae", "data_shape": (1, 8, 8), **arguments})


def test_evaluation_refuses_no_samples() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        evaluation.log_evidence(linear_gaussian(1.0), torch.rand(1, 1, 4, 4).double(), samples=0)
