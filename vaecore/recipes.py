"""One row for every system: its parts, what is maximised, in which stages; and how to build it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution

from vaecore import mae, objectives
from vaecore.decoders import BernoulliDecoder, GaussianDecoder
from vaecore.encoders import (
    FlowEncoder,
    Gate,
    GaussianEncoder,
    ImpactGate,
    JointMixtureEncoder,
    RecursiveMixtureEncoder,
)
from vaecore.flows import AutoregressiveFlow, HouseholderFlow
from vaecore.mutual import FORMS
from vaecore.nets import NETS, PRIOR_NETS, Shape, build_decoder, build_encoder, default_net, shallow
from vaecore.objectives import Apart, Batch
from vaecore.options import Choice, Number
from vaecore.pixelcnn import PixelCNN, PixelDecoder
from vaecore.priors import RealNVPPrior, StandardNormal, VampPrior
from vaecore.processes import GaussianProcessEncoder
from vaecore.protocols import BY_KIM, BY_MA, BY_TOMCZAK, BY_XU, Paper, Plateau
from vaecore.realnvp import SCALES, RealNVP
from vaecore.refine import GradientSteps, LaplaceSteps
from vaecore.vae import VAE


@dataclass(frozen=True)
class Phase:
    """One part of a training step: which objective is maximised, over which parameters.

    `clip` is the largest norm that their gradient may have, all taken together.
    """

    objective: Callable[[VAE, Batch], Tensor]
    parameters: Callable[[VAE], list[nn.Parameter]] = lambda vae: list(vae.parameters())
    clip: float | None = None


@dataclass(frozen=True)
class Stage:
    """A stretch of epochs: its share of the budget, its learning rate, and the phases of its steps.

    `plateau` halves the rate where the validation ELBO rests. One `unless_begun` is left out where the training begins
    with a trained VAE of the same encoder and decoder, which has it behind it. `prior` stands in for the VAE's own in
    what is maximised, and so in the validation.
    """

    share: float
    learning_rate: float
    phases: tuple[Phase, ...]
    unless_begun: bool = False
    prior: Distribution | None = None
    plateau: Plateau | None = None

    @property
    def decay(self) -> float:
        """What each step multiplies the learning rate by."""
        return 1.0 if self.plateau is None else self.plateau.decay


@dataclass(frozen=True)
class Recipe:
    """A system of the papers: `make(data_shape, latent_dim, **options)` gives its parts, put together.

    `label` is the name that its paper gives it, with its sizes in braces: "RME({components})".
    """

    name: str
    label: str
    paper: str
    summary: str
    make: Callable[..., VAE]
    options: tuple[Choice | Number, ...]
    stages: Callable[[VAE], tuple[Stage, ...]]
    protocol: Paper
    begins: bool = False  # whether the paper begins it with a trained VAE
    averaging: float | None = None  # the rate at which averaged weights follow, where those are what is kept
    least_batch: int = 1  # images without which a step has no objective


NET = Choice(
    "net",
    NETS,
    "the networks: dense 500-500, the papers' convolutions, small (dense 128-128, for 8 x 8), or the papers' "
    "convolutional encoder with a dense decoder of equal size",
)
ANY_NET = Choice(
    "net", (*NETS, *PRIOR_NETS), NET.help + f"; {', '.join(PRIOR_NETS)} are those of the learned prior's paper"
)
DENSE_NET = Choice("net", ("dense", "small", "conv-dense"), "the networks, with a dense ReLU decoder")
LIKELIHOOD = Choice(
    "likelihood", ("gaussian", "bernoulli"), "what the decoder says of a pixel given z", default="gaussian"
)
DECODERS = {"gaussian": GaussianDecoder, "bernoulli": BernoulliDecoder}
PROTOCOL = Choice(
    "protocol",
    ("short", "paper"),
    "the rates: for budgets far under the paper's, or the paper's own as shares of the epochs (docs/protocols.md)",
    "short",
)
LEARNED_PROTOCOL = replace(
    PROTOCOL,
    choices=(*PROTOCOL.choices, "paper-static"),
    help=PROTOCOL.help + "; the paper's with L2 1e-4 and its warm-up; paper-static: as the paper does for static_mnist",
)
STEPS = Number("steps", 4, 1, 64, "how many steps the posterior takes; the papers use 1, 2, 4 and 8")
STEP_SIZE = Number("step_size", 1e-3, 1e-9, 1e3, "the first size of a step in mean and log variance")
COMPONENTS = Number("components", 5, 2, 32, "of the mixture, the first one included")
KL_BOUND = Number("kl_bound", 500.0, 0.0, 1e9, "C in nats: beyond it, components are not driven further apart")
LOG_SCALE = Choice(
    "log_scale", ("exact", "sampled"), "E log h² of equation 16: exact, or by one sample as in the paper", "exact"
)
DEPTH = Number("depth", 20, 0, 100, "K, the blocks of a Real NVP; the paper uses 1 to 50, and 20 most")
SCALE = Choice(
    "scale", SCALES, "how a coupling scales: the authors' libraries' way, or as the paper prints it", SCALES[0]
)
TRAINING = Choice(
    "training",
    ("joint", "post-hoc", "iterative"),
    "the learned prior together with the rest, after it, or by turns (algorithm B.1)",
    "joint",
)
ROUNDS = Number("rounds", 16, 2, 64, "I of iterative training: how often the prior has its turn")
REGULARISER = Number(
    "regulariser", 0.0, 0.0, 1e6, "weight of Reg[q(z)], which asks for mean 0 and variance 1; the paper 1"
)
WARM_UP = Number(
    "warm_up", 0, 0, 10_000, "epochs over which the KL's weight rises from 0.01 to 1; the paper 100 of 2400"
)
L2 = Number("l2", 0.0, 0.0, 1e3, "weight of half the sum of squares of the hidden layers' weights; the paper 1e-4")
PRIOR = Choice("prior", ("standard", "rnvp"), "the standard normal, or a Real NVP trained with the rest", "standard")
POSTERIOR = Choice("posterior", ("gaussian", "rnvp"), "a Gaussian, or one sent through a Real NVP", "gaussian")
FEATURES = 32  # of z, for each pixel of a PixelVAE's decoder
PSEUDO_INPUTS = Number("pseudo_inputs", 500, 1, 5000, "C, the images whose posteriors the prior mixes; the paper 500")
ETA = Number("eta", 1.0, 0.0, 1e6, "weight of the diversity of posteriors; the paper 0.5, 1 or 2")
GAMMA = Number("gamma", 0.5, 0.0, 1e6, "weight of the smoothness of their distribution; the paper 0.1, 0.5 or 1")
DIVERSITY = Choice(
    "diversity", FORMS, "its form: the released code's, the paper's (equation 8), or the code's at submission", FORMS[0]
)
FREE_BITS = Number(
    "free_bits", 0.0, 0.0, 1e6, "the KL in nats that costs no less; the paper 7.84 (0.01 for each pixel)"
)


def vae(data_shape: Shape, latent_dim: int, net: str, likelihood: str) -> VAE:
    return decoded(GaussianEncoder(gaussian_net(net, data_shape, latent_dim)), data_shape, latent_dim, net, likelihood)


def gaussian_net(net: str, data_shape: Shape, latent_dim: int) -> nn.Sequential:
    return build_encoder(net, data_shape, features=2 * latent_dim)


def decoded(
    encoder: nn.Module,
    data_shape: Shape,
    latent_dim: int,
    net: str,
    likelihood: str,
    prior: nn.Module | None = None,
) -> VAE:
    """The encoder with a decoder of its kind and the prior, the standard normal by default."""
    decoder = DECODERS[likelihood](build_decoder(net, latent_dim, data_shape))
    return VAE(StandardNormal(latent_dim) if prior is None else prior, encoder, decoder)


def sa(*parts: Any, steps: int, step_size: float, **names: str) -> VAE:  # noqa: ANN401
    made = vae(*parts, **names)
    made.refine = GradientSteps(steps, step_size)
    return made


def laplace_vae(*parts: Any, steps: int, **names: str) -> VAE:  # noqa: ANN401
    made = vae(*parts, **names)
    made.refine = LaplaceSteps(steps)
    return made


def iaf(data_shape: Shape, latent_dim: int, net: str, likelihood: str, steps: int) -> VAE:
    base = gaussian_net(net, data_shape, latent_dim)
    flow = AutoregressiveFlow(steps, latent_dim, base[-1].in_features, width=128 if net == "small" else 500)
    return decoded(FlowEncoder(base, flow), data_shape, latent_dim, net, likelihood)


def hf(data_shape: Shape, latent_dim: int, net: str, likelihood: str, steps: int) -> VAE:
    base = gaussian_net(net, data_shape, latent_dim)
    flow = HouseholderFlow(steps, latent_dim, base[-1].in_features)
    return decoded(FlowEncoder(base, flow), data_shape, latent_dim, net, likelihood)


def me(data_shape: Shape, latent_dim: int, net: str, likelihood: str, components: int) -> VAE:
    nets = [gaussian_net(net, data_shape, latent_dim) for _ in range(components)]
    encoder = JointMixtureEncoder(nets, Gate(shallow(data_shape, components)))
    return decoded(encoder, data_shape, latent_dim, net, likelihood)


def rme(data_shape: Shape, latent_dim: int, net: str, likelihood: str, components: int, **_: float) -> VAE:
    nets = [gaussian_net(net, data_shape, latent_dim) for _ in range(components)]
    gate = ImpactGate([shallow(data_shape, 1) for _ in range(components - 1)])
    return decoded(RecursiveMixtureEncoder(nets, gate), data_shape, latent_dim, net, likelihood)


def gpvae(data_shape: Shape, latent_dim: int, net: str, likelihood: str, **_: str) -> VAE:
    encoder = GaussianProcessEncoder(*(gaussian_net(net, data_shape, latent_dim) for _ in range(3)), latent_dim)
    return decoded(encoder, data_shape, latent_dim, net, likelihood)


def real_nvp(flows: str, *parts: Any, depth: int, scale: str, **names: Any) -> VAE:  # noqa: ANN401
    """A VAE whose `flows`, "p", "q" or "pq", is a Real NVP: its prior, its posterior, or both."""
    data_shape, latent_dim = parts
    net, likelihood = names["net"], names["likelihood"]
    base = gaussian_net(net, data_shape, latent_dim)
    flow = {which: RealNVP(depth, latent_dim, scale) for which in flows}
    encoder = FlowEncoder(base, flow["q"]) if "q" in flow else GaussianEncoder(base)
    prior = RealNVPPrior(latent_dim, flow["p"]) if "p" in flow else None
    return decoded(encoder, data_shape, latent_dim, net, likelihood, prior)


def pixel_vae(data_shape: Shape, latent_dim: int, net: str, prior: str, posterior: str, **flow: Any) -> VAE:  # noqa: ANN401
    flows = ("q" if posterior == "rnvp" else "") + ("p" if prior == "rnvp" else "")
    made = real_nvp(flows, data_shape, latent_dim, net=net, likelihood="bernoulli", **flow)
    features = build_decoder(net, latent_dim, (FEATURES, *data_shape[1:]))
    made.decoder = PixelDecoder(features, PixelCNN(data_shape[0], FEATURES))
    return made


def vamp_prior(data_shape: Shape, latent_dim: int, net: str, likelihood: str, pseudo_inputs: int, **_: float) -> VAE:
    encoder = GaussianEncoder(gaussian_net(net, data_shape, latent_dim))
    prior = VampPrior(encoder, data_shape, pseudo_inputs)
    return decoded(encoder, data_shape, latent_dim, net, likelihood, prior)


ELBO = Phase(objectives.elbo)
Rates = tuple[tuple[float, float], ...]  # shares of the epochs, and the learning rate of each
# Adam at the papers' 5e-4; the last stretch at smaller steps stands in for their 2000 epochs.
RATES: Mapping[str, Rates] = {"short": ((0.6, 5e-4), (0.25, 2e-4), (0.15, 5e-5)), "paper": ((1.0, 5e-4),)}
# Of 2400 epochs. At the paper's rates a short budget would not arrive.
PRIOR_RATES: Mapping[str, Rates] = {
    "short": tuple((share, 2 * rate) for share, rate in RATES["short"]),
    "paper": ((1 / 3, 1e-3), (1 / 3, 1e-4), (1 / 3, 1e-5)),
    "paper-static": ((2 / 3, 1e-4), (1 / 3, 1e-5)),
}
PAPERS_L2, PAPERS_WARM_UP = 1e-4, 100 / 2400  # of the learned prior's


def schedule(vae: VAE, *phases: Phase, rates: Mapping[str, Rates] = RATES) -> tuple[Stage, ...]:
    return tuple(Stage(share, rate, phases) for share, rate in rates[setting(vae, PROTOCOL)])


def end_to_end(vae: VAE) -> tuple[Stage, ...]:
    """The ELBO; with the nets of the learned prior's paper as that paper trains its VAE."""
    if setting(vae, ANY_NET) in PRIOR_NETS and not is_short(vae):
        return learned_prior(vae)
    return schedule(vae, ELBO)


