"""Real NVP as prior and posterior, VampPrior, and how they are trained, against independent calculations."""

import copy
import dataclasses
import math
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from models import SHAPE, brute_force, perturbed
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.func import jacrev, vmap
from torch.nn.functional import linear

import vaecore
from vaecore import exact, nets, resnets
from vaecore.distributions import diagonal
from vaecore.nets import count
from vaecore.objectives import Batch, half_square, prior_alone, unit_moments, warm_elbo
from vaecore.priors import RealNVPPrior, VampPrior
from vaecore.realnvp import FARTHEST, SCALES, ActNorm, Block, Coupling, InvertibleDense, RealNVP
from vaecore.recipes import PRIOR_RATES, RECIPES, Stage
from vaecore.training import begin, planned

VALID = vaecore.load_dataset("digits", "valid")
scales = pytest.mark.parametrize("scale", SCALES)
dims = pytest.mark.parametrize("dim", [2, 3, 40])


def shaken(module: nn.Module, size: float = 0.3) -> nn.Module:
    """In float64, its weights moved at random, so far that a layer's outputs move by about `size`."""
    module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
            parameter += size * torch.randn_like(parameter) / fan_in**0.5
    return module


def log_volume(f: Callable[[Tensor], Tensor], u: Tensor) -> Tensor:
    """log |det df/du| at each row of u [N, D], by autograd's Jacobian."""
    return torch.linalg.slogdet(vmap(jacrev(f))(u)).logabsdet


def rows(dim: int, count: int = 4) -> Tensor:
    return torch.randn(count, dim, dtype=torch.float64)


