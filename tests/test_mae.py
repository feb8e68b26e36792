"""The systems of the MAE paper against explicit loops, torch's own KL in float64, and finite differences."""

import copy
import itertools
import math
from itertools import permutations, product
from pathlib import Path

import pytest
import torch
from models import SHAPE, SMALL, fresh, mixture, perturbed
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

import vaecore
from vaecore import objectives
from vaecore.averaging import Average
from vaecore.lossy import LossyPixelCNN
from vaecore.mutual import closeness, mean_pairwise, pairwise_kl, spread
from vaecore.nets import count
from vaecore.normed_resnets import Apart
from vaecore.objectives import Batch
from vaecore.pixelcnn import Pixels
from vaecore.priors import AutoregressivePrior, StandardNormal
from vaecore.training import begin
from vaecore.weightnorm import fitted, normed

pytestmark = pytest.mark.usefixtures("one_thread")

# A hand check: three posteriors in two dimensions.
LOC = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]]).double()
SCALE = torch.tensor([[1.0, 1.0], [1.0, 4.0], [0.25, 1.0]]).double().sqrt()


def some(batch: int = 5, dims: int = 3) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, dims).double(), torch.randn(batch, dims).double().exp()


# ---- how far posteriors lie from each other


def test_pairwise_kl_is_torchs_own_pair_by_pair() -> None:
    loc, scale = some()
    kl = pairwise_kl(loc, scale)
    assert kl.shape == (5, 5, 3)
    for i in range(5):
        for j in range(5):
            expected = kl_divergence(Normal(loc[i], scale[i]), Normal(loc[j], scale[j]))
            torch.testing.assert_close(kl[i, j], expected)
    assert (kl.diagonal() == 0).all()


def test_mean_and_spread_are_those_of_an_explicit_loop() -> None:
    loc, scale = some()
    kl = pairwise_kl(loc, scale)
    pairs = list(permutations(range(5), 2))
    for k in range(3):
        mean = sum(float(kl[i, j, k]) for i, j in pairs) / (5 * 4)
        assert math.isclose(float(mean_pairwise(kl)[k]), mean)
    totals = [float(kl[i, j].sum()) for i, j in pairs]
    centre = sum(totals) / len(totals)
    std = math.sqrt(sum((total - centre) ** 2 for total in totals) / (5**2 - 5 - 1))
    assert math.isclose(float(spread(kl)), std)


def test_the_hand_check_of_mean_and_spread() -> None:
    kl = pairwise_kl(LOC, SCALE)
    assert float(mean_pairwise(kl).sum()) == pytest.approx(2.416667, abs=1e-6)
    assert float(spread(kl)) == pytest.approx(1.719241, abs=1e-6)


def test_gradients_of_mean_and_spread_are_the_finite_differences() -> None:
    loc, scale = (each.requires_grad_() for each in some(4, 2))
    for measure in (lambda kl: mean_pairwise(kl), spread):
        assert torch.autograd.gradcheck(lambda m, s: measure(pairwise_kl(m, s)), (loc, scale))  # noqa: B023


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_posteriors_that_coincide_have_no_distance_and_gradient_zero(dtype: torch.dtype) -> None:
    loc = torch.full((6, 3), 0.3, dtype=dtype, requires_grad=True)
    scale = torch.full((6, 3), 0.7, dtype=dtype, requires_grad=True)
    kl = pairwise_kl(loc, scale)
    assert (kl == 0).all()
    (mean_pairwise(kl).sum() + spread(kl)).backward()
    assert (loc.grad == 0).all()
    assert (scale.grad == 0).all()


def test_two_posteriors_are_enough_and_one_is_not() -> None:
    kl = pairwise_kl(*some(2))
    a, b = float(kl[0, 1].sum()), float(kl[1, 0].sum())
    assert math.isclose(float(spread(kl)), abs(a - b) / math.sqrt(2))
    for measure in (mean_pairwise, spread):
        with pytest.raises(ValueError, match="batch of 1 has no pair of posteriors"):
            measure(pairwise_kl(*some(1)))
    with pytest.raises(ValueError, match=r"shapes \[5, 3\] and \[3\]"):
        pairwise_kl(torch.zeros(5, 3), torch.ones(3))