def through_steps(vae: VAE) -> tuple[Stage, ...]:
    """Unrolled steps at a narrow posterior now and then multiply a gradient by hundreds: clipped as in sa-vae."""
    return schedule(vae, Phase(objectives.elbo, clip=5.0))


def one_by_one(apart: Apart, vae: VAE) -> tuple[Stage, ...]:
    """For each batch: every component in turn, each followed by its impact, and last the decoder (RME's pseudocode)."""
    phases = [component_phase(0, apart)]
    for index in range(1, len(vae.encoder)):
        phases += [component_phase(index, apart), impact_phase(index)]
    mixture = partial(objectives.prefix, count=len(vae.encoder))
    return schedule(vae, *phases, Phase(mixture, lambda vae: list(vae.decoder.parameters())))


def component_phase(index: int, apart: Apart) -> Phase:
    objective = partial(objectives.component, index=index, apart=apart)
    return Phase(objective, lambda vae: list(vae.encoder.parts.nets[index].parameters()))


def impact_phase(index: int) -> Phase:
    objective = partial(objectives.prefix, count=index + 1)
    return Phase(objective, lambda vae: list(vae.encoder.gate.impacts.nets[index - 1].parameters()))


def bounded(vae: VAE) -> tuple[Stage, ...]:
    return one_by_one(partial(objectives.bounded_kl, most=setting(vae, KL_BOUND)), vae)


