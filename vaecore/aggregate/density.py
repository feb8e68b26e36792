"""log q(z), the aggregated posterior's density: exact sums over all codes, in blocks that fit a processor's cache."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaecore.distributions import is_diagonal
from vaecore.eval_mode import in_eval_mode
from vaecore.evaluation import encode
from vaecore.inputs import floats_of, images_of, points_of
from vaecore.vae import VAE

OnEvent = Callable[[dict], None] | None

ROWS, BLOCK = 1000, 1000  # points and codes at once: their densities stay in a processor's cache
# Single precision holds sums of 2^±126. A point's terms are divided by 2^60 times its largest sampled one, so that
# larger ones have room: a factor 2^188 until they overflow, which is noticed and put right. Smaller ones than 2^-126,
# where processors become slow, are raised to it: 2^-66 of a term that is there.
LEAST, HEADROOM = -126, 60
TOLERANCE = 0.01  # nats: where single precision could lose more, the product is double
PAIRS = 1 << 20  # at most this many densities of a q that is no diagonal Gaussian at once


@torch.no_grad()
def log_aggregate(z: Tensor, loc: Tensor, scale: Tensor, on_event: OnEvent = None) -> Tensor:
    """log q(z) = log 1/N sum_i N(z; loc_i, diag scale_i²), exact, in memory of a few times the codes.

    The exponents are one matrix product, [z², z, 1] by each code's coefficients; their exponentials are taken to base
    2, which is twice as fast as to base e. Where single precision could lose more than 0.01 nats, as it does for
    posteriors that are narrow beside the spread of the codes, the product is in double precision.

    Args:
        z: points [M, D].
        loc, scale: means and standard deviations of q(z|x_i), each [N, D].
        on_event: called with {"event": "step", "step": k, "steps": n} after each portion of the points.

    Returns:
        [M] nats, float64.
    """
    z, loc, scale = fitting(z, loc, scale)
    centre = loc.double().mean(0)
    # Squares cancel least where the codes are around zero.
    z, loc, scale = z.double() - centre, loc.double() - centre, scale.double()
    dtype = torch.float32 if rounding(z, loc, scale) <= TOLERANCE else torch.float64
    both = zip(loc.split(BLOCK), scale.split(BLOCK), strict=True)
    blocks, parts, found = [coefficients(m, s).to(dtype) for m, s in both], z.split(ROWS), []
    few = slice(None, None, max(1, len(loc) // 256))
    work = partial(log2_sum, sample=coefficients(loc[few], scale[few]), blocks=blocks)
    with closing(side_by_side(work, parts)) as results:
        for step, result in enumerate(results, 1):
            found.append(result)
            if on_event:
                on_event({"event": "step", "step": step, "steps": len(parts)})
    return torch.cat(found) * math.log(2) - math.log(len(loc))


@in_eval_mode
@torch.no_grad()
def log_aggregate_of(vae: VAE, z: Tensor, images: Tensor, on_event: OnEvent = None) -> Tensor:
    """log 1/N sum_i q(z|x_i) for z [M, D] and images [N, C, H, W], whatever q is: [M] nats, float64.

    Diagonal Gaussians go by `log_aggregate`; of any other q the density of each pair is asked, which is slow.
    """
    z, images = points_of(vae, z), images_of(vae, images)
    if is_diagonal(vae.posterior(images[:1].to(vae.device))):
        return log_aggregate(z, *(part.to(z.device) for part in encode(vae, images)), on_event)
    z, parts = z.to(next(vae.parameters())), images.split(BLOCK)
    total = torch.full((len(z),), -torch.inf, dtype=torch.float64, device=z.device)
    for step, x in enumerate(parts, 1):
        total = torch.logaddexp(total, pairwise(vae.posterior(x.to(vae.device)), z, lambda p: p.logsumexp(1)))
        if on_event:
            on_event({"event": "step", "step": step, "steps": len(parts)})
    return total - math.log(len(images))


@torch.no_grad()
def log_densities(z: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """log q(z|x_i) of each pair, [M, N] nats, float64, for a few points z [M, D] and codes [N, D]."""
    z, loc, scale = fitting(z, loc, scale)
    centre = loc.double().mean(0)
    exponents = powers(z.double() - centre) @ coefficients(loc.double() - centre, scale.double()).T
    return exponents * math.log(2)


@in_eval_mode
@torch.no_grad()
def log_densities_of(vae: VAE, z: Tensor, images: Tensor) -> Tensor:
    """log q(z|x_i) of each pair, [M, N] nats, float64, for a few points z [M, D] and any q."""
    z, images = points_of(vae, z), images_of(vae, images)
    if is_diagonal(vae.posterior(images[:1].to(vae.device))):
        return log_densities(z, *(part.to(z.device) for part in encode(vae, images)))
    z = z.to(next(vae.parameters()))
    return torch.cat([pairwise(vae.posterior(x.to(vae.device)), z, lambda p: p) for x in images.split(BLOCK)], 1)


def side_by_side(work: Callable[[Tensor], Tensor], parts: tuple[Tensor, ...]) -> Iterator[Tensor]:
    """`work` of each part, in order, as many at once as torch has threads, with one thread for each.

    Torch's own way, a share of every small step for each thread, waits for the slowest after each step: where other
    processes want the cores too, that took several times as long.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(parts) < 2 or parts[0].is_cuda:
        yield from map(work, parts)
        return
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(work, parts)
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def log2_sum(z: Tensor, sample: Tensor, blocks: list[Tensor]) -> Tensor:
    """log2 sum_i q(z|x_i) [M], for centred points z [M, D] and the `coefficients` of all codes, block by block.

    `sample` holds the coefficients of some codes; the blocks' precision is that of the product.
    """
    points, size = powers(z), len(z)
    left = points.to(blocks[0].dtype, copy=True)
    # Each point's level, by which its terms are divided, is part of the product; whole numbers are exact in it.
    left[:, -1] = -HEADROOM - (points @ sample.T).amax(1).ceil()
    total, product = points.new_zeros(size), left.new_empty(size * BLOCK)
    single = None if left.dtype == torch.float32 else torch.empty_like(product, dtype=torch.float32)
    for block in blocks:
        count = size * len(block)
        exponents = torch.mm(left, block.T, out=product[:count].view(size, len(block)))
        terms = exponents if single is None else single[:count].view(size, len(block)).copy_(exponents)
        found = terms.clamp_(min=LEAST).exp2_().sum(1).double()
        if not found.isfinite().all():
            over = ~found.isfinite()
            exponents = left[over] @ block.T
            rise = exponents.amax(1, keepdim=True).ceil() + HEADROOM
            found[over] = (exponents - rise).exp2().sum(1).double()
            total[over] *= (-rise[:, 0].double()).exp2()
            left[over, -1] -= rise[:, 0]
        total += found
    return total.log2() - left[:, -1].double()