def test_diversity_is_its_formula_in_every_form_and_the_hand_check() -> None:
    loc, scale = some()
    q, kl = Independent(Normal(loc, scale), 1), pairwise_kl(loc, scale)
    pairs = list(permutations(range(5), 2))
    released = paper = submitted = 0.0
    for k in range(3):
        mean = sum(float(kl[i, j, k]) for i, j in pairs) / 20
        released += math.log1p(math.exp(-mean))
        paper += sum(math.log1p(math.exp(-float(kl[i, j, k]))) for i, j in pairs) / 20
        submitted += -math.log(1 / (1 + math.exp(-mean / 0.5)))
    assert math.isclose(float(objectives.diversity(q)), released)
    assert math.isclose(float(objectives.diversity(q, "paper")), paper)
    assert math.isclose(float(objectives.diversity(q, "submitted", 0.5)), submitted)
    assert paper > released  # Jensen
    hand = Independent(Normal(LOC, SCALE), 1)
    assert float(objectives.diversity(hand)) == pytest.approx(0.533784, abs=1e-6)
    assert float(objectives.diversity(hand, "paper")) == pytest.approx(0.646937, abs=1e-6)
    total = objectives.diversity(hand) + 0.5 * objectives.smoothness(hand)
    assert float(total) == pytest.approx(1.393405, abs=1e-6)


@pytest.mark.parametrize("form", ["released", "paper", "submitted"])
def test_gradients_of_diversity_are_the_finite_differences(form: str) -> None:
    loc, scale = (each.requires_grad_() for each in some(4, 2))
    assert torch.autograd.gradcheck(lambda m, s: closeness(pairwise_kl(m, s), form, 0.7), (loc, scale))


def test_only_gaussians_and_known_forms_are_taken() -> None:
    with pytest.raises(ValueError, match="for diagonal Gaussians alone; q is a MixtureSameFamily"):
        objectives.pairwise_kl(mixture(3))
    with pytest.raises(ValueError, match="'printed'; it must be one of released, paper, submitted"):
        objectives.diversity(Independent(Normal(LOC, SCALE), 1), "printed")


# ---- the objective


def test_the_objective_is_equation_7_and_free_bits_bound_the_batchs_mean_kl() -> None:
    vae, x = perturbed("mae", "small", "bernoulli", latent_dim=3), torch.rand(6, *SHAPE).bernoulli()

    def value(**options: float | str) -> float:
        torch.manual_seed(3)
        with torch.no_grad():
            return float(objectives.mutual_bound(vae, Batch(x), **options))

    with torch.no_grad():
        torch.manual_seed(3)
        q = vae.posterior(x)
        z = q.rsample()
        re = -float(vae.likelihood(z).log_prob(x).mean())
        kl = float((q.log_prob(z) - vae.prior().log_prob(z)).mean())
        diverse, smooth = float(objectives.diversity(q)), float(objectives.smoothness(q))
    close = {"rel": 1e-5}
    assert value() == pytest.approx(-re - kl, **close)
    assert value(eta=2.0, gamma=0.5) == pytest.approx(-re - kl - 2 * diverse - 0.5 * smooth, **close)
    assert value(free_bits=kl - 0.1) == pytest.approx(-re - kl, **close)
    assert value(free_bits=kl + 5.0) == pytest.approx(-re - kl - 5.0, **close)


def test_below_the_free_bits_the_kl_has_no_gradient() -> None:
    vae, x = perturbed("lossy-vae", "small", "bernoulli"), torch.rand(6, *SHAPE).bernoulli()
    objectives.mutual_bound(vae, Batch(x), free_bits=1e4).backward()
    assert all(p.grad is None or (p.grad == 0).all() for p in vae.prior.parameters())
    assert any((p.grad != 0).any() for p in vae.encoder.parameters())


def test_the_recipes_hand_their_options_to_the_objective() -> None:
    vae = fresh("mae", "", "", eta=2, gamma=0.1, diversity="paper", free_bits=3)
    (phases,) = {stage.phases for stage in vaecore.RECIPES["mae"].stages(vae)}
    assert phases[0].objective.keywords == {"eta": 2, "gamma": 0.1, "form": "paper", "free_bits": 3}
    assert vaecore.recipes.label(vae.config) == "MAE(2, 0.1)"
    bits = fresh("lossy-vae", "", "", free_bits=7.84)
    assert vaecore.RECIPES["lossy-vae"].stages(bits)[0].phases[0].objective.keywords == {"free_bits": 7.84}
    assert vaecore.recipes.label(bits.config) == "Lossy VAE, 7.84 free bits"


