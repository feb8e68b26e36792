"""What ranking samples of a prior by log q(z) costs beside a bare matrix product of the same shapes.

python -m bench.ranking_cost --points 10000 --codes 60000 --latent 40
"""

import argparse
import json
import time
from collections.abc import Callable

import torch

from vaecore.aggregate import log_aggregate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--codes", type=int, default=60_000)
    parser.add_argument("--latent", type=int, default=40)
    parser.add_argument(
        "--scale", type=float, default=0.3, help="the least standard deviation; the largest is twice it"
    )
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    z, loc = (torch.randn(n, options.latent, generator=generator) for n in (options.points, options.codes))
    scale = options.scale * (1 + torch.rand(loc.shape, generator=generator))
    left, right = torch.cat([z, z], 1), torch.cat([loc, loc], 1).T.contiguous()
    product = torch.empty(1000, options.codes)
    work = {
        "bare product": lambda: [torch.mm(part, right, out=product[: len(part)]) for part in left.split(1000)],
        "ranking": lambda: log_aggregate(z, loc, scale),
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(options.repeats + 1):
        for name, job in work.items():
            times[name].append(seconds(job))
    best = {name: min(taken[1:]) for name, taken in times.items()}  # the first does not count
    print(
        json.dumps(
            {
                "shapes": f"[{options.points}, {2 * options.latent}] @ [{2 * options.latent}, {options.codes}]",
                "threads": torch.get_num_threads(),
                "seconds of the bare product": best["bare product"],
                "seconds of the ranking": best["ranking"],
                "ratio": best["ranking"] / best["bare product"],
            },
            indent=2,
        )
    )


def seconds(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