def built(recipe: str, **options: str | float) -> vaecore.VAE:
    return vaecore.build(recipe, SHAPE, **{"net": "small", **options})


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def equal(a: nn.Module | dict, b: nn.Module | dict) -> bool:
    a, b = (part.state_dict() if isinstance(part, nn.Module) else part for part in (a, b))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def plain() -> vaecore.VAE:
    """A trained VAE with the standard normal prior."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        vae = built("vae")
        vaecore.fit(vae, "vae", vaecore.load_dataset("digits", "train"), epochs=20, learning_rate=4e-3, device="cpu")
    return vae


# ---- Real NVP


@dims
def test_the_dense_part_begins_orthogonal_and_its_log_determinant_is_the_sum_of_log_scales(dim: int) -> None:
    part = InvertibleDense(dim)
    torch.testing.assert_close(part.weight() @ part.weight().mT, torch.eye(dim), atol=1e-5, rtol=0)
    shaken(part)
    expected = log_volume(lambda u: linear(u, part.weight()), rows(dim))
    torch.testing.assert_close(part.log_scale.sum().expand(4), expected)
    torch.testing.assert_close(part.inverse_weight() @ part.weight(), torch.eye(dim).double())


@dims
@scales
def test_a_couplings_log_determinant_and_inverse(dim: int, scale: str) -> None:
    part, u = shaken(Coupling(dim, 32, scale)), rows(dim)
    v, log_det = part(u)
    torch.testing.assert_close(log_det, log_volume(lambda u: part(u)[0], u))
    torch.testing.assert_close(part.inverse(v), u)
    assert torch.equal(v[:, : dim // 2], u[:, : dim // 2])
    assert ((v - u)[:, dim // 2 :].abs() > 1e-6).all()


def test_a_coupling_scales_as_its_convention_says() -> None:
    u = rows(5)
    left, right = u[:, :2], u[:, 2:]
    for scale in SCALES:
        part = shaken(Coupling(5, 32, scale))
        s, t = part.heads(nn.functional.leaky_relu(part.hidden(left))).chunk(2, -1)
        expected = (right + t) * (s + 2).sigmoid() if scale == "shifted" else right * s.sigmoid() + t
        torch.testing.assert_close(part(u)[0][:, 2:], expected)


def test_the_authors_couplings_begin_alike_for_all_z_and_the_papers_by_halving() -> None:
    u = torch.randn(500, 40)
    part = Coupling(40, 256, "shifted")
    assert not any(parameter.abs().sum() for parameter in part.heads.parameters())
    torch.testing.assert_close(part(u)[0][:, 20:], u[:, 20:] / (1 + math.exp(-2)))
    by_paper = Coupling(40, 256, "paper")(u)[1].detach() / 20
    assert abs(float(by_paper.mean()) - math.log(0.5)) < 0.1
    assert float(by_paper.std()) < 0.1


@dims
def test_actnorms_log_determinant_and_inverse(dim: int) -> None:
    part, u = shaken(ActNorm(dim)), rows(dim)
    torch.testing.assert_close(part.log_scale.sum().expand(4), log_volume(part, u))
    torch.testing.assert_close(part.inverse(part(u)), u)


@dims
@scales
def test_a_block_and_five_of_them(dim: int, scale: str) -> None:
    block, u = shaken(Block(dim, 32, scale)), rows(dim)
    v, log_det = block(u)
    torch.testing.assert_close(log_det, log_volume(lambda u: block(u)[0], u))
    torch.testing.assert_close(block.inverse(v), u)
    by_hand = block.norm(block.coupling(u @ block.dense.weight().mT)[0])
    torch.testing.assert_close(v, by_hand)
    flow = shaken(RealNVP(5, dim, scale))
    (step,) = flow()
    w = step(u)
    expected = log_volume(lambda u: flow()[0](u), u)
    torch.testing.assert_close(step.log_abs_det_jacobian(u, w), expected)
    torch.testing.assert_close(step.log_abs_det_jacobian(u.clone(), w), expected)
    torch.testing.assert_close(step.inv(w.clone()), u, atol=1e-7, rtol=1e-7)


def test_the_papers_number_of_parameters() -> None:
    """17,336 for each block at D = 40, as METHODS counts a dense W of D² entries. P L U stores 2 D² + D numbers, of
    which D (D - 1) lie outside of their triangles or on fixed diagonals, D² act, and only those get a gradient."""
    flow = shaken(RealNVP(2, 40))
    assert count(flow.blocks[0]) == 17_336 + 40 * 40 + 40
    w = flow()[0](rows(40, 64))
    (w * torch.randn_like(w)).sum().backward()
    acting = [int((parameter.grad != 0).sum()) for parameter in flow.parameters()]
    assert sum(acting) == 2 * 17_336
    dense = flow.blocks[0].dense
    assert sum(int((parameter.grad != 0).sum()) for parameter in dense.parameters()) == 40 * 40
    assert count(RealNVP(20, 40)) - 20 * (40 * 40 + 40) == 346_720


@scales
@pytest.mark.parametrize("dim", [2, 9])
@pytest.mark.parametrize("size", [1.0, 1000.0])
def test_samples_stay_finite_however_wild_the_weights(scale: str, dim: int, size: float) -> None:
    prior = RealNVPPrior(dim, shaken(RealNVP(50, dim, scale), size)).float().eval()
    with torch.no_grad():
        z = prior().sample((20,))
    assert z.dtype == torch.float32
    assert z.isfinite().all()
    assert z.abs().max() <= FARTHEST


def test_weights_that_move_move_the_samples_too() -> None:
    prior, w = RealNVPPrior(3, RealNVP(2, 3)).eval(), torch.randn(5, 3)
    with torch.no_grad():
        before = prior.flow()[0].inv(w)
        for parameter in prior.parameters():
            parameter += 0.1
        (step,) = prior.flow()
        after = step.inv(w)
        torch.testing.assert_close(step(after.clone()), w, atol=1e-4, rtol=1e-4)
    assert (after - before).abs().max() > 0.01


# ---- densities on the plane


def quadrature(p: Distribution, z: Tensor, size: int = 241) -> tuple[Tensor, Tensor]:
    """Nodes [S², 2] that reach beyond p's samples z [N, 2], and p's mass in their cells [S²]."""
    with torch.no_grad():
        low, high = z.amin(0), z.amax(0)
        axes = [torch.linspace(float(a - (b - a) / 4), float(b + (b - a) / 4), size) for a, b in zip(low, high)]  # noqa: B905
        nodes = torch.cartesian_prod(*axes).double()
        batch = (slice(None), None) if p.batch_shape else ()
        density = torch.cat([p.log_prob(part[batch]).exp().flatten() for part in nodes.split(4000)])
    return nodes, density * float(axes[0].diff()[0] * axes[1].diff()[0])


def agrees_with_its_samples(p: Distribution) -> None:
    """The density integrates to 1 and says where the samples lie."""
    z = p.sample((20_000,)).reshape(-1, 2)
    nodes, mass = quadrature(p, z)
    assert abs(float(mass.sum()) - 1) < 1e-3
    apart = ((mass[:, None] * nodes).sum(0) - z.mean(0)) / z.std(0)
    assert (apart.abs() < 5 / len(z) ** 0.5).all()
    middle = z.median(0).values
    for signs in ((1, 1), (1, -1), (-1, 1)):
        there, by_samples = ((torch.tensor(signs) * (at - middle) > 0).all(-1) for at in (nodes, z))
        assert abs(float(mass[there].sum()) - float(by_samples.double().mean())) < 3 / len(z) ** 0.5


@scales
def test_a_perturbed_real_nvp_prior_is_a_density_and_samples_from_it(scale: str) -> None:
    flow = RealNVP(5, 2, scale).train()
    flow()[0](torch.randn(1000, 2))  # the paper's couplings need ActNorm's first batch, else samples leave the plane
    prior = RealNVPPrior(2, shaken(flow, 0.2)).double().eval()
    agrees_with_its_samples(prior())
    # It is f that takes z to N(0, I), and not the other way round.
    z = rows(2)
    base = Normal(torch.zeros(2).double(), 1.0).log_prob(flow()[0](z)).sum(-1)
    torch.testing.assert_close(prior().log_prob(z), base + log_volume(lambda z: flow()[0](z), z))


@scales
def test_a_real_nvp_posterior_is_a_density_and_samples_from_it(scale: str) -> None:
    vae, x = shaken(built("rnvp-q", depth=5, scale=scale)), torch.rand(1, *SHAPE).double()
    with torch.no_grad():
        agrees_with_its_samples(vae.posterior(x))
        q = vae.posterior(x)
        z = q.sample((6,))
        kept, anew = q.log_prob(z), q.log_prob(z.clone())
        torch.testing.assert_close(kept, anew)
        w = q.base_dist.sample()
        (step,) = q.transforms
    volume = log_volume(lambda w: vae.encoder.flow(None)[0](w), w)
    torch.testing.assert_close(q.log_prob(step(w).clone()), q.base_dist.log_prob(w) - volume)


def test_without_blocks_the_prior_is_standard_normal_and_there_is_nothing_to_train_after() -> None:
    z = torch.randn(7, 3)
    made = vaecore.build("rnvp-p", SHAPE, 3, depth=0)
    torch.testing.assert_close(made.prior().log_prob(z), Normal(0.0, 1.0).log_prob(z).sum(-1))
    for training in ("post-hoc", "iterative"):
        with pytest.raises(ValueError, match="depth=0 leaves no prior to train"):
            RECIPES["rnvp-p"].stages(vaecore.build("rnvp-p", SHAPE, depth=0, training=training))
    with pytest.raises(ValueError, match="a coupling needs at least 2 dimensions"):
        vaecore.build("rnvp-p", SHAPE, 1)
    assert vaecore.recipes.label(made.config) == "joint RNVP p(z), K=0"


@pytest.mark.parametrize("name", ["rnvp-p", "rnvp-q", "rnvp-both", "vampprior"])
def test_the_bound_and_the_gap_below_it_make_up_the_evidence(name: str) -> None:
    vae, x = perturbed(name, "small", "bernoulli"), VALID.images[:3]
    posterior = exact.true_posterior(vae, x)
    with torch.no_grad():
        q, p = vae.posterior(x), vae.prior()
        z = q.rsample((4000,))
        bounds = vae.log_likelihood(x, z) + p.log_prob(z) - q.log_prob(z)
    kl, error = posterior.divergence(q)
    slack = 5 * bounds.std(0) / 4000**0.5 + error + posterior.error
    assert ((bounds.mean(0) + kl - posterior.log_evidence).abs() < slack).all()
    _, values, area = brute_force(vae, x[:1], reach=8.0, size=301)
    assert abs(float(values.logsumexp(0)) + math.log(area) - float(posterior.log_evidence[0])) < 0.02


# ---- ActNorm's first batch


def test_the_first_training_batch_sets_actnorm_once(tmp_path: Path) -> None:
    part, first = ActNorm(3), torch.tensor([4.0, -2.0, 0.5]) + torch.tensor([0.1, 3.0, 1.0]) * torch.randn(2, 50, 3)
    assert torch.equal(part.eval()(first), first)
    assert float(part.begun) == 0
    out = part.train()(first).reshape(-1, 3)
    torch.testing.assert_close(out.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)
    kept = snapshot(part)
    part(first + 5)
    assert equal(part, kept)
    other = ActNorm(3)
    other.load_state_dict(kept)
    other.train()(first + 5)
    assert equal(other, kept)
    # Weights of before the first batch make it a fresh one again.
    part.load_state_dict(ActNorm(3).state_dict())
    part(first)
    assert equal(part, kept)


def test_a_batch_of_one_and_a_constant_dimension_leave_finite_scales() -> None:
    flow = RealNVP(20, 2).train()
    assert flow()[0](torch.randn(1, 1, 2)).isfinite().all()
    assert not any(block.norm.log_scale.any() for block in flow.blocks)
    part = ActNorm(2).train()
    assert part(torch.ones(5, 2)).abs().sum() == 0


def test_a_fresh_flow_sends_its_first_batch_to_mean_0_and_variance_1() -> None:
    flow, z = RealNVP(20, 4, "paper").train(), 3 * torch.randn(1, 500, 4) + 1
    w = flow()[0](z)[0]
    torch.testing.assert_close(w.mean(0), torch.zeros(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(w.var(0, correction=0), torch.ones(4), atol=1e-2, rtol=0)


def test_a_trained_flow_is_saved_whole(tmp_path: Path) -> None:
    vae = built("rnvp-both", depth=2)
    vaecore.fit(vae, "rnvp-both", VALID, epochs=1, device="cpu", folder=tmp_path / "a")
    again = vaecore.load(tmp_path / "a")
    norms = [block.norm for flow in (again.prior.flow, again.encoder.flow) for block in flow.blocks]
    assert [float(norm.begun) for norm in norms] == [1.0] * 4
    assert equal(vae, again)
    x, z = VALID.images[:4], torch.randn(4, 2)
    with torch.no_grad():
        torch.testing.assert_close(again.prior().log_prob(z), vae.prior().log_prob(z))
        kept = snapshot(again)
        again.train().bound(x)
    assert equal(again, kept)


# ---- schedules


class Moves:
    """Which parts moved in each epoch, and whether the prior's ActNorm had seen its first batch at the end of it."""

    def __init__(self, vae: vaecore.VAE) -> None:
        self.vae, self.parts, self.begun = vae, [], []
        self.before = self.now()

    def now(self) -> dict[str, dict[str, Tensor]]:
        return {name: snapshot(getattr(self.vae, name)) for name in ("prior", "encoder", "decoder")}

    def __call__(self, event: dict) -> None:
        if event["event"] == "epoch":
            now = self.now()
            moved = {name for name in now if not equal(now[name], self.before[name])}
            self.parts.append("".join(sorted(name[0] for name in moved)))
            self.begun.append(float(self.vae.prior.flow.blocks[0].norm.begun))
            self.before = now


