"""How long a posterior takes beside the plain VAE's, call by call: GPVAE and RME(5), D = 50, batch 128, random weights.

python -m bench.posterior_ratio --device cuda
"""

import argparse
import time
from statistics import median

import torch

from vaecore.recipes import build, label


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--calls", type=int, default=300)
    options = parser.parse_args()
    wait = torch.cuda.synchronize if options.device.startswith("cuda") else int
    x = torch.rand(128, 1, 28, 28, device=options.device)
    systems = [build(name, (1, 28, 28), 50).to(options.device).eval() for name in ("vae", "gpvae", "rme")]
    taken: list[list[float]] = [[] for _ in systems]
    with torch.no_grad():
        for call in range(options.calls):
            for vae, times in zip(systems, taken, strict=True):
                wait()
                start = time.perf_counter()
                vae.posterior(x)
                wait()
                if call >= options.calls // 6:
                    times.append(time.perf_counter() - start)
    for vae, times in zip(systems, taken, strict=True):
        print(
            f"{label(vae.config)}: {1e3 * median(times):.3f} ms, {median(times) / median(taken[0]):.2f} times the VAE's"
        )


if __name__ == "__main__":
    main()
