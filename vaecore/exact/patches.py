"""The patches: lattices scaled and turned to the mass around each peak, and their sum with its error."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from vaecore.exact.joint import Joint
from vaecore.exact.overview import Overview
from vaecore.exact.peaks import Evaluate, Peaks, ascend, distinct, padded

RADIUS = 5.0  # of a patch, in standard deviations: a Gaussian has 4e-6 of its mass beyond
SAFETY = 3.0  # standard errors of the copies' mean that the error estimate counts
LEVELS = (6, 12, 24, 48, 96)  # copies of the lattice of step 1 sd: the steps are 0.4, 0.29, 0.2, ... sd


def shifts(copies: int) -> list[tuple[float, float]]:
    """Offsets of the lattice's copies: a sequence of low discrepancy (Roberts 2018), of any length.

    Along any direction no two offsets are alike, so that a kink shows in how the copies scatter wherever it runs.
    """
    root = 1.32471795724474602596  # of x³ = x + 1
    return [((0.5 + k / root) % 1, (0.5 + k / root**2) % 1) for k in range(copies)]


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
    alone: Tensor  # [B, K, P]: no other patch reaches here
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
    log_area = log_area.masked_fill(~peaks.alive[..., None], -torch.inf)
    return Nodes(z, log_area, (apart < RADIUS).sum(-1) == 1, copy, unit.norm(dim=1))


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


def scatter(estimates: Tensor) -> Tensor:
    """The standard error of the mean of estimates [B, copies], one from each copy of the lattice.

    The copies' errors cancel better than independent ones would, so it is a cautious estimate of the step's error.
    """
    return estimates.std(1) / math.sqrt(estimates.shape[1])


def step_error(sums: Tensor) -> Tensor:
    """The scatter of the copies' log sums [B, copies] around their mean, as a share of it: nats."""
    return scatter((sums - log_mean(sums)[:, None]).exp())


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


def find_patches(f: Evaluate, starts: Tensor, alive: Tensor, spacing: Tensor) -> Peaks:
    return distinct(recentre(f, distinct(ascend(f, starts, alive, spacing))))


@dataclass
class Patchwork:
    """The patches of each image and what their sum is; log_evidence and the three parts of its error are [B] nats."""

    peaks: Peaks
    z: Tensor  # [B, K, P, 2]: the nodes of the first copies
    log_area: Tensor  # [B, K, P]
    values: Tensor  # [B, K, P]: log p(x, z) there
    log_evidence: Tensor
    step: Tensor  # how far the copies of the lattice scatter
    edge: Tensor  # mass beyond the patches' edges, by how it falls towards them
    outside: Tensor  # mass that the overview sees outside all patches
    farthest: Tensor  # [B, 2]: the overview's highest node outside

    @property
    def error(self) -> Tensor:
        return SAFETY * self.step + self.edge + self.outside

    def put(self, rows: Tensor, part: "Patchwork") -> None:
        """Let `part` stand for the images `rows`, whose number of patches may be another."""
        count = max(self.values.shape[1], part.values.shape[1])
        for work in (self, part):
            work.peaks = work.peaks.padded(count)
            work.z = padded(work.z, count)
            work.log_area, work.values = (padded(t, count, -torch.inf) for t in (work.log_area, work.values))
        for name, new in vars(part.peaks).items():
            getattr(self.peaks, name)[rows] = new
        for name, new in vars(part).items():
            if name != "peaks":
                getattr(self, name)[rows] = new


def measure(f: Joint, peaks: Peaks, table: Tensor, overview: Overview, tolerance: float) -> Patchwork:
    """Integrate over the patches, and ask the overview's table [B, S * S] what lies outside them.

    The lattice's copies are doubled for the images whose scatter says more than `tolerance`.
    """
    nodes = lay(peaks, 0, LEVELS[0])
    values = f(nodes.z, peaks.alive)
    terms = values + nodes.log_area
    sums = by_copy(terms, nodes.copy)
    log_evidence, step = log_mean(sums), step_error(sums)
    rows = torch.arange(len(sums), device=sums.device)
    for before, copies in pairwise(LEVELS):
        rough = step[rows] > tolerance
        rows, sums = rows[rough], sums[rough]
        if not len(rows):
            break
        some = peaks.of(rows)
        more = lay(some, before, copies)
        sums = torch.cat([sums, by_copy(f.of(rows)(more.z, some.alive) + more.log_area, more.copy)], 1)
        log_evidence[rows], step[rows] = log_mean(sums), step_error(sums)
    edge = beyond_edges(terms, nodes)
    outside, farthest = unseen(peaks, table, overview)
    outside = (outside - log_evidence).exp()
    return Patchwork(peaks, nodes.z, nodes.log_area, values, log_evidence, step, edge, outside, farthest)


def unseen(peaks: Peaks, table: Tensor, overview: Overview) -> tuple[Tensor, Tensor]:
    """The log mass [B] that the overview's table [B, S * S] has outside all patches, and its highest node [B, 2]."""
    covered = [(peaks.of(slice(b, b + 1)).distance(overview.z[None]) < RADIUS).any(-1) for b in range(len(table))]
    beyond = table.masked_fill(torch.cat(covered), -torch.inf)
    return beyond.logsumexp(1) + overview.spacing.double().log().sum(), overview.z[beyond.argmax(1)]


def beyond_edges(terms: Tensor, nodes: Nodes) -> Tensor:
    """The mass beyond the patches, as a share: the fall from the last ring but one to the last, carried on.

    An edge that lies inside another patch cuts nothing off.
    """
    mass = (terms - terms.amax((1, 2), keepdim=True)).exp()
    lone, ring = (mass * nodes.alone).sum(1), nodes.ring
    inner, outer = (lone[:, (ring > low) & (ring <= low + 1)].sum(1) for low in (RADIUS - 2, RADIUS - 1))
    fall = (outer / inner.clamp_min(1e-300)).clamp_max(0.9)
    return outer * fall / (1 - fall) / mass.sum((1, 2))