def process(vae: VAE) -> tuple[Stage, ...]:
    sampled = setting(vae, LOG_SCALE) == "sampled"
    return schedule(vae, Phase(partial(objectives.process_bound, sampled=sampled)))


def of_prior(vae: VAE) -> list[nn.Parameter]:
    return list(vae.prior.parameters())


def of_the_rest(vae: VAE) -> list[nn.Parameter]:
    return [*vae.encoder.parameters(), *vae.decoder.parameters()]


def learned_prior(vae: VAE) -> tuple[Stage, ...]:
    """Joint, post-hoc or iterative training (appendix B.3), by the paper's proportions: 2400 epochs of a VAE, and 3200
    of what follows it at the paper's rates."""
    l2, warm_up = setting(vae, L2), setting(vae, WARM_UP)
    if not is_short(vae):
        l2, warm_up = l2 or PAPERS_L2, warm_up or PAPERS_WARM_UP
    warm = partial(objectives.warm_elbo, warm_up=warm_up, l2=l2)
    whole = partial(warm, regulariser=setting(vae, REGULARISER))
    strategy = setting(vae, TRAINING)
    if strategy == "joint":
        return schedule(vae, Phase(whole), rates=PRIOR_RATES)
    if not of_prior(vae):
        raise ValueError(f"depth=0 leaves no prior to train: {strategy} training needs at least one block.")
    standard = StandardNormal(vae.prior.loc.numel()).to(vae.device)()
    plain = (Phase(partial(whole, prior=standard), of_the_rest),)
    rates = PRIOR_RATES[setting(vae, PROTOCOL)]
    begun = tuple(Stage(2400 * share, rate, plain, unless_begun=True, prior=standard) for share, rate in rates)
    prior = (Phase(partial(objectives.prior_alone, l2=l2), of_prior),)
    rest = (Phase(whole, of_the_rest),)
    if strategy == "post-hoc":
        return *begun, Stage(1600, 1e-3, prior), Stage(1600, 1e-4, prior)
    rounds = int(setting(vae, ROUNDS))
    turn = 1600 / rounds
    later = [Stage(turn, 1e-4, phases) for _ in range(rounds - 1) for phases in (rest, prior)]
    return *begun, Stage(turn, 1e-3, prior), Stage(turn, 1e-4, prior), *later


