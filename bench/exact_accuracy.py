"""How far the exact posterior is from a much finer reference, on test images drawn by a printed seed.

    python -m bench.exact_accuracy pretrained/mnist-vae-2d --images 500 --seed 0

The reference decodes a 1000 x 1000 overview, climbs from up to 30 of its maxima for each image, and sums lattices of
0.14 standard deviations over +-7 around every peak, where each node belongs to the nearest peak alone; KL(q || p(z|x))
is summed on such a lattice around q. It shares with vaecore.exact the climbing of peaks and the decoder, nothing else.
"""

import argparse
import json
import math
import time

import torch
from torch import Tensor
from tqdm import tqdm

import vaecore
from vaecore import exact
from vaecore.evaluation import encode
from vaecore.exact.joint import Joint
from vaecore.exact.overview import local_maxima
from vaecore.exact.peaks import Peaks, ascend, distinct

STEP, REACH, SIZE, MAXIMA = 0.14, 7.0, 1000, 30


def square() -> Tensor:
    line = torch.arange(-REACH, REACH + STEP / 2, STEP, dtype=torch.float64)
    return torch.cartesian_prod(line, line)


def log_joint(vae: vaecore.VAE, x: Tensor, z: Tensor) -> Tensor:
    """log p(x, z) of one image x at z [P, 2], in float64."""
    return Joint(vae, x[None])(z[None, None], torch.ones(1, 1, dtype=bool))[0, 0]


def fine_evidence(vae: vaecore.VAE, x: Tensor, peaks: Peaks, overview: exact.Overview, table: Tensor) -> float:
    """log p(x) of one image from all its peaks' lattices and what the overview sees outside them."""
    near, terms = torch.zeros(len(table), dtype=torch.bool), []
    for k in peaks.alive[0].nonzero()[:, 0].tolist():
        z = peaks.centre[0, k] + square() @ peaks.scale[0, k].T
        own = peaks.distance(z[None])[0].argmin(1) == k
        area = math.log(STEP**2 * abs(float(peaks.scale[0, k].det())))
        terms.append(log_joint(vae, x, z)[own] + area)
        inside = (
            torch.linalg.inv(peaks.scale[0, k]).float() @ (overview.z.double() - peaks.centre[0, k]).float().T
        ).abs()
        near |= inside.amax(0) < REACH
    cell = float(overview.spacing.double().log().sum())
    return float(torch.cat([*terms, table[~near].double() + cell]).logsumexp(0))


def fine_kl(vae: vaecore.VAE, x: Tensor, q: torch.distributions.Distribution, log_evidence: float) -> float:
    z = q.mean.double() + square() * q.stddev.double()
    log_q = torch.distributions.Independent(torch.distributions.Normal(q.mean.double(), q.stddev.double()), 1).log_prob(
        z
    )
    weight = log_q.exp()
    gap = log_q - log_joint(vae, x, z)
    return float((weight * gap).sum() / weight.sum()) + log_evidence


@torch.no_grad()
def reference(vae: vaecore.VAE, x: Tensor, overview: exact.Overview) -> tuple[float, float]:
    """log p(x) and KL(q || p(z|x)) of one image x [1, C, H, W]."""
    table = overview.log_joint(x)
    nodes, alive = local_maxima(table, MAXIMA)
    q = vae.posterior(x)
    starts = torch.cat([q.mean[:, None], overview.z[nodes]], 1)
    alive = torch.cat([torch.ones_like(alive[:, :1]), alive], 1)
    # Peaks as narrow as the overview's cells need no wide first stencil; each keeps its own curvature's scale.
    peaks = distinct(ascend(Joint(vae, x), starts, alive, overview.spacing), faint=16)
    log_evidence = fine_evidence(vae, x[0], peaks, overview, table.flatten())
    return log_evidence, fine_kl(vae, x[0], row(q), log_evidence)


def row(q: torch.distributions.Distribution) -> torch.distributions.Distribution:
    return torch.distributions.Independent(torch.distributions.Normal(q.mean[0], q.stddev[0]), 1)


def one_by_one(vae: vaecore.VAE, x: Tensor, overview: exact.Overview) -> dict:
    """What one new image costs once the grid is there, over the first 40."""
    costs = {"overview": overview.log_joint, "posterior and gap": lambda image: exact.split_gap(vae, image, overview)}
    result = {}
    for name, ask in costs.items():
        seconds = []
        for image in x[:41].split(1):
            clock = time.perf_counter()
            ask(image)
            seconds.append(time.perf_counter() - clock)
        seconds = sorted(seconds[1:])  # the first call warms torch up
        result[f"one image, {name}: median and most (ms)"] = [
            round(1000 * t, 1) for t in (seconds[len(seconds) // 2], seconds[-1])
        ]
    return result


def share(right: Tensor) -> float:
    return round(float(right.double().mean()), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    vae = vaecore.load(options.folder)
    data = vaecore.load_dataset(vaecore.checkpoints.read_config(options.folder)["dataset"], "test")
    codes, _ = encode(vae, data.images)
    x = data.images[torch.randperm(len(data), generator=torch.Generator().manual_seed(options.seed))[: options.images]]
    overview, clock = exact.Overview(vae, codes), time.perf_counter()
    gaps = [exact.split_gap(vae, part, overview) for part in tqdm(x.split(50), desc="vaecore.exact")]
    seconds = time.perf_counter() - clock
    fine = exact.Overview(vae, codes, SIZE)
    truth = torch.tensor(
        [reference(vae, image[None], fine) for image in tqdm(x, desc="reference")], dtype=torch.float64
    )
    found, kl, error, kl_error = (
        torch.cat([getattr(gap, name) for gap in gaps]) for name in ("log_evidence", "total", "error", "gap_error")
    )
    off, kl_off = (found - truth[:, 0]).abs(), (kl - truth[:, 1]).abs()
    result = {
        "checkpoint": options.folder,
        "images": len(x),
        "seed": options.seed,
        "threads": torch.get_num_threads(),
        "seconds per image, in batches of 50": round(seconds / len(x), 4),
        **one_by_one(vae, x, overview),
        "log evidence within 0.01 nat": share(off < 0.01),
        "KL within 0.02 nat or 1 %": share(kl_off < torch.maximum(0.01 * truth[:, 1], torch.tensor(0.02))),
        "error estimate covers log evidence": share(off <= error),
        "error estimate covers KL": share(kl_off <= kl_error),
        "images of several modes": share(torch.cat([gap.modes for gap in gaps]) > 1),
    }
    for name, values in (("log evidence off", off), ("KL off", kl_off), ("error estimate", error)):
        quantiles = values.quantile(torch.tensor([0.5, 0.9, 0.99, 1.0], dtype=torch.float64)).tolist()
        result[f"{name}: median, 90 %, 99 %, most (nat)"] = [round(v, 5) for v in quantiles]
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