def powers(z: Tensor) -> Tensor:
    """[z², z, 1, 0] with shape [M, 2D + 2]; the last column is free for a constant to add to a point's exponents."""
    return torch.cat([z.square(), z, torch.ones_like(z[:, :1]), torch.zeros_like(z[:, :1])], 1)


def coefficients(loc: Tensor, scale: Tensor) -> Tensor:
    """[N, 2D + 2], with `powers(z) @ coefficients.T` = log2 N(z; loc_i, diag scale_i²)."""
    precision = scale.reciprocal().square() / math.log(2)
    constant = (-0.5 * precision * loc.square() - scale.log2() - 0.5 * math.log2(2 * math.pi)).sum(1, keepdim=True)
    return torch.cat([-0.5 * precision, precision * loc, constant, torch.ones_like(constant)], 1)


def rounding(z: Tensor, loc: Tensor, scale: Tensor) -> float:
    """About the largest error, in nats, of an exponent whose product is in single precision."""
    reach = z.square().amax(0) if len(z) else z.new_zeros(z.shape[1])
    parts = zip(loc.split(4096), scale.split(4096), strict=True)
    return 2.0**-23 * max(float((torch.maximum(m.square(), reach) / s.square()).sum(1).max()) for m, s in parts)


def pairwise(q: Distribution, z: Tensor, reduce: Callable[[Tensor], Tensor]) -> Tensor:
    """`reduce` of q's log densities [m, B] at portions of z [M, D], joined: [M, ...], float64."""
    size = q.batch_shape[0]
    parts = z.split(max(1, PAIRS // (size * z.shape[1])))
    return torch.cat([reduce(q.log_prob(part[:, None].expand(-1, size, -1)).double()) for part in parts])


def fitting(z: Tensor, loc: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Points [M, D], means and standard deviations [N, D] of codes, as floats; ValueError where they do not fit."""
    parts = ((z, "The points z"), (loc, "The means"), (scale, "The standard deviations"))
    z, loc, scale = (floats_of(values, what, "N, D") for values, what in parts)
    if loc.shape != scale.shape or z.shape[1] != loc.shape[1] or not len(loc):
        shapes = f"{list(z.shape)}, {list(loc.shape)} and {list(scale.shape)}"
        raise ValueError(f"Points, means and scales have shapes {shapes}; they need [M, D], [N, D] and [N, D], N >= 1.")
    if not (scale > 0).all():
        raise ValueError("Each standard deviation must be above zero.")
    return z, loc, scale
