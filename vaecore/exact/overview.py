"""The overview: a decoder on a coarse grid over the latent space, decoded once."""

import math

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal
from torch.nn.functional import max_pool2d, softplus

from vaecore.eval_mode import eval_mode
from vaecore.exact.joint import CHUNK, Joint
from vaecore.inputs import places_of
from vaecore.text import counted
from vaecore.vae import VAE


def must_be_flat(vae: VAE) -> None:
    if (shape := tuple(vae.prior().event_shape)) != (2,):
        raise ValueError(
            f"The exact posterior needs a 2-D latent space; this VAE's has {counted(math.prod(shape), 'dimension')}."
        )


class Overview:
    """log p(x, z) on a grid over the latent space, whose decodes are made once and kept.

    The extent covers the prior to 4 standard deviations and all of `codes` (means of q(z|x), [N, 2]) with a margin.
    """

    @torch.no_grad()
    def __init__(self, vae: VAE, codes: Tensor | None = None, size: int = 200) -> None:
        must_be_flat(vae)
        with eval_mode(vae):
            self.look(vae, codes, size)

    def look(self, vae: VAE, codes: Tensor | None, size: int) -> None:
        prior = vae.prior()
        reach = prior.mean + 4 * torch.stack([-prior.stddev, prior.stddev])
        if codes is not None:
            codes = places_of(prior, codes, "The codes").to(reach)
            margin = 0.05 * (codes.amax(0) - codes.amin(0))
            reach = torch.stack([reach[0].minimum(codes.amin(0) - margin), reach[1].maximum(codes.amax(0) + margin)])
        self.axes = tuple(torch.linspace(*ends, size, dtype=torch.float64).to(reach) for ends in reach.T.tolist())
        self.z = torch.cartesian_prod(*self.axes)
        self.spacing = (reach[1] - reach[0]) / (size - 1)
        self.size, self.vae = size, vae
        self.log_prior = prior.log_prob(self.z)
        self.slope, self.offset, self.variance = self.decode()

    def decode(self) -> tuple[Tensor | None, Tensor | None, float]:
        """The likelihood as log p(x|z) = x · slope(z) + offset(z) + h(x), which makes it one matrix product.

        slope is None for likelihoods that are not of this form.
        """
        slopes, offsets, variance = [], [], 0.0
        for z in self.z.split(CHUNK):
            base = self.vae.likelihood(z)
            base = base.base_dist if isinstance(base, Independent) else base
            if isinstance(base, Bernoulli):
                slope, offset = base.logits, -softplus(base.logits).flatten(1).sum(1)
            elif isinstance(base, Normal) and bool((base.scale == base.scale.flatten()[0]).all()):
                variance = float(base.variance.flatten()[0])
                slope, pixels = base.loc / variance, base.loc[0].numel()
                square = base.loc.flatten(1).square().sum(1) / variance
                offset = -0.5 * (square + pixels * math.log(2 * math.pi * variance))
            else:
                return None, None, 0.0
            slopes.append(slope.flatten(1))
            offsets.append(offset)
        return torch.cat(slopes), torch.cat(offsets), variance

    @torch.no_grad()
    def log_joint(self, x: Tensor) -> Tensor:
        """log p(x, z) for x [B, C, H, W] at all nodes: [B, size, size] nats, by z1 and z2."""
        if self.slope is None:
            nodes, wanted = self.z.expand(len(x), 1, -1, 2), torch.ones(len(x), 1, dtype=bool, device=x.device)
            return Joint(self.vae, x)(nodes, wanted).reshape(len(x), self.size, self.size)
        flat = x.flatten(1)
        table = torch.addmm(self.offset + self.log_prior, flat, self.slope.T)
        if self.variance:
            table -= 0.5 * flat.square().sum(1, keepdim=True) / self.variance
        return table.reshape(len(x), self.size, self.size)


def local_maxima(table: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The `most` highest nodes of [B, S, S] that no neighbour exceeds: indices [B, most], and which are maxima."""
    peaks = max_pool2d(table[:, None], 3, stride=1, padding=1)[:, 0] == table
    values, index = table.masked_fill(~peaks, -torch.inf).flatten(1).topk(most)
    return index, values.isfinite()