# Adam at 1e-3 as in MAE's paper, whose code halves it where the validation bound rests for 20 epochs, three times at
# most, each time with a fresh Adam, and shrinks it by 0.999998 at each step: three stages where the budget is short.
MUTUAL_RATES = {"short": ((0.6, 1e-3), (0.2, 5e-4), (0.2, 2.5e-4))}


def resting(vae: VAE, objective: Callable[[VAE, Batch], Tensor]) -> tuple[Stage, ...]:
    """As MAE's paper trains, gradients clipped: by three stages, or by its plateaus."""
    phase = Phase(objective, clip=5.0)
    if setting(vae, PROTOCOL) == "paper":
        return (Stage(1.0, 1e-3, (phase,), plateau=Plateau()),)
    return schedule(vae, phase, rates=MUTUAL_RATES)


def lossy(vae: VAE) -> tuple[Stage, ...]:
    return resting(vae, partial(objectives.mutual_bound, free_bits=setting(vae, FREE_BITS)))


def mutual(vae: VAE) -> tuple[Stage, ...]:
    weights = {"eta": setting(vae, ETA), "gamma": setting(vae, GAMMA), "form": setting(vae, DIVERSITY)}
    return resting(vae, partial(objectives.mutual_bound, free_bits=setting(vae, FREE_BITS), **weights))