def moves(vae: vaecore.VAE, epochs: int, start: vaecore.VAE | None = None) -> tuple[Moves, list[float]]:
    watch = Moves(vae)
    name = vae.config["recipe"]
    history = vaecore.fit(vae, name, VALID, epochs=epochs, device="cpu", start=start, on_event=watch)
    return watch, [event["learning_rate"] for event in history]


def test_post_hoc_training_moves_the_prior_after_the_rest() -> None:
    watch, rates = moves(built("rnvp-p", depth=2, training="post-hoc"), 28)
    assert watch.parts == ["de"] * 12 + ["p"] * 16
    assert watch.begun == [0.0] * 12 + [1.0] * 16
    assert rates == pytest.approx([1e-3] * 7 + [4e-4] * 3 + [1e-4] * 2 + [1e-3] * 8 + [1e-4] * 8)


def test_iterative_training_alternates() -> None:
    watch, rates = moves(built("rnvp-p", depth=2, training="iterative", rounds=3), 21)
    assert watch.parts == ["de"] * 9 + ["p"] * 4 + ["de"] * 2 + ["p"] * 2 + ["de"] * 2 + ["p"] * 2
    assert watch.begun == [0.0] * 9 + [1.0] * 12
    assert rates[9:] == pytest.approx([1e-3] * 2 + [1e-4] * 10)


