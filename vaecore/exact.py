"""The true posterior p(z|x) of a 2-D latent space, by quadrature.

A posterior can be a hundred times narrower than any grid over the latent space, so it is found in three steps:

1. The overview: the decoder on a coarse grid, decoded once for a checkpoint. Its local maxima and the encoder's mean
   are starting points.
2. The peaks: from each start a quadratic is fitted to log p(x, z) on a stencil of the peak's own width, and climbed.
   A stencil of that width looks across the kinks of a ReLU decoder.
3. The patches: around each peak a lattice, scaled and turned to the mass that lies there. Each patch is summed by the
   trapezoid rule on shifted copies of its lattice; the copies are doubled until two halves of them agree. Where
   patches overlap, each point's mass is shared out by weights that sum to one (Veach & Guibas 1995).

Each image's error estimate covers the step, the mass beyond the patches' edges, and what the overview sees outside.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, MultivariateNormal, Normal
from torch.nn.functional import max_pool2d, softplus

from vaecore.vae import VAE

RADIUS = 5.0  # of a patch, in standard deviations: a Gaussian has 4e-6 of its mass beyond
STARTS = 6  # of an image's ascents, beside the encoder's mean
LEVELS = (4, 8, 16, 32, 64, 128)  # copies of the lattice of step 1 sd: the steps are 1/2, 0.35, 1/4, ... sd
CHUNK = 512  # decodes at once: what runs fastest on a CPU

Evaluate = Callable[[Tensor, Tensor], Tensor]  # z [B, K, P, 2] and which of [B, K] are wanted -> [B, K, P] nats


def must_be_flat(vae: VAE) -> None:
    if (shape := tuple(vae.prior().event_shape)) != (2,):
        raise ValueError(f"The exact posterior needs a 2-D latent space; this VAE's has {math.prod(shape)} dimensions.")


# ---- 1. the overview


class Overview:
    """log p(x, z) on a grid over the latent space, whose decodes are made once and kept.

    The extent covers the prior to 4 standard deviations and all of `codes` (means of q(z|x), [N, 2]) with a margin.
    """

    @torch.no_grad()
    def __init__(self, vae: VAE, codes: Tensor | None = None, size: int = 200) -> None:
        must_be_flat(vae)
        prior = vae.prior()
        reach = prior.mean + 4 * torch.stack([-prior.stddev, prior.stddev])
        if codes is not None:
            codes = codes.to(reach)
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
            rows = [
                torch.cat([self.vae.log_joint(i.expand(len(z), *i.shape), z) for z in self.z.split(CHUNK)]) for i in x
            ]
            return torch.stack(rows).reshape(len(x), self.size, self.size)
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


# ---- 2. the peaks


STENCIL = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [1.0, 1.0]])


@dataclass
class Peaks:
    """Where a density on the plane has its peaks: padded to K for each image, `alive` says which are real."""

    centre: Tensor  # [B, K, 2]
    scale: Tensor  # [B, K, 2, 2]; the columns are one standard deviation along the principal axes
    value: Tensor  # [B, K] log density at the centre
    alive: Tensor  # [B, K]

    def log_mass(self) -> Tensor:
        """The mass if each peak were Gaussian: log density + log 2 pi |scale|."""
        mass = self.value + math.log(2 * math.pi) + self.scale.det().abs().clamp_min(1e-300).log()
        return mass.masked_fill(~self.alive, -torch.inf)

    def distance(self, z: Tensor) -> Tensor:
        """Each z [B, P, 2] from each peak in its standard deviations: [B, P, K]; infinite for peaks not alive."""
        whiten = torch.linalg.inv(self.scale).to(z)
        apart = z[:, None] @ whiten.mT - (whiten @ self.centre.to(z)[..., None]).mT
        return apart.norm(dim=-1).mT.masked_fill(~self.alive[:, None], torch.inf)

    def of(self, rows: Tensor) -> "Peaks":
        return Peaks(self.centre[rows], self.scale[rows], self.value[rows], self.alive[rows])

    def take(self, order: Tensor) -> "Peaks":
        """The peaks in the order [B, K'] of each image."""
        rows = torch.arange(len(order), device=order.device)[:, None]
        return Peaks(
            self.centre[rows, order], self.scale[rows, order], self.value[rows, order], self.alive[rows, order]
        )

    def joined(self, other: "Peaks") -> "Peaks":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Peaks(*(torch.cat(pair, 1) for pair in pairs))


def quadratic(value: Tensor, around: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient [..., 2] and Hessian [..., 2, 2], in stencil units, of the quadratic through the stencil's values."""
    right, left, up, down, corner = around.unbind(-1)
    gradient = torch.stack([right - left, up - down], -1) / 2
    cross = corner - right - up + value
    rows = [torch.stack([right + left - 2 * value, cross], -1), torch.stack([cross, up + down - 2 * value], -1)]
    return gradient, torch.stack(rows, -2)


def ascend(f: Evaluate, start: Tensor, alive: Tensor, spacing: Tensor, rounds: int = 14) -> Peaks:
    """Climb log density f from each start [B, K, 2] by fitted quadratics on stencils that grow or shrink to its width.

    It needs values only, no gradient. Starts that fall far behind the image's best are given up on the way.
    """
    z, stencil = start.double(), STENCIL.to(start).double()
    scale = torch.diag_embed(spacing.double() / 2).expand(*z.shape, 2).clone()
    value = f(z[:, :, None], alive)[..., 0]
    moving = alive.clone()
    for turn in range(rounds):
        if not moving.any():
            break
        nearby = z[:, :, None] + stencil @ scale.mT
        around = f(nearby, moving)
        gradient, hessian = quadratic(value, around)
        curvature, axes = torch.linalg.eigh(-torch.nan_to_num(hessian))
        slope = (axes.mT @ torch.nan_to_num(gradient)[..., None])[..., 0]
        width = curvature.clamp_min(1 / 16).rsqrt().clamp(1 / 4, 4)
        leap = slope / curvature.abs().clamp_min(1 / 16)
        leap = leap * (4 / leap.norm(dim=-1, keepdim=True).clamp_min(4))
        tip = z + (scale @ axes @ leap[..., None])[..., 0]
        reached = f(tip[:, :, None], moving)
        choices = torch.cat([value[..., None], around, reached], -1)
        best = choices.argmax(-1)
        places = torch.cat([z[:, :, None], nearby, tip[:, :, None]], 2)
        step = moving[..., None]
        z = torch.where(step, places.gather(2, best[..., None, None].expand(*best.shape, 1, 2))[:, :, 0], z)
        value = torch.where(moving, choices.amax(-1), value)
        scale = torch.where(step[..., None], scale @ axes @ torch.diag_embed(width), scale)
        settled = ((leap / width).norm(dim=-1) < 0.1) & (width.log().abs().amax(-1) < 0.3)
        moving &= ~settled
        if turn >= 2:
            promise = value + 0.5 * (slope * leap).sum(-1).clamp(0, 50)
            alive = alive & (promise > value.masked_fill(~alive, -torch.inf).amax(1, keepdim=True) - 25)
            moving &= alive
    return Peaks(z, scale, value.masked_fill(~alive, -torch.inf), alive)


def distinct(peaks: Peaks, faint: float = 12.0) -> Peaks:
    """Keep, of peaks within one standard deviation of each other, the higher; drop those under e^-faint of the mass."""
    peaks = peaks.take(peaks.value.masked_fill(~peaks.alive, -torch.inf).argsort(dim=1, descending=True))
    apart = peaks.distance(peaks.centre)
    near = torch.minimum(apart, apart.mT) < 1
    for k in range(1, near.shape[1]):
        peaks.alive[:, k] &= ~(near[:, k, :k] & peaks.alive[:, :k]).any(1)
    mass = peaks.log_mass()
    peaks.alive &= mass > mass.amax(1, keepdim=True) - faint
    first = peaks.alive.int().argsort(dim=1, descending=True, stable=True)
    return peaks.take(first[:, : int(peaks.alive.sum(1).max())])


# ---- 3. the patches


def shifts(copies: int) -> list[tuple[float, float]]:
    """Offsets of the lattice's copies in an order of which each power of two makes a regular lattice."""
    found, size = [(0.0, 0.0)], 0.5
    while len(found) < copies:
        for dx, dy in ((size, size), (size, 0.0)):
            found += [((a + dx) % 1, (b + dy) % 1) for a, b in found]
        size /= 2
    return found[:copies]


def lattice(offset: tuple[float, float]) -> Tensor:
    """The points of the shifted integer lattice in the disc of RADIUS: [P, 2]."""
    line = torch.arange(-int(RADIUS) - 1, int(RADIUS) + 2, dtype=torch.float64)
    points = torch.cartesian_prod(line + offset[0], line + offset[1])
    return points[points.norm(dim=1) < RADIUS]


@dataclass
class Nodes:
    """Quadrature nodes of some copies of all patches."""

    z: Tensor  # [B, K, P, 2]
    log_area: Tensor  # [B, K, P]: log of the area a node stands for, times its share where patches overlap
    copy: Tensor  # [P]: the copy that a node belongs to
    ring: Tensor  # [P]: distance from the patch's centre, in standard deviations


def lay(peaks: Peaks, first: int, last: int) -> Nodes:
    """The nodes of copies first..last of every patch."""
    parts = [lattice(offset).to(peaks.centre.device) for offset in shifts(last)[first:]]
    unit = torch.cat(parts)
    copy = torch.cat([torch.full((len(part),), k, device=part.device) for k, part in enumerate(parts)])
    z = peaks.centre[:, :, None] + unit @ peaks.scale.mT
    B, K, P, _ = z.shape
    apart = peaks.distance(z.reshape(B, K * P, 2)).reshape(B, K, P, K)
    size = peaks.scale.det().abs().clamp_min(1e-300).log()
    # The finer patch takes the larger share; the square makes it decided (the power heuristic).
    claim = 4 * torch.log((1 - (apart / RADIUS).square()).clamp_min(0)) - 2 * size[:, None, None]
    claim = claim.masked_fill(~peaks.alive[:, None, None], -torch.inf)
    own = torch.diagonal(claim, dim1=1, dim2=3).mT
    share = own - claim.logsumexp(-1)
    log_area = torch.nan_to_num(share, nan=-torch.inf) + size[..., None]
    return Nodes(z, log_area.masked_fill(~peaks.alive[..., None], -torch.inf), copy, unit.norm(dim=1))


def by_copy(log_terms: Tensor, copy: Tensor) -> Tensor:
    """Log of the sum of exp(log_terms [B, K, P]) over patches and over each copy's nodes: [B, copies]."""
    top = log_terms.amax((1, 2), keepdim=True).clamp_min(-1e300)
    return add_copies((log_terms - top).exp(), copy).log() + top[:, :, 0]


def add_copies(terms: Tensor, copy: Tensor) -> Tensor:
    """The sum of terms [B, K, P] over patches and over each copy's nodes: [B, copies]."""
    copy = copy - copy[0]
    return terms.new_zeros(len(terms), int(copy[-1]) + 1).index_add_(1, copy, terms.sum(1))


def log_mean(sums: Tensor) -> Tensor:
    return sums.logsumexp(1) - math.log(sums.shape[1])


def disagreement(sums: Tensor) -> Tensor:
    """How far two halves of the copies, each a regular lattice, are apart: an estimate of the step's error, in nats."""
    half = sums.shape[1] // 2
    return (log_mean(sums[:, :half]) - log_mean(sums[:, half:])).abs() / 2


@torch.no_grad()
def recentre(f: Evaluate, peaks: Peaks) -> Peaks:
    """Shift, turn and scale the patches to mean and covariance of the mass that a first look finds in them."""
    nodes = lay(peaks, 0, 1)
    weight = (f(nodes.z, peaks.alive) + nodes.log_area).masked_fill(~peaks.alive[..., None], 0).softmax(-1)
    mean = (weight[..., None] * nodes.z).sum(2)
    gap = nodes.z - mean[:, :, None]
    covariance = (weight[..., None] * gap).mT @ gap
    # In the old patch's units the new one may be at most twice as narrow: a single node must not swallow the mass.
    inverse = torch.linalg.inv(peaks.scale)
    size, axes = torch.linalg.eigh(inverse @ covariance @ inverse.mT)
    scale = peaks.scale @ axes @ torch.diag_embed(size.clamp(0.25, 25).sqrt())
    keep = peaks.alive[..., None]
    centre, scale = torch.where(keep, mean, peaks.centre), torch.where(keep[..., None], scale, peaks.scale)
    return Peaks(centre, scale, peaks.value, peaks.alive)


# ---- what is asked


class Joint:
    """log p(x, z) of a batch of images as a function of z, in float64."""

    def __init__(self, vae: VAE, x: Tensor) -> None:
        self.vae, self.x = vae, x

    def of(self, rows: Tensor) -> "Joint":
        return Joint(self.vae, self.x[rows])

    @torch.no_grad()
    def __call__(self, z: Tensor, wanted: Tensor) -> Tensor:
        """At z [B, K, P, 2] of the wanted [B, K]: [B, K, P]; minus infinity elsewhere."""
        values = torch.full(z.shape[:-1], -torch.inf, dtype=torch.float64, device=z.device)
        owner = wanted.nonzero()[:, 0].repeat_interleave(z.shape[2])
        flat = z[wanted].reshape(-1, 2).to(self.x)
        if len(flat):
            pieces = zip(flat.split(CHUNK), owner.split(CHUNK), strict=True)
            found = torch.cat([self.vae.log_joint(self.x[i], z) for z, i in pieces])
            values[wanted] = found.double().reshape(-1, z.shape[2])
        return values


def integrate(f: Joint, peaks: Peaks, tolerance: float) -> tuple[Tensor, Tensor, Tensor, Nodes, Tensor]:
    """Sum exp f over the patches, doubling the lattice's copies for the images whose halves still disagree.

    Returns the log of the integral [B], the errors by step and by edge [B], and the first copies' nodes and values.
    """
    nodes = lay(peaks, 0, LEVELS[0])
    values = f(nodes.z, peaks.alive)
    terms = values + nodes.log_area
    sums = by_copy(terms, nodes.copy)
    log_integral, error = log_mean(sums), disagreement(sums)
    rows = torch.arange(len(sums), device=sums.device)
    for before, copies in pairwise(LEVELS):
        rough = error[rows] > tolerance
        rows, sums = rows[rough], sums[rough]
        if not len(rows):
            break
        some = peaks.of(rows)
        more = lay(some, before, copies)
        sums = torch.cat([sums, by_copy(f.of(rows)(more.z, some.alive) + more.log_area, more.copy)], 1)
        log_integral[rows], error[rows] = log_mean(sums), disagreement(sums)
    return log_integral, error, beyond_edges(terms, nodes.ring), nodes, values


def beyond_edges(terms: Tensor, ring: Tensor) -> Tensor:
    """The mass beyond the patches, as a share: the fall from the last ring but one to the last, carried on."""
    weight = (terms - terms.amax((1, 2), keepdim=True)).exp().sum(1)
    inner, outer = (weight[:, (ring > low) & (ring <= low + 1)].sum(1) for low in (RADIUS - 2, RADIUS - 1))
    fall = (outer / inner.clamp_min(1e-300)).clamp_max(0.9)
    return outer * fall / (1 - fall) / weight.sum(1)


class TruePosterior:
    """p(z|x) of each image: its evidence, its density anywhere, and KL(q || p(z|x)) for any q with a density.

    log_evidence: [B], log p(x) in nats. error: [B], the estimate of its error in nats: the lattice's step, the mass
    beyond the patches' edges, and what the overview sees outside. What stays above `tolerance` says so by it.
    """

    @torch.no_grad()
    def __init__(self, vae: VAE, x: Tensor, overview: Overview, tolerance: float = 0.004) -> None:
        self.vae, self.overview, self.tolerance, self.joint = vae, overview, tolerance, Joint(vae, x)
        table = overview.log_joint(x).flatten(1).double()
        nodes, maxima = local_maxima(table.reshape(len(x), overview.size, overview.size), STARTS)
        starts = torch.cat([vae.posterior(x).mean[:, None], overview.z[nodes]], 1)
        alive = torch.cat([torch.ones_like(maxima[:, :1]), maxima], 1)
        self.summits = distinct(ascend(self.joint, starts, alive, overview.spacing))
        self.peaks = distinct(recentre(self.joint, self.summits))
        self.measure(table)
        for _ in range(3):
            unseen = (self.edge + self.outside > tolerance).nonzero()[:, 0]
            if not len(unseen):
                break
            self.widen(unseen)
            self.measure(table)

    def measure(self, table: Tensor) -> None:
        """Integrate over the patches, and ask the overview's table [B, S * S] what lies outside them."""
        self.log_evidence, self.step, self.edge, self.nodes, self.values = integrate(
            self.joint, self.peaks, self.tolerance / 4
        )
        covered = [self.peaks.of(slice(b, b + 1)).distance(self.overview.z[None]) < RADIUS for b in range(len(table))]
        beyond = table.masked_fill(torch.cat(covered).any(-1), -torch.inf)
        self.outside = (beyond.logsumexp(1) + self.overview.spacing.double().log().sum() - self.log_evidence).exp()
        self.farthest = self.overview.z[beyond.argmax(1)]

    def widen(self, rows: Tensor) -> None:
        """Patches half as wide again for these images, and one more wherever the overview's rest leads."""
        start = self.farthest[rows][:, None]
        found = find_patches(
            self.joint.of(rows), start, torch.ones_like(start[..., 0], dtype=bool), self.overview.spacing
        )
        wide = self.peaks.of(slice(None))
        wide.scale = wide.scale.clone()
        wide.scale[rows] *= 1.5
        more = Peaks(*(torch.zeros_like(t[:, :1]) for t in vars(wide).values()))
        more.scale += torch.eye(2).to(more.scale)
        for whole, part in zip(vars(more).values(), vars(found).values(), strict=True):
            whole[rows] = part
        self.peaks = distinct(wide.joined(more))

    @property
    def error(self) -> Tensor:
        return 2 * self.step + self.edge + self.outside

    @property
    def modes(self) -> Tensor:
        """How many separate peaks hold at least a thousandth of the mass, by their widths: [B]."""
        mass = self.summits.log_mass()
        return ((mass - mass.logsumexp(1, keepdim=True)) > math.log(1e-3)).sum(1)

    @torch.no_grad()
    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z|x) at z [B, ..., 2]: [B, ...] nats."""
        flat = z.reshape(len(z), 1, -1, 2)
        wanted = torch.ones(flat.shape[:2], dtype=bool, device=z.device)
        return (self.joint(flat, wanted)[:, 0] - self.log_evidence[:, None]).reshape(z.shape[:-1])

    @torch.no_grad()
    def kl(self, q: Distribution) -> Tensor:
        """KL(q || p(z|x)) in nats, [B], for q of batch_shape [B] on the plane, of which only log_prob is needed."""
        return self.divergence(q)[0]

    def divergence(self, q: Distribution) -> tuple[Tensor, Tensor]:
        """KL(q || p(z|x)) and the estimate of its error, each [B]: integrated where q lies."""
        peaks = where(q, self.overview)
        rows = torch.arange(len(self.log_evidence), device=self.log_evidence.device)
        mean, error = torch.zeros_like(self.log_evidence), torch.zeros_like(self.log_evidence)
        sums = None
        for before, copies in pairwise((0, 2, *LEVELS)):
            nodes = lay(peaks, before, copies)
            log_q = log_density(q, nodes.z)[rows]
            some = peaks.of(rows)
            gap = log_q - self.joint.of(rows)(nodes.z[rows], some.alive).clamp_min(-1e30)
            weight = (log_q + nodes.log_area[rows]).exp()
            new = torch.stack([add_copies(weight * gap, nodes.copy), add_copies(weight, nodes.copy)])
            sums = new if sums is None else torch.cat([sums, new], 2)
            mean[rows] = sums[0].sum(1) / sums[1].sum(1)
            halves = [part[0].sum(1) / part[1].sum(1) for part in sums.split(sums.shape[2] // 2, 2)]
            error[rows] = (halves[0] - halves[1]).abs() / 2
            kl = mean[rows] + self.log_evidence[rows]
            rough = error[rows] > torch.maximum(0.003 * kl, torch.full_like(kl, self.tolerance))
            rows, sums = rows[rough], sums[:, rough]
            if not len(rows):
                break
        return (mean + self.log_evidence).clamp_min(0), 2 * error + self.error

    def frame(self, b: int, drop: float = 8.0) -> tuple[float, float, float, float]:
        """The box (z1 from, to, z2 from, to) in which image b's density is within `drop` nats of its peak."""
        high = self.values[b] > self.values[b].amax() - drop
        z = self.nodes.z[b][high & self.nodes.log_area[b].isfinite()]
        (left, bottom), (right, top) = z.amin(0).tolist(), z.amax(0).tolist()
        return left, right, bottom, top


def find_patches(f: Evaluate, starts: Tensor, alive: Tensor, spacing: Tensor) -> Peaks:
    return distinct(recentre(f, distinct(ascend(f, starts, alive, spacing))))


def log_density(q: Distribution, z: Tensor) -> Tensor:
    """log q at z [B, K, P, 2] for q of batch_shape [B]: [B, K, P], in float64."""
    return q.log_prob(z.permute(1, 2, 0, 3).to(torch.get_default_dtype())).double().permute(2, 0, 1)


def where(q: Distribution, overview: Overview) -> Peaks:
    """Where q lies: its mean and standard deviations if it is a Gaussian, else its patches, by log_prob alone."""
    if isinstance(q, MultivariateNormal) or (isinstance(q, Independent) and isinstance(q.base_dist, Normal)):
        root = q.scale_tril if isinstance(q, MultivariateNormal) else torch.diag_embed(q.stddev)
        centre, scale = q.mean[:, None].double(), root[:, None].double()
        return Peaks(centre, scale, torch.zeros_like(centre[..., 0]), torch.ones_like(centre[..., 0], dtype=bool))
    table = q.log_prob(overview.z[:, None]).T.reshape(-1, overview.size, overview.size)
    nodes, alive = local_maxima(table, STARTS)
    return find_patches(lambda z, wanted: log_density(q, z), overview.z[nodes], alive, overview.spacing)


def true_posterior(vae: VAE, x: Tensor, overview: Overview | None = None, tolerance: float = 0.004) -> TruePosterior:
    """The exact posterior of images x [B, C, H, W] under a VAE with D = 2; ValueError for any other D.

    `overview` is the grid of decodes to reuse; without it one is made around the codes of x.
    """
    must_be_flat(vae)
    return TruePosterior(vae, x, overview or make_overview(vae, x), tolerance)


@torch.no_grad()
def make_overview(vae: VAE, x: Tensor) -> Overview:
    must_be_flat(vae)
    return Overview(vae, vae.posterior(x).mean)


# ---- the best Gaussian, and the gap in two parts


def best_gaussian(vae: VAE, x: Tensor, overview: Overview | None = None) -> Distribution:
    """The diagonal Gaussian nearest in KL(q || p(z|x)) for each x [B, C, H, W]: batch_shape [B]."""
    return split_gap(vae, x, overview).best


def nearest_gaussian(posterior: TruePosterior, q: Distribution, steps: int = 50) -> Independent:
    """Climb E_q[log p(x, z)] + H(q) over diagonal Gaussians from `q` and from every peak; the highest of each image.

    No decoding: log p(x, z) is a peak's quadratic, whose mean under q is known, plus a rest, whose mean under q is a
    weighted sum over the nodes of the peak's patch.
    """
    peaks, rows = posterior.peaks, torch.arange(len(posterior.log_evidence), device=q.mean.device)[:, None]
    count = peaks.alive.shape[1]
    nearest = peaks.distance(q.mean[:, None].double())[:, 0].argmin(1, keepdim=True)
    order = torch.cat([torch.arange(count, device=nearest.device).expand(len(rows), count), nearest], 1)
    homes = peaks.take(order)
    z, f = posterior.nodes.z[rows, order], posterior.values[rows, order]
    precision = torch.linalg.inv(homes.scale @ homes.scale.mT)
    unit = precision.diagonal(dim1=-2, dim2=-1).rsqrt()
    gap = z - homes.centre[:, :, None]
    rest = f - homes.value[..., None] + 0.5 * ((gap @ precision) * gap).sum(-1)
    rest = rest.masked_fill(~homes.alive[..., None], 0)

    def bound(mean: Tensor, std: Tensor) -> Tensor:
        """E_q[log p(x, z)] + H(q), up to a constant, of each start's N(mean, std²): [B, K + 1]."""
        weight = (-0.5 * ((z - mean[:, :, None]) / std[:, :, None]).square().sum(-1)).softmax(-1)
        away = mean - homes.centre
        quadratic = (away[..., None, :] @ precision @ away[..., None])[..., 0, 0] + (std / unit).square().sum(-1)
        return homes.value - 0.5 * quadratic + (weight * rest).sum(-1) + std.log().sum(-1)

    start = torch.cat([homes.centre[:, :-1], q.mean[:, None].double()], 1)
    with torch.enable_grad():
        shift, stretch = torch.zeros_like(start).requires_grad_(), torch.zeros_like(start).requires_grad_()
        adam = torch.optim.Adam([shift, stretch])
        for step in range(steps):
            adam.param_groups[0]["lr"] = 0.2 * (1 - step / steps)
            adam.zero_grad()
            (-bound(start + unit * shift, unit * stretch.exp())).sum().backward()
            adam.step()
    mean, std = (start + unit * shift).detach(), (unit * stretch.exp()).detach()
    row = bound(mean, std).masked_fill(~homes.alive, -torch.inf).argmax(1, keepdim=True)
    return Independent(Normal(*(t[rows, row][:, 0].to(q.mean) for t in (mean, std))), 1)


@dataclass
class Gap:
    """log p(x) = ELBO + approximation gap + amortization gap (Cremer et al. 2018), each [B] nats.

    The approximation gap is that of the best diagonal Gaussian; the amortization gap is what the encoder loses to it.
    """

    posterior: TruePosterior
    q: Distribution
    best: Distribution
    total: Tensor  # KL(q || p(z|x))
    approximation: Tensor  # KL(best || p(z|x))
    error: Tensor  # estimate for log p(x)
    gap_error: Tensor  # estimate for the total gap

    @property
    def log_evidence(self) -> Tensor:
        return self.posterior.log_evidence

    @property
    def elbo(self) -> Tensor:
        return self.log_evidence - self.total

    @property
    def amortization(self) -> Tensor:
        return self.total - self.approximation

    @property
    def modes(self) -> Tensor:
        return self.posterior.modes


@torch.no_grad()
def split_gap(vae: VAE, x: Tensor, overview: Overview | None = None) -> Gap:
    """The exact gap of each image x [B, C, H, W] and its two parts, none of them negative."""
    posterior = true_posterior(vae, x, overview)
    q = vae.posterior(x)
    total, gap_error = posterior.divergence(q)
    climbed = nearest_gaussian(posterior, q)
    approximation = posterior.kl(climbed)
    if not (isinstance(q, Independent) and isinstance(q.base_dist, Normal)):
        return Gap(posterior, q, climbed, total, approximation, posterior.error, gap_error)
    # The encoder's own Gaussian is a candidate too, so that the amortization gap cannot be negative.
    better = (approximation < total)[:, None]
    loc, scale = torch.where(better, climbed.mean, q.mean), torch.where(better, climbed.stddev, q.stddev)
    best = Independent(Normal(loc, scale), 1)
    return Gap(posterior, q, best, total, torch.minimum(approximation, total), posterior.error, gap_error)