def setting(vae: VAE, option: Choice | Number) -> str | float:
    """An option that `vae` was built with; the option's default for one put together by hand."""
    return (vae.config or {"options": {}})["options"].get(option.name, option.default)


def is_short(vae: VAE) -> bool:
    """Whether it is trained for a budget far under its paper's."""
    return setting(vae, PROTOCOL) == "short"


BOTH = (NET, LIKELIHOOD, PROTOCOL)
FLOW = (ANY_NET, LIKELIHOOD, LEARNED_PROTOCOL, DEPTH, SCALE, WARM_UP, L2)
LEARNED = (*FLOW, TRAINING, ROUNDS, REGULARISER)
LOSSY = (*mae.RESNETS, PROTOCOL, mae.MAPS, mae.BLOCKS, mae.UNITS)
KIM, XU, MA = "Kim & Pavlovic 2020", "Xu et al. 2019", "Ma et al. 2019"
POLYAK = 0.999  # of parameter averaging, in MAE's paper
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            Recipe(
                "vae",
                "VAE",
                "Kingma & Welling 2014",
                "standard normal prior, Gaussian encoder, one forward pass",
                vae,
                (ANY_NET, LIKELIHOOD, LEARNED_PROTOCOL),
                end_to_end,
                BY_KIM,
            ),
            Recipe(
                "sa",
                "SA({steps})",
                "Kim et al. 2018",
                "semi-amortized: the encoder's Gaussian climbs each image's own ELBO for some steps",
                sa,
                (*BOTH, STEPS, STEP_SIZE),
                through_steps,
                BY_KIM,
            ),
            Recipe(
                "laplace-vae",
                "Laplace VAE({steps})",
                "Park et al. 2019",
                "a Gaussian of full covariance at the mode that some linearised solves find",
                laplace_vae,
                (DENSE_NET, LIKELIHOOD, PROTOCOL, STEPS),
                end_to_end,
                BY_KIM,
            ),
            Recipe(
                "iaf",
                "IAF({steps})",
                "Kingma et al. 2016",
                "inverse autoregressive flow: the encoder's Gaussian, bent step by step",
                iaf,
                (*BOTH, STEPS),
                end_to_end,
                BY_KIM,
                begins=True,
            ),
            Recipe(
                "hf",
                "HF({steps})",
                "Tomczak & Welling 2016",
                "Householder flow: the encoder's Gaussian, reflected to a full covariance",
                hf,
                (*BOTH, STEPS),
                end_to_end,
                BY_KIM,
                begins=True,
            ),
            Recipe(
                "me",
                "ME({components})",
                KIM,
                "a mixture of encoders, trained end to end",
                me,
                (*BOTH, COMPONENTS),
                end_to_end,
                BY_KIM,
                begins=True,
            ),
            Recipe(
                "rme",
                "RME({components})",
                KIM,
                "a mixture of encoders, one added after another, each driven away from those before it by a bounded KL",
                rme,
                (*BOTH, COMPONENTS, KL_BOUND),
                bounded,
                BY_KIM,
                begins=True,
            ),
            Recipe(
                "bvi-er1",
                "BVI-ER1({components})",
                KIM,
                "RME with boosted VI's entropy reward in place of the bounded KL, estimated by samples",
                rme,
                (*BOTH, COMPONENTS),
                partial(one_by_one, objectives.sampled_entropy),
                BY_KIM,
                begins=True,
            ),
            Recipe(
                "bvi-er2",
                "BVI-ER2({components})",
                KIM,
                "RME with boosted VI's entropy reward in place of the bounded KL, by the Gaussian's log determinant",
                rme,
                (*BOTH, COMPONENTS),
                partial(one_by_one, objectives.gaussian_entropy),
                BY_KIM,
                begins=True,
            ),
            Recipe(
                "gpvae",
                "GPVAE",
                "Kim & Pavlovic 2021",
                "a Gaussian encoder whose mean and scale are random functions of the image, integrated out",
                gpvae,
                (*BOTH, LOG_SCALE),
                process,
                BY_KIM,
                begins=True,
            ),
            Recipe(
                "rnvp-q",
                "RNVP q(z|x), K={depth}",
                XU,
                "the encoder's Gaussian sent through a Real NVP that is the same for all images",
                partial(real_nvp, "q"),
                FLOW,
                learned_prior,
                BY_XU,
            ),
            Recipe(
                "rnvp-p",
                "{training} RNVP p(z), K={depth}",
                XU,
                "a Real NVP as prior, trained with the rest, after it, or by turns with it",
                partial(real_nvp, "p"),
                LEARNED,
                learned_prior,
                BY_XU,
            ),
            Recipe(
                "rnvp-both",
                "RNVP p(z) and q(z|x), K={depth}",
                XU,
                "a Real NVP as prior, and another one in the encoder",
                partial(real_nvp, "qp"),
                LEARNED,
                learned_prior,
                BY_XU,
            ),
            Recipe(
                "vampprior",
                "VampPrior({pseudo_inputs})",
                "Tomczak & Welling 2018",
                "the prior is a mixture of the encoder's answers to learned pseudo-inputs",
                vamp_prior,
                (NET, LIKELIHOOD, LEARNED_PROTOCOL, PSEUDO_INPUTS, WARM_UP, L2),
                learned_prior,
                BY_TOMCZAK,
            ),
            Recipe(
                "pixelvae",
                "PixelVAE",
                "Gulrajani et al. 2017",
                "a decoder that draws pixel after pixel, each from those before it and z",
                pixel_vae,
                (ANY_NET, LEARNED_PROTOCOL, PRIOR, POSTERIOR, DEPTH, SCALE, WARM_UP, L2),
                learned_prior,
                replace(BY_XU, batch_size=64),
            ),
            Recipe(
                "resnet-af",
                "ResNet VAE w. AF",
                MA,
                "a weight-normed ResNet VAE of binary images, with an autoregressive flow as prior",
                mae.resnet_af,
                (*mae.RESNETS, PROTOCOL),
                lossy,
                BY_MA,
                averaging=POLYAK,
            ),
            Recipe(
                "lossy-vae",
                "Lossy VAE, {free_bits:g} free bits",
                "Chen et al. 2017",
                "a decoder that draws pixel after pixel, and an autoregressive flow as prior",
                mae.lossy_vae,
                (*LOSSY, FREE_BITS),
                lossy,
                BY_MA,
                averaging=POLYAK,
            ),
            Recipe(
                "mae",
                "MAE({eta:g}, {gamma:g})",
                MA,
                "the Lossy VAE, its posteriors driven apart (diversity) and evenly so (smoothness)",
                mae.lossy_vae,
                (*LOSSY, ETA, GAMMA, DIVERSITY, FREE_BITS),
                mutual,
                BY_MA,
                averaging=POLYAK,
                least_batch=2,
            ),
        )
    }
)