def test_joint_training_moves_everything_in_every_epoch() -> None:
    watch, _ = moves(built("rnvp-p", depth=2), 2)
    assert watch.parts == ["dep"] * 2


def test_what_begins_with_a_trained_vae_has_its_first_stage_behind_it(plain: vaecore.VAE) -> None:
    watch, rates = moves(built("rnvp-p", depth=2, training="iterative", rounds=3), 6, plain)
    assert watch.parts[1:] == ["p", "de", "p", "de", "p"]
    assert rates == pytest.approx([1e-3] + [1e-4] * 5)
    watch, rates = moves(built("rnvp-p", depth=2, training="post-hoc"), 4, plain)
    assert watch.parts[1:] == ["p"] * 3
    assert rates == pytest.approx([1e-3] * 2 + [1e-4] * 2)


def test_a_posterior_flow_that_the_trained_vae_lacks_is_trained_before_the_prior(plain: vaecore.VAE) -> None:
    watch, _ = moves(built("rnvp-both", depth=2, training="post-hoc"), 7, plain)
    assert watch.parts[1:] == ["de"] * 2 + ["p"] * 4
    with_flow = built("rnvp-q", depth=2)
    vaecore.fit(with_flow, "rnvp-q", VALID, epochs=1, device="cpu")
    made = built("rnvp-both", depth=2, training="post-hoc")
    watch, _ = moves(made, 2, with_flow)
    assert watch.parts[1:] == ["p"]
    assert equal(made.encoder, with_flow.encoder)


