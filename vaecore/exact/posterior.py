"""The true posterior of a batch of images, and KL(q || p(z|x)) for any q."""

import math
from itertools import pairwise

import torch
from torch import Tensor
from torch.distributions import Distribution, MixtureSameFamily, MultivariateNormal, Transform, TransformedDistribution

from vaecore.distributions import is_diagonal
from vaecore.eval_mode import eval_mode, in_eval_mode
from vaecore.exact.joint import Joint
from vaecore.exact.overview import Overview, local_maxima, must_be_flat
from vaecore.exact.patches import LEVELS, SAFETY, add_copies, find_patches, lay, measure, recentre, scatter
from vaecore.exact.peaks import Peaks, ascend, distinct
from vaecore.exact.valleys import separated
from vaecore.inputs import floats_of, images_of
from vaecore.vae import VAE

TOLERANCE = 0.006  # nats of log p(x), within which the lattice's copies shall agree: the error is then well under 0.01
STARTS = 16  # of an image's ascents, beside the encoder's mean; those that fall behind are given up early


class TruePosterior:
    """p(z|x) of each image: its evidence, its density anywhere, and KL(q || p(z|x)) for any q with a density.

    log_evidence: [B], log p(x) in nats. error: [B], the estimate of its error in nats: the lattice's step, the mass
    beyond the patches' edges, and what the overview sees outside. It is cautious: a wide one flags its image.
    Modes narrower than about a fifteenth of the overview's cells, or outside its box, cannot be seen.
    """

    @torch.no_grad()
    def __init__(self, vae: VAE, x: Tensor, overview: Overview, tolerance: float = TOLERANCE) -> None:
        self.overview, self.tolerance, self.joint = overview, tolerance, Joint(vae, x)
        table = overview.log_joint(x).flatten(1).double()
        starts = ascents(centre(vae.posterior(x)), table, overview)
        self.summits = distinct(ascend(self.joint, *starts, overview.spacing))
        self.work = measure(self.joint, distinct(recentre(self.joint, self.summits)), table, overview, tolerance)
        for attempt in range(1, 5):
            rows = (self.work.edge + self.work.outside > tolerance / 3).nonzero()[:, 0]
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
        return self.massive.sum(1)

    @property
    def massive(self) -> Tensor:
        """Which summits hold at least a thousandth of the mass, by their widths: [B, K]."""
        mass = self.summits.log_mass()
        return (mass - mass.logsumexp(1, keepdim=True)) > math.log(1e-3)

    @torch.no_grad()
    def valleys(self, depth: float = 1.0) -> Tensor:
        """How many modes valleys of at least `depth` nats keep apart, of those that `modes` counts: [B]."""
        return separated(self.joint, self.summits, self.massive, depth)

    @property
    def non_gaussianity(self) -> Tensor:
        """KL(p(z|x) || N) in nats of the full-covariance Gaussian N nearest in it, which has p's moments: [B]."""
        log_weight = (self.work.values + self.work.log_area).flatten(1)
        weight, z = log_weight.softmax(1), self.work.z.flatten(1, 2)
        mean = (weight[..., None] * z).sum(1, keepdim=True)
        covariance = (weight[..., None] * (z - mean)).mT @ (z - mean)
        density = self.work.values.flatten(1) - (log_weight.logsumexp(1, keepdim=True) - math.log(LEVELS[0]))
        mean_log_density = (weight * density.clamp_min(-1e30)).sum(1)
        return (mean_log_density + 1 + math.log(2 * math.pi) + 0.5 * covariance.logdet()).clamp_min(0)

    @torch.no_grad()
    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z|x) at z [B, ..., 2]: [B, ...] nats."""
        z = floats_of(z, "The points z").to(self.overview.z)
        if z.ndim < 2 or (len(z), z.shape[-1]) != (len(self.log_evidence), 2):
            wanted = f"[{len(self.log_evidence)}, ..., 2]"
            raise ValueError(f"The points z have shape {list(z.shape)}; it must be {wanted}: some for each image.")
        flat = z.reshape(len(z), 1, -1, 2)
        wanted = torch.ones(flat.shape[:2], dtype=bool, device=z.device)
        return (self.joint(flat, wanted)[:, 0] - self.log_evidence[:, None]).reshape(z.shape[:-1])

    @torch.no_grad()
    def kl(self, q: Distribution) -> Tensor:
        """KL(q || p(z|x)) in nats, [B], for q of batch_shape [B] on the plane, of which only log_prob is needed."""
        return self.divergence(q)[0]

    def divergence(self, q: Distribution, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """KL(q || p(z|x)) and the estimate of its error, each [B], integrated where q lies; of `rows` only if given."""
        if q.batch_shape != self.log_evidence.shape or q.event_shape != (2,):
            shapes = f"batch_shape {list(q.batch_shape)} and event_shape {list(q.event_shape)}"
            raise ValueError(f"q has {shapes}; it needs [{len(self.log_evidence)}] and [2], one for each image.")
        with eval_mode(self.joint.vae):
            return self.integrated(q, rows)

    def integrated(self, q: Distribution, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        # A flow is integrated over its base, whose mass is known to lie where it says, and sent forward.
        base, steps = (q.base_dist, q.transforms) if isinstance(q, TransformedDistribution) else (q, [])
        log_q = LogDensity(base, self.overview.z)
        peaks = where(base, log_q, self.overview)
        rows = torch.arange(len(self.log_evidence), device=self.log_evidence.device) if rows is None else rows
        mean, error = torch.zeros_like(self.log_evidence), torch.zeros_like(self.log_evidence)
        sums, largest = None, torch.zeros_like(rows, dtype=torch.float64)
        for before, copies in pairwise((0, 3, *LEVELS)):
            nodes, some = lay(peaks, before, copies), peaks.of(rows)
            log_density = log_q(nodes.z)[rows]
            weight = (log_density + nodes.log_area[rows]).exp()
            z, log_det = forward(steps, nodes.z, self.overview.z)
            gap = log_density - log_det[rows] - self.joint.of(rows)(z[rows], some.alive).clamp_min(-1e30)
            gap = gap.masked_fill(weight == 0, 0)
            largest = largest.maximum(gap.abs().amax((1, 2)))
            new = torch.stack([add_copies(weight * gap, nodes.copy), add_copies(weight, nodes.copy)])
            sums = new if sums is None else torch.cat([sums, new], 2)
            mean[rows] = sums[0].sum(1) / sums[1].sum(1).clamp_min(1e-300)
            # q is normalised: mass that its patches lack is an error that the copies cannot show.
            lost = (1 - sums[1].mean(1)).abs()
            spread = SAFETY * scatter(sums[0] / sums[1].clamp_min(1e-300))
            error[rows] = spread + torch.where(lost < 0.01, lost * SAFETY * largest, torch.inf)
            kl = mean[rows] + self.log_evidence[rows]
            rough = spread > torch.maximum(0.02 * kl, torch.full_like(kl, 6 * self.tolerance))
            rows, sums, largest = rows[rough], sums[:, rough], largest[rough]
            if not len(rows):
                break
        return (mean + self.log_evidence).clamp_min(0), error + self.error

    def frame(self, b: int, drop: float = 8.0) -> tuple[float, float, float, float]:
        """The box (z1 from, to, z2 from, to) in which image b's density is within `drop` nats of its peak."""
        high = self.work.values[b] > self.work.values[b].amax() - drop
        z = self.work.z[b][high & self.work.log_area[b].isfinite()]
        (left, bottom), (right, top) = z.amin(0).tolist(), z.amax(0).tolist()
        return left, right, bottom, top