def not_built(*parts: Any, **options: Any) -> VAE:  # noqa: ANN401, ARG001
    raise ValueError("An ONNX pair is not built: it is brought, as encoder.onnx and decoder.onnx.")


def not_trained(vae: VAE) -> tuple[Stage, ...]:  # noqa: ARG001
    raise ValueError("An ONNX pair gives values and no gradients: it cannot be trained.")


# pythae's kinds that are one VAE, trained by objectives of their own.
PYTHAE_KINDS = ("VAE", "BetaVAE", "DisentangledBetaVAE", "BetaTCVAE", "INFOVAE_MMD", "FactorVAE")
PYTHAE_KINDS += ("IWAE", "MIWAE", "CIWAE", "PIWAE")
PYTHAE_WIDTH = 512


def pythae(data_shape: Shape, latent_dim: int, kind: str, likelihood: str) -> VAE:  # noqa: ARG001
    """pythae's default networks; a Bernoulli decoder gives the logits of their sigmoid's means."""
    encoder = GaussianEncoder(shallow(data_shape, 2 * latent_dim, PYTHAE_WIDTH))
    squash = [nn.Sigmoid()] if likelihood == "gaussian" else []
    layers = [nn.Linear(latent_dim, PYTHAE_WIDTH), nn.ReLU(), nn.Linear(PYTHAE_WIDTH, prod(data_shape)), *squash]
    decoder = nn.Sequential(*layers, nn.Unflatten(-1, data_shape))
    return VAE(StandardNormal(latent_dim), encoder, DECODERS[likelihood](decoder))