def test_the_schedules_have_the_papers_proportions() -> None:
    def stages(**options: str | float) -> tuple[Stage, ...]:
        return RECIPES["rnvp-p"].stages(built("rnvp-p", depth=1, **options))

    post_hoc = stages(training="post-hoc")
    assert [stage.unless_begun for stage in post_hoc] == [True] * 3 + [False] * 2
    assert sum(stage.share for stage in post_hoc[:3]) == pytest.approx(2400)
    assert [(stage.share, stage.learning_rate) for stage in post_hoc[3:]] == [(1600, 1e-3), (1600, 1e-4)]
    iterative = stages(training="iterative")  # I = 16, M = 100
    later = iterative[3:]
    assert len(later) == 2 + 2 * 15
    assert [stage.share for stage in later] == [100] * 32
    assert [stage.learning_rate for stage in later] == [1e-3] + [1e-4] * 31
    owners = [stage.phases for stage in later]
    assert owners[0] == owners[1] == owners[3] != owners[2]
    assert owners[2:] == [owners[2], owners[0]] * 15
    assert sum(stage.share for stage in iterative[:3]) == pytest.approx(2400)
    assert [stage.share for stage in stages(training="iterative", rounds=4)[3:]] == [400] * 8  # as for StaticMNIST
    assert [(stage.share, stage.learning_rate) for stage in stages()] == list(PRIOR_RATES["short"])


def test_post_hoc_training_leaves_the_vae_as_it_is_and_raises_its_bound(plain: vaecore.VAE) -> None:
    made = built("rnvp-p", depth=3, training="post-hoc")
    train = vaecore.load_dataset("digits", "train")
    vaecore.fit(made, "rnvp-p", train, VALID, epochs=10, device="cpu", start=plain)
    assert equal(made.encoder, plain.encoder)
    assert equal(made.decoder, plain.decoder)
    x = VALID.images
    with torch.no_grad():
        q = plain.posterior(x)
        z = q.sample((100,))
        gain = (made.prior().log_prob(z) - plain.prior().log_prob(z)).mean((1,))
        # What is gained is the divergence of the aggregated posterior from N(0, I), as far as the flow learns it.
        aggregate = q.log_prob(z[:20, :, None]).logsumexp(-1) - math.log(len(x))
        most = (aggregate - plain.prior().log_prob(z[:20])).mean()
    assert gain.mean() > 5 * gain.std() / len(gain) ** 0.5
    assert 0.05 < gain.mean() < most + 0.05


def test_the_flows_runs_resume_bit_for_bit(tmp_path: Path) -> None:
    """Cut within the plain stage, before ActNorm's first batch, and after it."""
    settings = {"epochs": 7, "device": "cpu"}

    def run(folder: str, on_event: Callable[[dict], None] | None = None) -> vaecore.VAE:
        vae = built("rnvp-p", depth=2, training="post-hoc")
        vaecore.fit(vae, "rnvp-p", VALID, VALID, folder=tmp_path / folder, on_event=on_event, **settings)
        return vae

    torch.manual_seed(3)
    whole = run("whole")
    torch.manual_seed(3)
    for epoch in (2, 5):

        def stop(event: dict, epoch: int = epoch) -> None:
            if event["event"] == "step" and event["epoch"] == epoch:
                raise InterruptedError

        with pytest.raises(InterruptedError):
            run("cut", stop)
    assert equal(run("cut"), whole)
    assert equal(*(vaecore.load(tmp_path / name, which="last") for name in ("cut", "whole")))


# ---- objectives


def test_the_weight_of_the_divergence_rises_from_a_hundredth_to_one() -> None:
    vae, x = perturbed("vae", "small", "bernoulli"), VALID.images[:16]

    def value(epoch: int, warm_up: int) -> Tensor:
        torch.manual_seed(2)
        return warm_elbo(vae, Batch(x, epoch=epoch), warm_up=warm_up)

    with torch.no_grad():
        torch.manual_seed(2)
        reconstruction, kl = (part.mean() for part in vae.bound(x))
        for epoch, beta in ((0, 0.01), (1, 0.0199), (50, 0.505), (99, 0.9901), (100, 1.0), (2000, 1.0)):
            torch.testing.assert_close(value(epoch, 100), reconstruction - beta * kl)
        torch.testing.assert_close(value(0, 0), reconstruction - kl)


def test_the_warm_up_does_not_begin_anew_where_a_trained_vae_goes_on(plain: vaecore.VAE) -> None:
    def first_objective(warm_up: int, start: vaecore.VAE | None) -> float:
        torch.manual_seed(0)
        vae, told = built("rnvp-p", depth=0, warm_up=warm_up), []
        watch = {"on_event": lambda event: told.append(event.get("objective"))}
        vaecore.fit(vae, "rnvp-p", VALID.images[:64], epochs=1, device="cpu", start=start, **watch)
        return float(told[0])

    assert first_objective(1000, plain) == first_objective(0, plain)
    assert first_objective(1000, None) > first_objective(0, None)


