"""One row for every system: its parts, what is maximised, in which stages; and how to build it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from vaecore import objectives
from vaecore.decoders import BernoulliDecoder, GaussianDecoder
from vaecore.encoders import GaussianEncoder
from vaecore.nets import NETS, Shape, build_nets, default_net
from vaecore.priors import StandardNormal
from vaecore.vae import VAE


@dataclass(frozen=True)
class Option:
    """A choice that a recipe offers: its name, the values it may take, and what it means."""

    name: str
    choices: tuple[str, ...]
    help: str
    default: str | None = None  # None: chosen from the images' shape

    def check(self, value: Any) -> str:  # noqa: ANN401
        if value not in self.choices:
            raise ValueError(f"Option {self.name} is {value!r}; it must be one of {', '.join(self.choices)}.")
        return value


@dataclass(frozen=True)
class Phase:
    """One part of a training step: which objective is maximised, over which parameters."""

    objective: Callable[[VAE, Tensor], Tensor]
    parameters: Callable[[VAE], list[nn.Parameter]] = lambda vae: list(vae.parameters())


@dataclass(frozen=True)
class Stage:
    """A stretch of epochs: its share of the budget, its learning rate, and the phases of its steps."""

    share: float
    learning_rate: float
    phases: tuple[Phase, ...]


@dataclass(frozen=True)
class Recipe:
    """A system of the papers: `make(data_shape, latent_dim, **options)` gives its parts, put together."""

    name: str
    label: str
    paper: str
    summary: str
    make: Callable[..., VAE]
    options: tuple[Option, ...]
    stages: tuple[Stage, ...]


NET = Option("net", NETS, "the networks: dense 500-500, the papers' convolutions, or small (dense 128-128, for 8 x 8)")
LIKELIHOOD = Option(
    "likelihood", ("gaussian", "bernoulli"), "what the decoder says of a pixel given z", default="gaussian"
)
DECODERS = {"gaussian": GaussianDecoder, "bernoulli": BernoulliDecoder}


def vae(data_shape: Shape, latent_dim: int, net: str, likelihood: str) -> VAE:
    encoder_net, decoder_net = build_nets(net, data_shape, latent_dim, features=2 * latent_dim)
    return VAE(StandardNormal(latent_dim), GaussianEncoder(encoder_net), DECODERS[likelihood](decoder_net))


ELBO = (Phase(objectives.elbo),)
# Adam at the papers' 5e-4; the last stretch at smaller steps stands in for their 2000 epochs.
PAPERS_RATE = (Stage(0.6, 5e-4, ELBO), Stage(0.25, 2e-4, ELBO), Stage(0.15, 5e-5, ELBO))

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
                (NET, LIKELIHOOD),
                PAPERS_RATE,
            ),
        )
    }
)

LARGEST_IMAGE, LARGEST_LATENT = (4, 256, 256), 1024


def find_recipe(name: str) -> Recipe:
    """The recipe of that name; ValueError, with the names there are, if there is none."""
    if not isinstance(name, str) or name not in RECIPES:
        raise ValueError(f"There is no recipe {name!r}; the recipes are {', '.join(RECIPES)}.")
    return RECIPES[name]


def build(recipe: str | Recipe, data_shape: Shape, latent_dim: int = 2, **options: str) -> VAE:
    """A fresh VAE of the recipe for images of shape (C, H, W), its weights drawn from torch's generator.

    Raises ValueError for an unknown recipe or option, and for sizes that cannot be.
    """
    return build_with(recipe, data_shape, latent_dim, options)


def build_with(recipe: str | Recipe, data_shape: Shape, latent_dim: int, options: Mapping[str, Any]) -> VAE:
    """`build`, for options that come from a file or a command line and may have any names."""
    recipe = find_recipe(recipe) if not isinstance(recipe, Recipe) else recipe
    data_shape = check_shape(data_shape)
    if type(latent_dim) is not int or not 1 <= latent_dim <= LARGEST_LATENT:
        raise ValueError(f"latent_dim is {latent_dim!r}; it must be a whole number from 1 to {LARGEST_LATENT}.")
    options = resolve_options(recipe, data_shape, options)
    made = recipe.make(data_shape, latent_dim, **options)
    made.config = {
        "recipe": recipe.name,
        "data_shape": list(data_shape),
        "latent_dim": latent_dim,
        "options": options,
    }
    return made


def check_shape(data_shape: Shape) -> Shape:
    shape = tuple(data_shape)
    fits = len(shape) == 3 and all(
        type(n) is int and 1 <= n <= most for n, most in zip(shape, LARGEST_IMAGE, strict=True)
    )
    if not fits:
        most = " x ".join(map(str, LARGEST_IMAGE))
        raise ValueError(f"data_shape is {data_shape!r}; it must be (channels, height, width), at most {most}.")
    return shape


def resolve_options(recipe: Recipe, data_shape: Shape, given: Mapping[str, Any]) -> dict[str, str]:
    known = {option.name: option for option in recipe.options}
    for name in given:
        if name not in known:
            raise ValueError(f"Recipe {recipe.name} has no option {name!r}; its options are {', '.join(known)}.")
    defaults = {"net": default_net(data_shape)}
    return {name: option.check(given.get(name, option.default or defaults.get(name))) for name, option in known.items()}
