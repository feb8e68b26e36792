"""The true posterior of a batch of images, and KL(q || p(z|x)) for any q."""

import math
from itertools import pairwise

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from vaecore.exact.overview import Overview, local_maxima, must_be_flat
from vaecore.exact.patches import LEVELS, Joint, add_copies, find_patches, lay, measure, recentre
from vaecore.exact.peaks import Peaks, ascend, distinct
from vaecore.vae import VAE

STARTS = 6  # of an image's ascents, beside the encoder's mean


class TruePosterior:
    """p(z|x) of each image: its evidence, its density anywhere, and KL(q || p(z|x)) for any q with a density.

    log_evidence: [B], log p(x) in nats. error: [B], the estimate of its error in nats: the lattice's step, the mass
    beyond the patches' edges, and what the overview sees outside. An image whose error stays above `tolerance` is
    flagged by that.
    """

    @torch.no_grad()
    def __init__(self, vae: VAE, x: Tensor, overview: Overview, tolerance: float = 0.004) -> None:
        self.overview, self.tolerance, self.joint = overview, tolerance, Joint(vae, x)
        table = overview.log_joint(x).flatten(1).double()
        nodes, maxima = local_maxima(table.reshape(len(x), overview.size, overview.size), STARTS)
        starts = torch.cat([vae.posterior(x).mean[:, None], overview.z[nodes]], 1)
        alive = torch.cat([torch.ones_like(maxima[:, :1]), maxima], 1)
        self.summits = distinct(ascend(self.joint, starts, alive, overview.spacing))
        self.work = measure(self.joint, distinct(recentre(self.joint, self.summits)), table, overview, tolerance)
        for attempt in range(1, 5):
            rows = (self.work.edge + self.work.outside > tolerance / 2).nonzero()[:, 0]
            if not len(rows):
                break
            part = measure(self.joint.of(rows), self.widened(rows, attempt), table[rows], overview, tolerance)
            self.work.put(rows, part)

    def widened(self, rows: Tensor, attempt: int) -> Peaks:
        """Patches that reach farther, for mass beyond their edges, and one more where the overview's rest leads."""
        f, wide, start = self.joint.of(rows), self.work.peaks.of(rows), self.work.farthest[rows][:, None]
        wide.scale = 1.5 * wide.scale
        wide = recentre(f, wide)
        # A posterior that is flat-topped or long-tailed needs more of its own standard deviations than a Gaussian.
        wide.scale = 1.25**attempt * wide.scale
        found = find_patches(f, start, torch.ones_like(start[..., 0], dtype=bool), self.overview.spacing)
        return distinct(wide.joined(found))

    @property
    def peaks(self) -> Peaks:
        return self.work.peaks

    @property
    def log_evidence(self) -> Tensor:
        return self.work.log_evidence

    @property
    def error(self) -> Tensor:
        return self.work.error

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
        high = self.work.values[b] > self.work.values[b].amax() - drop
        z = self.work.z[b][high & self.work.log_area[b].isfinite()]
        (left, bottom), (right, top) = z.amin(0).tolist(), z.amax(0).tolist()
        return left, right, bottom, top


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