@pytest.mark.parametrize("strategy", ["post-hoc", "iterative"])
def test_a_stage_under_the_standard_normal_is_validated_under_it_and_not_chosen_from(strategy: str) -> None:
    vae = built("rnvp-p", depth=2, training=strategy, rounds=2)
    standard, exact_kl = Independent(Normal(torch.zeros(2), torch.ones(2)), 1), []

    @torch.no_grad()
    def look(event: dict) -> None:
        if event["event"] == "measured":
            exact_kl.append(float(vae.bound(VALID.images, p=standard)[1].mean()))

    plan = planned(vaecore.RECIPES["rnvp-p"].stages(vae), 10)
    first = sum(stage.prior is not None for stage in plan)
    assert 0 < first < 10
    history = vaecore.fit(vae, "rnvp-p", VALID.images[:128], VALID, epochs=10, device="cpu", on_event=look)
    under = [math.isclose(event["kl"], kl, rel_tol=1e-5) for event, kl in zip(history, exact_kl, strict=True)]
    assert under == [True] * first + [False] * (10 - first)
    assert all(math.isclose(e["valid_elbo"], e["reconstruction"] - e["kl"], rel_tol=1e-6) for e in history)
    best = [event["best_epoch"] for event in history]
    assert max(best[:first]) <= first < min(best[first:])


def test_another_prior_can_stand_in(plain: vaecore.VAE) -> None:
    made = built("rnvp-p", depth=2)
    begin(made, VALID.images, plain)
    torch.manual_seed(2)
    expected = plain.elbo(VALID.images).mean()
    torch.manual_seed(2)
    torch.testing.assert_close(warm_elbo(made.train(), Batch(VALID.images), prior=plain.prior()), expected)
    assert float(made.prior.flow.blocks[0].norm.begun) == 0


def test_the_regulariser_is_of_the_aggregated_posterior_and_lowers_the_objective() -> None:
    q = diagonal(torch.randn(6, 6))
    z = q.sample((200_000,)).flatten(0, 1)
    by_samples = (z.mean(0).square() + (z.var(0) - 1).square()).mean()
    torch.testing.assert_close(unit_moments(q), by_samples, atol=0.01, rtol=0.01)
    assert float(unit_moments(Independent(Normal(torch.zeros(9, 2), 1.0), 1))) == 0
    vae, x = perturbed("rnvp-p", "small", "bernoulli"), VALID.images[:16]

    def value(regulariser: float) -> Tensor:
        torch.manual_seed(2)
        return warm_elbo(vae, Batch(x), regulariser=regulariser)

    with torch.no_grad():
        off = unit_moments(vae.posterior(x))
        assert off > 0.01
        torch.testing.assert_close(value(3.0), value(0.0) - 3 * off)
    value(1.0).backward()
    uphill = vae.encoder.net[-1].bias.grad.clone()
    vae.zero_grad()
    value(0.0).backward()
    uphill -= vae.encoder.net[-1].bias.grad
    with torch.no_grad():  # what the regulariser adds to the gradient brings the moments nearer
        vae.encoder.net[-1].bias += 1e-2 * uphill
        assert unit_moments(vae.posterior(x)) < off


PLAIN = {"encoder.net.1", "encoder.net.3", "decoder.net.0", "decoder.net.2"}
HIDDEN = {
    "vae": PLAIN,
    "rnvp-p": PLAIN | {"prior.flow.blocks.0.coupling.hidden"},
    "rnvp-q": PLAIN | {"encoder.flow.blocks.0.coupling.hidden"},
}


@pytest.mark.parametrize("name", HIDDEN)
def test_l2_is_of_the_hidden_layers_weights_alone(name: str) -> None:
    vae, x = built(name, **({} if name == "vae" else {"depth": 1})), VALID.images[:16]
    expected = 0.5 * sum(vae.get_submodule(layer).weight.square().sum() for layer in HIDDEN[name])

    def value(l2: float) -> Tensor:
        torch.manual_seed(2)
        return warm_elbo(vae, Batch(x), l2=l2)

    with torch.no_grad():
        torch.testing.assert_close(value(3.0), value(0.0) - 3 * expected)


def test_l2_shrinks_weights_in_training() -> None:
    def weight(l2: float) -> float:
        torch.manual_seed(0)
        vae = built("rnvp-p", depth=1, l2=l2)
        vaecore.fit(vae, "rnvp-p", VALID, epochs=20, seed=0, device="cpu")
        return half_square(vae).item()

    assert weight(1.0) < 0.9 * weight(0.0)