OUTPUT = Choice("output", ("logits", "mean"), "what the decoder's graph gives for each pixel", "mean")
PIXEL_SCALE = Number("scale", 1.0, 1e-4, 1e4, "the standard deviation of a Gaussian pixel; not used for Bernoulli")
# What comes from elsewhere: the systems of checkpoints that were brought, and of no training.
BROUGHT: Mapping[str, Recipe] = MappingProxyType(
    {
        "onnx": Recipe(
            "onnx",
            "ONNX pair",
            "brought",
            "an encoder and a decoder as ONNX graphs, with a standard normal prior; values without gradients",
            not_built,
            (LIKELIHOOD, OUTPUT, PIXEL_SCALE),
            not_trained,
            BY_KIM,
        ),
        "pythae": Recipe(
            "pythae",
            "pythae {kind}",
            "brought",
            "a VAE that pythae trained, with its default networks of one hidden layer",
            pythae,
            (Choice("kind", PYTHAE_KINDS, "what pythae calls it", PYTHAE_KINDS[0]), LIKELIHOOD),
            end_to_end,
            BY_KIM,
        ),
    }
)
LARGEST_IMAGE, LARGEST_LATENT = (4, 256, 256), 1024


def find_recipe(name: str) -> Recipe:
    """The recipe of that name, one of what was brought too; ValueError, with the names there are, if there is none."""
    if isinstance(name, str) and name in BROUGHT:
        return BROUGHT[name]
    if not isinstance(name, str) or name not in RECIPES:
        raise ValueError(f"There is no recipe {name!r}; the recipes are {', '.join(RECIPES)}.")
    return RECIPES[name]