# ---- the networks


def test_the_parts_have_as_many_weights_as_the_released_code() -> None:
    for name, decoder in (("resnet-af", 141_327), ("mae", 505_346)):
        vae = vaecore.build(name, (1, 28, 28), 32)
        assert [count(part) for part in (vae.encoder, vae.prior, vae.decoder)] == [703_872, 356_352, decoder]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 9, 17), (1, 8, 8)])
def test_they_arrive_at_any_size_and_number_of_channels(shape: tuple[int, int, int]) -> None:
    for name in ("resnet-af", "mae"):
        for layers in (1, 3):
            vae = vaecore.build(name, shape, 2, **{**SMALL[name], "layers": layers})
            x = torch.rand(2, *shape)
            assert vae.likelihood(vae.posterior(x).mean).event_shape == shape
            assert vae.elbo(x).isfinite().all()


def test_a_convolution_of_pixels_laid_apart_is_the_transposed_one() -> None:
    layer, h = nn.ConvTranspose2d(3, 2, 3, 2, 1, output_padding=(0, 1)), torch.randn(4, 3, 5, 4)
    weight = layer.weight.flip(2, 3).transpose(0, 1)
    laid = nn.functional.conv2d(Apart((0, 1))(h), weight, layer.bias, padding=1)
    torch.testing.assert_close(laid, layer(h), atol=1e-5, rtol=1e-4)


def test_a_weight_normed_layer_is_gain_times_direction() -> None:
    mask = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    layer = normed(nn.Linear(3, 2), mask)
    weight = layer.parametrizations.weight
    with torch.no_grad():
        weight.original0.copy_(torch.tensor([[0.3], [0.0]]))
        weight.original1.copy_(torch.tensor([[3.0, 7.0, 4.0], [1.0, 1.0, 1.0]]))
    expected = math.exp(0.3) * torch.tensor([0.6, 0.0, 0.8])
    torch.testing.assert_close(layer.weight, torch.stack([expected, torch.zeros(3)]))
    layer(torch.randn(5, 3)).sum().backward()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.Linear(4, 3), torch.randn(200, 4) + 2),
        (nn.Conv2d(2, 3, 3), torch.rand(50, 2, 6, 6)),
        (nn.ConvTranspose2d(2, 3, 3), torch.rand(50, 2, 6, 6)),
    ],
)
def test_data_lets_a_layer_begin_at_mean_zero_and_its_scale(layer: nn.Module, x: Tensor) -> None:
    normed(layer, begins_at=0.1)
    before = layer.parametrizations.weight.original1.clone()
    with fitted(layer):
        shown = layer(x)
    made = layer(x).movedim(1, 0).flatten(1)
    torch.testing.assert_close(made, shown.movedim(1, 0).flatten(1))
    torch.testing.assert_close(made.mean(1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(made.std(1, correction=0), torch.full((3,), 0.1), atol=1e-5, rtol=1e-4)
    assert torch.equal(layer.parametrizations.weight.original1, before)


def test_a_fresh_training_begins_by_data_and_a_started_one_does_not() -> None:
    images = torch.rand(40, *SHAPE)
    vae, other = fresh("mae", "", "", 3), fresh("mae", "", "", 3)
    begin(vae, images, None)
    with torch.no_grad():
        raw = vae.encoder.net(images.bernoulli())
        moved, scale = vae.prior.flow.halves[0](torch.randn(500, 3))
    assert raw.mean().abs() < 0.3
    assert 0.7 < raw.std() < 1.4
    assert moved.abs().mean() < 0.5
    assert scale.abs().mean() < 0.5
    begin(other, images, vae)
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), vae.parameters(), strict=True))


# ---- the prior


def shaken(dim: int, blocks: int = 2) -> AutoregressivePrior:
    prior = AutoregressivePrior(dim, blocks).double().eval()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return prior


def test_the_prior_integrates_to_one_in_two_dimensions() -> None:
    prior = shaken(2)
    with torch.no_grad():
        p, line = prior(), torch.linspace(-12, 12, 401, dtype=torch.float64)
        mass = p.log_prob(torch.cartesian_prod(line, line)).exp().sum() * float(line[1] - line[0]) ** 2
        away = (p.log_prob(torch.randn(100, 2).double()) - StandardNormal(2).double()().log_prob(torch.zeros(2))).std()
    assert float(mass) == pytest.approx(1, abs=2e-3)
    assert away > 0.1