def test_l2_reaches_the_prior_that_is_trained_alone() -> None:
    vae = built("rnvp-p", depth=1)
    hidden = vae.prior.flow.blocks[0].coupling.hidden.weight
    slopes = []
    for l2 in (0.0, 2.0):
        torch.manual_seed(2)
        slopes.append(torch.autograd.grad(prior_alone(vae, Batch(VALID.images[:16]), l2), hidden)[0])
    torch.testing.assert_close(slopes[0] - slopes[1], 2 * hidden.detach(), atol=1e-4, rtol=1e-4)


# ---- VampPrior


def vamp(count: int = 7) -> vaecore.VAE:
    vae = built("vampprior", pseudo_inputs=count)
    begin(vae, VALID.images, None)
    return vae


def test_the_vamp_prior_is_the_mean_of_the_pseudo_inputs_posteriors() -> None:
    vae, z = shaken(vamp(), 0.1), rows(2, 50)
    with torch.no_grad():
        each = torch.stack([vae.posterior(u[None].sigmoid()).log_prob(z) for u in vae.prior.logits])
        expected = (each.exp().sum(0) / 7).log()
        torch.testing.assert_close(vae.prior().log_prob(z), expected)
        agrees_with_its_samples(vae.prior())


def test_the_vamp_priors_encoder_is_the_vaes_and_is_registered_once(tmp_path: Path) -> None:
    vae = vamp()
    assert set(vae.prior.state_dict()) == {"logits"}
    assert [name for name in vae.state_dict() if name.startswith("prior.")] == ["prior.logits"]
    vaecore.save(vae, tmp_path / "a")
    for other in (copy.deepcopy(vae), pickle.loads(pickle.dumps(vae)), vaecore.load(tmp_path / "a"), vae.double()):
        assert other.prior._encoder[0] is other.encoder
    duplicate = copy.deepcopy(vae)
    z = rows(2)
    before = vae.prior().log_prob(z)
    with torch.no_grad():
        duplicate.encoder.net[-1].bias += 1
    assert torch.equal(vae.prior().log_prob(z), before)
    assert not torch.equal(duplicate.prior().log_prob(z), before)


def test_the_vamp_priors_gradients_reach_pseudo_inputs_and_encoder() -> None:
    vae = vamp()
    vae.prior().log_prob(torch.randn(5, 2)).sum().backward()
    assert vae.prior.logits.grad.flatten(1).abs().sum(1).min() > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in vae.encoder.parameters())
    assert all(parameter.grad is None for parameter in vae.decoder.parameters())


def test_pseudo_inputs_begin_as_training_images_each_once() -> None:
    vae = vamp(50)
    shown = vae.prior.logits.detach().sigmoid()
    distance = (shown[:, None] - VALID.images.clamp(0.05, 0.95)).abs().amax((2, 3, 4))
    nearest, which = distance.min(1)
    assert nearest.max() < 0.02
    assert len(set(which.tolist())) == 50
    # With more pseudo-inputs than images no two are equal: they would stay so.
    vae.prior.initialise(VALID.images[:20])
    assert len(vae.prior.logits.detach().flatten(1).unique(dim=0)) == 50


def test_pseudo_inputs_are_the_seeds_and_leave_the_callers_generator_alone() -> None:
    fresh = built("vampprior", pseudo_inputs=5)
    runs = []
    for seed in (1, 1, 2):
        vae = copy.deepcopy(fresh)
        vae.prior = VampPrior(vae.encoder, SHAPE, 5)
        torch.manual_seed(len(runs))
        expected = torch.rand(1)
        torch.manual_seed(len(runs))
        vaecore.fit(vae, "vampprior", VALID, epochs=1, seed=seed, device="cpu")
        assert torch.equal(torch.rand(1), expected)
        runs.append(vae)
    assert equal(runs[0], runs[1])
    assert (runs[0].prior.logits - runs[2].prior.logits).abs().max() > 0.1


# ---- dynamically binarised images


def seen(data: vaecore.Dataset, epochs: int) -> list[Tensor]:
    """The training images of each epoch, [N, C, H, W], as the objective gets them."""
    batches: list[Tensor] = []

    def watched(vae: vaecore.VAE, batch: Batch) -> Tensor:
        batches.append(batch.x)
        return vae.elbo(batch.x).mean()

    (phase,) = RECIPES["vae"].stages(built("vae"))[0].phases
    stage = Stage(1.0, 1e-4, (dataclasses.replace(phase, objective=watched),))
    recipe = dataclasses.replace(RECIPES["vae"], stages=lambda vae: (stage,))  # noqa: ARG005
    vaecore.fit(built("vae", likelihood="bernoulli"), recipe, data, epochs=epochs, batch_size=64, device="cpu")
    each = len(batches) // epochs
    return [torch.cat(batches[k * each : (k + 1) * each]) for k in range(epochs)]