def centre(q: Distribution) -> Tensor:
    """Where to look for q first, [B, 2]: its mean, or that of some samples where torch knows no mean (flows)."""
    try:
        return q.mean
    except NotImplementedError:
        return q.sample((256,)).mean(0)


def ascents(first: Tensor, table: Tensor, overview: Overview) -> tuple[Tensor, Tensor]:
    """Starts [B, K, 2] and which are real: `first` [B, 2], and the maxima of the overview's table [B, S * S]."""
    nodes, maxima = local_maxima(table.reshape(-1, overview.size, overview.size), STARTS)
    real = torch.cat([torch.ones_like(maxima[:, :1]), maxima], 1)
    return torch.cat([first[:, None], overview.z[nodes]], 1), real


def forward(steps: list[Transform], z: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """A flow's image of z [B, K, P, 2] and its log determinant [B, K, P], in float64."""
    there, log_det = z.permute(1, 2, 0, 3).to(like), torch.zeros_like(z[..., 0])
    for step in steps:
        before, there = there, step(there)
        log_det = log_det + step.log_abs_det_jacobian(before, there).double().permute(2, 0, 1)
    return (there.double().permute(2, 0, 1, 3) if steps else z), log_det


class LogDensity:
    """log q at z [B, K, P, 2] for q of batch_shape [B]: [B, K, P], in float64."""

    def __init__(self, q: Distribution, like: Tensor) -> None:
        self.q, self.like = q, like

    def __call__(self, z: Tensor, wanted: Tensor | None = None) -> Tensor:
        values = self.q.log_prob(z.permute(1, 2, 0, 3).to(self.like)).double().permute(2, 0, 1)
        return values.nan_to_num(nan=-torch.inf, neginf=-torch.inf)


def where(q: Distribution, log_q: LogDensity, overview: Overview) -> Peaks:
    """The patches on which q lies: from its or its components' mean and scale if Gaussian, else found by log_prob."""
    parts = q.component_distribution if isinstance(q, MixtureSameFamily) else q
    if is_diagonal(parts) or isinstance(parts, MultivariateNormal):
        root = torch.diag_embed(parts.stddev) if is_diagonal(parts) else parts.scale_tril
        shape = (len(root), -1, 2)
        mean, scale = parts.mean.reshape(shape).double(), root.reshape(*shape, 2).double()
        value = log_q(mean[:, :, None])[..., 0]
        return Peaks(mean, scale, value, torch.ones_like(value, dtype=bool))
    first = centre(q)
    table = log_q(overview.z.expand(len(first), 1, -1, 2))[:, 0]
    peaks = find_patches(log_q, *ascents(first, table, overview), overview.spacing)
    for _ in range(4):
        nodes = lay(peaks, 0, LEVELS[0])
        mass = add_copies((log_q(nodes.z) + nodes.log_area).exp(), nodes.copy).mean(1)
        if ((1 - mass).abs() < 1e-3).all():
            break
        peaks.scale = 1.5 * peaks.scale
        peaks = distinct(recentre(log_q, peaks))
        peaks.scale = 1.2 * peaks.scale
    return peaks


@in_eval_mode
def true_posterior(
    vae: VAE, x: Tensor, overview: Overview | None = None, tolerance: float = TOLERANCE
) -> TruePosterior:
    """The exact posterior of images x [B, C, H, W] under a VAE with D = 2; ValueError for any other D.

    `overview` is the grid of decodes to reuse; without it one is made around the codes of x. A larger `tolerance`, nats
    of log p(x), takes fewer decodes where a posterior is rough; what it costs stands in `error`.
    """
    must_be_flat(vae)
    x = images_of(vae, x)
    with torch.no_grad():
        overview = overview or Overview(vae, centre(vae.posterior(x)))
    return TruePosterior(vae, x.to(overview.z), overview, tolerance)