def test_the_prior_inverts_and_its_density_is_the_jacobians() -> None:
    prior, w = shaken(4), torch.randn(6, 4).double()
    with torch.no_grad():
        z = w
        for step in reversed(prior.flow()):
            z = step.inv(z)
        back = z
        for step in prior.flow():
            back = step(back)
    torch.testing.assert_close(back, w)

    def through(z: Tensor) -> Tensor:
        for step in prior.flow():
            z = step(z)
        return z

    for one in z:
        slope = torch.autograd.functional.jacobian(through, one)
        expected = Normal(0.0, 1.0).log_prob(through(one)).sum() + torch.linalg.slogdet(slope)[1]
        torch.testing.assert_close(prior().log_prob(one), expected)


def test_a_half_sees_only_what_comes_before_in_its_order() -> None:
    flow, z = shaken(5, 1).flow, torch.randn(5, dtype=torch.float64)
    assert [list(half.order) for half in flow.halves] == [[4, 3, 2, 1, 0], [0, 1, 2, 3, 4]]
    for half in flow.halves:
        for output in range(2):
            slope = torch.autograd.functional.jacobian(lambda z: half(z)[output], z)  # noqa: B023
            for place, d in enumerate(half.order):
                before = set(list(half.order)[:place])
                assert {int(j) for j in slope[d].nonzero()} == before


# ---- the PixelCNN


def wild(channels: int, blocks: int, size: tuple[int, int], batch: int = 1) -> Pixels:
    """Random weights and random maps of z."""
    net = LossyPixelCNN(channels, 2, blocks, 6).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return Pixels(net, torch.randn(batch, 2, *size).double())


def test_no_pixel_sees_its_future_and_each_sees_what_came_shortly_before() -> None:
    p = wild(2, 3, (6, 6))
    x = torch.rand(1, 2, 6, 6).double().requires_grad_()
    logits = p.logits(x)
    for row in range(6):
        for column in range(6):
            place = 6 * row + column
            for channel in range(2):
                (slope,) = torch.autograd.grad(logits[0, channel, row, column], x, retain_graph=True)
                seen = (slope[0] != 0).flatten(1)
                assert not seen[:, place:].any()
                assert seen[:, 6 * row : place].all()
                if row:  # up to three to the right in the row above
                    assert seen[:, 6 * (row - 1) : 6 * (row - 1) + min(6, column + 4)].all()


def test_the_papers_pixel_sees_383_of_its_406_predecessors() -> None:
    p = wild(1, 6, (28, 28))
    x = torch.rand(1, 1, 28, 28).double().requires_grad_()
    (slope,) = torch.autograd.grad(p.logits(x)[0, 0, 14, 14], x)
    seen = (slope != 0).flatten()
    assert int(seen.sum()) == int(seen[:406].sum()) == 383


def test_maps_of_z_are_unmasked() -> None:
    p = wild(1, 0, (7, 7))
    p.features.requires_grad_()
    (slope,) = torch.autograd.grad(p.logits(torch.rand(1, 1, 7, 7).double())[0, 0, 3, 3], p.features)
    assert (slope != 0).all()


def test_the_probabilities_of_all_images_sum_to_one() -> None:
    images = torch.tensor(list(product((0.0, 1.0), repeat=6))).view(-1, 1, 1, 2, 3).double()
    torch.testing.assert_close(wild(1, 3, (2, 3), 2).log_prob(images).exp().sum(0), torch.ones(2).double())


@pytest.mark.parametrize("blocks", [0, 1, 4])
def test_pixels_read_one_by_one_are_those_of_one_pass(blocks: int) -> None:
    p = wild(2, blocks, (7, 5), 3)
    with torch.no_grad():
        drawn, read = p.sample(), torch.empty(3, 2, 7, 5).double()
        reading = p.net.reading(p.features)
        for row in range(7):
            reading.begin(row, drawn[:, :, row - 1])
            for column in range(5):
                read[:, :, row, column] = reading.logits(column)
                reading.show(drawn[:, :, row, column], column)
        torch.testing.assert_close(read, p.logits(drawn))


