"""VAEs whose answers are known on paper, and one small instance of every recipe."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal, Normal

import vaecore
from vaecore.priors import StandardNormal

SHAPE = (1, 8, 8)
# What would take long at the papers' sizes.
SMALL = {name: {"depth": 2} for name in ("rnvp-q", "rnvp-p", "rnvp-both")} | {"vampprior": {"pseudo_inputs": 30}}
SMALL |= {"pixelvae": {"depth": 2, "prior": "rnvp", "posterior": "rnvp"}}
SMALL |= {"resnet-af": {"width": 8, "layers": 2, "flows": 1}}
LOSSY = SMALL["resnet-af"] | {"maps": 2, "blocks": 2, "units": 8}
SMALL |= {"lossy-vae": LOSSY, "mae": LOSSY}
PIXELWISE = ("pixelvae", "lossy-vae", "mae")  # a grid of decodes takes them minutes
BINARY = (*PIXELWISE, "resnet-af")  # they know binary pixels alone
VARIANTS = [
    (name, net, likelihood)
    for name in vaecore.RECIPES
    for net in ("small", "dense")
    for likelihood in ("gaussian", "bernoulli")
    if name not in BINARY or (net, likelihood) == ("small", "bernoulli")
]


def fresh(name: str, net: str, likelihood: str, latent_dim: int = 2, **options: str | float) -> vaecore.VAE:
    """A small one, of that network and likelihood where the recipe lets one choose them."""
    choices = {option.name for option in vaecore.RECIPES[name].options} & {"net", "likelihood"}
    chosen = {choice: {"net": net, "likelihood": likelihood}[choice] for choice in choices}
    return vaecore.build(name, SHAPE, latent_dim, **{**chosen, **SMALL.get(name, {}), **options})


def perturbed(name: str, net: str, likelihood: str, latent_dim: int = 2) -> vaecore.VAE:
    """A fresh VAE is too symmetric for a law to bite: its weights are moved at random."""
    vae = fresh(name, net, likelihood, latent_dim)
    with torch.no_grad():
        for parameter in vae.parameters():
            # A process' factors are matrices of hundreds of rows: moved as far, they would drown all else.
            parameter += (0.05 if parameter.ndim < 3 else 0.005) * torch.randn_like(parameter)
    return vae.eval()


class FixedEncoder(nn.Module):
    """q(z|x) = N(loc, scale²), whatever x is."""

    def __init__(self, loc: list[float], scale: list[float]) -> None:
        super().__init__()
        self.loc, self.scale = nn.Parameter(torch.tensor(loc)), torch.tensor(scale)

    def forward(self, x: Tensor) -> Distribution:
        shape = (len(x), len(self.loc))
        return Independent(Normal(self.loc.expand(shape), self.scale.to(x).expand(shape)), 1)


class LinearDecoder(nn.Module):
    """p(x|z) = N(W z + b, s² I) on images of 1 x 4 x 4."""

    def __init__(self, scale: float, latent_dim: int = 2) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(16, latent_dim)), nn.Parameter(torch.randn(16))
        self.scale = scale

    def forward(self, z: Tensor) -> Distribution:
        mean = (z @ self.weight.T + self.bias).reshape(-1, 1, 4, 4)
        return Independent(Normal(mean, torch.full_like(mean, self.scale)), 3)

    def evidence(self) -> MultivariateNormal:
        """p(x) = N(b, W Wᵀ + s² I)."""
        return MultivariateNormal(self.bias, self.weight @ self.weight.T + self.scale**2 * torch.eye(16).to(self.bias))

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """p(z|x), with precision Wᵀ W / s² + I."""
        precision = self.weight.T @ self.weight / self.scale**2 + torch.eye(self.weight.shape[1]).to(self.bias)
        mean = torch.linalg.solve(precision, self.weight.T @ (x.flatten(1) - self.bias).T / self.scale**2).T
        return MultivariateNormal(mean, precision_matrix=precision)


def linear_gaussian(scale: float, loc: list[float] | None = None, std: list[float] | None = None) -> vaecore.VAE:
    encoder = FixedEncoder(loc or [0.3, -0.2], std or [0.5, 0.4])
    return vaecore.VAE(StandardNormal(2), encoder, LinearDecoder(scale)).double().eval()


class FoldedDecoder(nn.Module):
    """p(x|z) = N(x; z1² and z2, s² I): for x1 > 0 its posterior has a mode on either side of z1 = 0."""

    def __init__(self, scale: float = 0.1) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, z: Tensor) -> Distribution:
        mean = torch.stack([z[:, 0].square(), z[:, 1]], 1).reshape(-1, 1, 1, 2)
        return Independent(Normal(mean, self.scale.expand_as(mean)), 3)


def folded() -> vaecore.VAE:
    return vaecore.VAE(StandardNormal(2), FixedEncoder([1.0, 0.0], [0.1, 0.1]), FoldedDecoder()).double().eval()


def mixture(batch: int) -> MixtureSameFamily:
    """A q with log_prob and sample, and neither a closed-form KL nor one covariance."""
    parts = Independent(Normal(torch.tensor([[-1.0, 0.2], [0.9, 0.0]]).double(), torch.tensor(0.15).double()), 1)
    parts = parts.expand((batch, 2))
    return MixtureSameFamily(Categorical(torch.tensor([0.3, 0.7]).double().expand(batch, 2)), parts)


def brute_force(vae: vaecore.VAE, x: Tensor, reach: float = 6.0, size: int = 1201) -> tuple[Tensor, Tensor, float]:
    """log p(x, z) of one image on a plain fine grid: nodes [S², 2], values [S²] and the cell's area."""
    line = torch.linspace(-reach, reach, size, dtype=torch.float64)
    z = torch.cartesian_prod(line, line)
    with torch.no_grad():
        parts = z.to(x).split(50_000)
        values = torch.cat([vae.log_joint(x.expand(len(part), *x.shape[1:]), part) for part in parts])
    return z, values.double(), float(line[1] - line[0]) ** 2