def test_dynamic_images_are_drawn_anew_in_every_epoch() -> None:
    data = vaecore.load_dataset("dynamic_digits", "valid")
    epochs = seen(data, 20)
    for x in epochs:
        assert x.shape == data.images.shape
        assert ((x == 0) | (x == 1)).all()
    counts = torch.stack([x.sum(0) for x in epochs])  # the order of the images does not matter to them
    assert len(counts.flatten(1).unique(dim=0)) == 20
    chance = data.grey
    error = (chance * (1 - chance)).sum(0).div(20).sqrt()
    assert ((counts.mean(0) - chance.sum(0)).abs() <= 5 * error).all()
    first, second = seen(VALID, 2)
    torch.testing.assert_close(first.sum(0), second.sum(0))


def test_a_dynamic_run_that_was_cut_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    data = vaecore.load_dataset("dynamic_digits", "valid")
    start = built("vampprior", pseudo_inputs=5, likelihood="bernoulli")

    def run(folder: str, on_event: Callable[[dict], None] | None = None) -> vaecore.VAE:
        vae = copy.deepcopy(start)
        vaecore.fit(vae, "vampprior", data, data, epochs=4, device="cpu", folder=tmp_path / folder, on_event=on_event)
        return vae

    def stop(event: dict) -> None:
        if event["event"] == "step" and event["epoch"] == 3:
            raise InterruptedError

    whole = run("whole")
    with pytest.raises(InterruptedError):
        run("cut", stop)
    assert equal(run("cut"), whole)


# ---- ResNets


@pytest.mark.parametrize("residual", [True, False])
def test_the_deep_networks_have_the_papers_feature_maps(residual: bool) -> None:
    shape = (1, 28, 28)
    encoder, decoder = resnets.deep_encoder(shape, 80, residual), resnets.deep_decoder(40, shape, residual)
    kinds = resnets.Residual if residual else nn.Sequential

    def maps(net: nn.Sequential, given: Tensor) -> list[tuple[int, ...]]:
        found = []
        for layer in net:
            given = layer(given)
            if isinstance(layer, kinds):
                found.append(tuple(given.shape[1:]))
        return [*found, tuple(given.shape[1:])]

    down = [(32, 28, 28), (32, 28, 28), (64, 14, 14), (64, 14, 14), (64, 7, 7), (16, 7, 7)]
    up = [(64, 7, 7), (64, 14, 14), (64, 14, 14), (32, 28, 28), (32, 28, 28)]
    assert maps(encoder, torch.rand(2, *shape)) == [*down, (80,)]
    assert maps(decoder, torch.randn(2, 40)) == [*up, shape]
    assert decoder[0].out_features == 784


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 9, 17), (2, 30, 45), (1, 5, 6)])
@pytest.mark.parametrize("net", ["resnet", "deep-conv", "leaky-dense"])
def test_the_deep_networks_arrive_at_any_size(net: str, shape: tuple[int, int, int]) -> None:
    vae, x = vaecore.build("rnvp-p", shape, net=net, depth=1), torch.rand(2, *shape)
    assert vae.likelihood(vae.posterior(x).mean).event_shape == shape


def test_a_residual_layer_is_its_shortcut_plus_two_convolutions_of_what_is_activated() -> None:
    act = nn.LeakyReLU(resnets.SLOPE)
    for stride, odd, after in ((1, None, 8), (2, None, 6), (2, (1, 0), 6)):
        layer, h = resnets.layer(8, after, stride, True, odd), torch.randn(2, 8, 6, 5)
        first, second = layer.body[1], layer.body[3]
        expected = layer.shortcut(h) + second(act(first(act(h))))
        torch.testing.assert_close(layer(h), expected)
        assert isinstance(layer.shortcut, nn.Identity) == (stride == 1)
        if stride == 2:
            assert layer.shortcut.kernel_size == (1, 1)


def test_the_paper_s_dense_network_is_500_500_with_leaky_relu() -> None:
    for net in (nets.build_encoder("leaky-dense", (1, 28, 28), 80), nets.build_decoder("leaky-dense", 40, (1, 28, 28))):
        widths = [layer.out_features for layer in net if isinstance(layer, nn.Linear)]
        slopes = [layer.negative_slope for layer in net if isinstance(layer, nn.LeakyReLU)]
        assert (widths[:2], slopes) == ([500, 500], [resnets.SLOPE] * 2)