# ---- training


def test_the_average_follows_by_its_recurrence() -> None:
    layer = nn.Linear(2, 1)
    average, expected = Average(layer, 0.9), layer.weight.detach().clone()
    own = expected
    for _ in range(4):
        with torch.no_grad():
            layer.weight += torch.randn(1, 2)
        own = layer.weight.detach().clone()
        average.follow()
        expected = expected + (1 - 0.9) * (own - expected)
    with average.in_place():
        torch.testing.assert_close(layer.weight.detach(), expected)
    assert torch.equal(layer.weight.detach(), own)


DIGITS = vaecore.load_dataset("dynamic_digits", "train").first(200)


def test_the_averaged_weights_are_those_that_are_kept(tmp_path: Path) -> None:
    vae = fresh("mae", "", "", 3)
    first = copy.deepcopy(vae)
    torch.manual_seed(0)
    begin(first, DIGITS.grey, None)
    shadow, steps = [p.detach().clone() for p in first.parameters()], itertools.count()

    def watch(event: dict) -> None:
        if event["event"] == "step":
            step = next(steps)
            for each, weight in zip(shadow, vae.parameters(), strict=True):
                each += 9 / (10 + step) * (weight.detach() - each)

    vaecore.fit(vae, "mae", DIGITS, epochs=2, seed=0, device="cpu", folder=tmp_path / "a", on_event=watch)
    for kept, expected in zip(vae.parameters(), shadow, strict=True):
        torch.testing.assert_close(kept, expected)
    last = vaecore.load(tmp_path / "a", which="last")
    assert all(torch.equal(a, b) for a, b in zip(last.parameters(), vae.parameters(), strict=True))


class Stopped(Exception):
    pass


def test_an_interrupted_run_goes_on_to_the_same_averaged_weights(tmp_path: Path) -> None:
    settings = {"epochs": 4, "seed": 3, "device": "cpu", "batch_size": 64}
    torch.manual_seed(0)
    whole = fresh("mae", "", "")
    vaecore.fit(whole, "mae", DIGITS, DIGITS, folder=tmp_path / "whole", **settings)

    def stop(event: dict) -> None:
        if event["event"] == "step" and event["epoch"] == 3:
            raise Stopped

    torch.manual_seed(0)
    with pytest.raises(Stopped):
        vaecore.fit(fresh("mae", "", ""), "mae", DIGITS, DIGITS, folder=tmp_path / "cut", on_event=stop, **settings)
    torch.manual_seed(9)
    again = fresh("mae", "", "")
    vaecore.fit(again, "mae", DIGITS, DIGITS, folder=tmp_path / "cut", **settings)
    for which in ("model", "last"):
        one, other = (vaecore.load(tmp_path / name, which=which) for name in ("whole", "cut"))
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_batch_of_one_is_left_out_and_refused_where_there_is_no_other() -> None:
    steps = []
    seen = DIGITS.grey[:9].bernoulli()
    vaecore.fit(fresh("mae", "", ""), "mae", seen, epochs=1, batch_size=4, device="cpu", on_event=steps.append)
    assert sum(event["event"] == "step" for event in steps) == 2
    for batch_size, images in ((1, seen), (4, seen[:1])):
        with pytest.raises(ValueError, match="mae compares the images of a batch: it needs at least 2"):
            vaecore.fit(fresh("mae", "", ""), "mae", images, epochs=1, batch_size=batch_size, device="cpu")
    with pytest.raises(ValueError, match="batch of 1 has no pair"):
        objectives.mutual_bound(fresh("mae", "", ""), Batch(seen[:1]), eta=1.0)


@pytest.mark.parametrize("name", ["lossy-vae", "mae"])
def test_a_small_one_learns(name: str) -> None:
    torch.manual_seed(0)
    vae = fresh(name, "", "", 4)
    vae.prior().sample((3,))
    history = vaecore.fit(vae, name, DIGITS, epochs=8, batch_size=40, device="cpu")
    assert history[-1]["train_elbo"] > history[0]["train_elbo"] + 5
    assert set(vae.likelihood(vae.prior().sample((3,))).sample().unique().tolist()) <= {0.0, 1.0}
    bound = vaecore.evaluation.bounds(vae, DIGITS.images[:4], samples=20)
    assert (bound.elbo <= bound.log_evidence + 1e-6).all()