def build(recipe: str | Recipe, data_shape: Shape, latent_dim: int = 2, **options: str | float) -> VAE:
    """A fresh VAE of the recipe for images of shape (C, H, W), its weights drawn from torch's generator.

    Raises ValueError for an unknown recipe or option, and for sizes that cannot be.
    """
    return build_with(recipe, data_shape, latent_dim, options)


def build_with(recipe: str | Recipe, data_shape: Shape, latent_dim: int, options: Mapping[str, Any]) -> VAE:
    """`build`, for options that come from a file or a command line and may have any names."""
    recipe = find_recipe(recipe) if not isinstance(recipe, Recipe) else recipe
    data_shape = check_shape(data_shape)
    check_latent(latent_dim)
    options = resolve_options(recipe, data_shape, options)
    made = recipe.make(data_shape, latent_dim, **{k: v for k, v in options.items() if k != PROTOCOL.name})
    made.config = {
        "recipe": recipe.name,
        "data_shape": list(data_shape),
        "latent_dim": latent_dim,
        "options": options,
    }
    return made


def check_latent(latent_dim: int) -> None:
    if type(latent_dim) is not int or not 1 <= latent_dim <= LARGEST_LATENT:
        raise ValueError(f"latent_dim is {latent_dim!r}; it must be a whole number from 1 to {LARGEST_LATENT}.")


def check_shape(data_shape: Shape) -> Shape:
    shape = tuple(data_shape)
    fits = len(shape) == 3 and all(
        type(n) is int and 1 <= n <= most for n, most in zip(shape, LARGEST_IMAGE, strict=True)
    )
    if not fits:
        most = " x ".join(map(str, LARGEST_IMAGE))
        raise ValueError(f"data_shape is {data_shape!r}; it must be (channels, height, width), at most {most}.")
    return shape


def resolve_options(recipe: Recipe, data_shape: Shape, given: Mapping[str, Any]) -> dict[str, str | float]:
    known = {option.name: option for option in recipe.options}
    for name in given:
        if name not in known:
            raise ValueError(f"Recipe {recipe.name} has no option {name!r}; its options are {', '.join(known)}.")
    defaults = {name: option.default for name, option in known.items()}
    if "net" in known:
        defaults["net"] = default_net(data_shape, known["net"].choices)
    return {name: option.check(given.get(name, defaults[name])) for name, option in known.items()}


def complete_options(config: Mapping[str, Any]) -> dict[str, str | float]:
    """The options of a configuration, with the defaults of those that it does not name."""
    return resolve_options(find_recipe(config["recipe"]), config["data_shape"], config["options"])


def paper_of(config: Mapping[str, Any]) -> Paper:
    """Whose protocol a checkpoint answers to: with the nets of the learned prior's paper a VAE is that paper's too."""
    if config["recipe"] == "vae" and config["options"]["net"] in PRIOR_NETS:
        return BY_XU
    return find_recipe(config["recipe"]).protocol


def label(config: Mapping[str, Any]) -> str:
    """The name that the papers give the system of a checkpoint's configuration, such as RME(5)."""
    recipe = find_recipe(config["recipe"])
    defaults = {option.name: option.default for option in recipe.options}
    return recipe.label.format(**(defaults | dict(config["options"])))
