"""What the analysis of a checkpoint costs beside the bare decoding of the points that it uses, and in memory.

python -m bench.analysis_cost pretrained/mnist-vae-2d --images 300
"""

import argparse
import json
import resource
import time

import torch

from vaecore import analysis, load, load_dataset
from vaecore.checkpoints import read_config
from vaecore.memory import keep_freed_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--images", type=int, default=300)
    options = parser.parse_args()
    keep_freed_memory()
    vae = load(options.folder)
    test = load_dataset(read_config(options.folder)["dataset"], "test")
    decoded: list[int] = []
    hook = vae.decoder.register_forward_pre_hook(lambda module, inputs: decoded.append(len(inputs[0])))
    analysis.measures(vae, test.images[:1000])
    decoded.clear()
    start = time.perf_counter()
    analysis.analyse(vae, test.images, test.labels, options.images)
    whole = time.perf_counter() - start
    hook.remove()
    bare = time_of_decoding(vae, decoded)
    print(
        json.dumps(
            {
                "images": options.images,
                "threads": torch.get_num_threads(),
                "seconds": whole,
                "seconds of bare decoding": bare,
                "ratio": whole / bare,
                "decodes per image": sum(decoded) / options.images,
                "minutes for 10,000 images": whole / options.images * 10_000 / 60,
                "peak memory, GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
            },
            indent=2,
        )
    )


@torch.no_grad()
def time_of_decoding(vae: torch.nn.Module, sizes: list[int]) -> float:
    """The same batches through the decoder's network, and nothing else."""
    z = torch.randn(max(sizes), 2)
    start = time.perf_counter()
    for size in sizes:
        vae.decoder.net(z[:size])
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