class Written(torch.distributions.Distribution):
    """A likelihood whose log density of any x is written down as a function of z."""

    support, has_rsample, arg_constraints = torch.distributions.constraints.real, False, {}

    def __init__(self, log_density: Tensor) -> None:
        super().__init__(log_density.shape, torch.Size((1, 1, 1)), validate_args=False)
        self.log_density = log_density

    def log_prob(self, value: Tensor) -> Tensor:
        return self.log_density


class WrittenDecoder(nn.Module):
    def __init__(self, log_posterior: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.log_posterior, self.unused = log_posterior, nn.Parameter(torch.zeros(()))

    def forward(self, z: Tensor) -> Distribution:
        prior = Normal(torch.zeros_like(z), 1.0).log_prob(z).sum(-1)
        return Written(self.log_posterior(z) - prior)


def written(log_posterior: Callable[[Tensor], Tensor], loc: list[float] | None = None) -> vaecore.VAE:
    """A VAE with p(x, z) = exp log_posterior(z) for every x, which is normalised if the function is."""
    encoder = FixedEncoder(loc or [0.0, 0.0], [0.5, 0.5])
    return vaecore.VAE(StandardNormal(2), encoder, WrittenDecoder(log_posterior)).double().eval()


def gaussian(z: Tensor, loc: tuple[float, float], scale: float) -> Tensor:
    return Normal(torch.tensor(loc).to(z), torch.tensor(scale).to(z)).log_prob(z).sum(-1)


def collapsed(folder: Path, dataset: str = "digits", latent_dim: int = 8) -> Path:
    """A saved VAE whose encoder gives every image the same q(z|x), as a collapsed posterior and dead ReLUs do."""
    vae = vaecore.build("vae", SHAPE, latent_dim, likelihood="bernoulli", net="small")
    with torch.no_grad():
        vae.encoder.net[-1].weight.zero_()
        vae.encoder.net[-1].bias.zero_()
    return vaecore.save(vae, folder, dataset=dataset)
