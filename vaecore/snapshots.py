"""What a page shows of a training's epoch: small tensors in snapshots/EPOCH.safetensors, written whole or not at all.

    originals, reconstructions   uint8 [8, C, H, W], test images, and p(x|z)'s mean at the mean of q(z|x)
    samples                      uint8 [24, C, H, W], p(x|z)'s mean at draws of the prior by the same noise always
and with two latent dimensions, of the first of these images,
    codes, labels                the means of q(z|x) of some test images [N, 2]; uint8 [N], where there are labels
    axes, log_density            a grid [2, S] and log p(x, z) on it [S, S], from its peak
    q_loc, q_scale               the encoder's mean and standard deviation [2]
    q_draws                      draws of q [M, 2], where it is no diagonal Gaussian
"""

import re
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaecore.datasets import Dataset
from vaecore.distributions import draw, is_diagonal
from vaecore.eval_mode import in_eval_mode
from vaecore.evaluation import encode
from vaecore.exact.joint import Joint
from vaecore.runs import SNAPSHOTS
from vaecore.safefiles import read_tensors, write_tensors
from vaecore.tensor_forms import held_to
from vaecore.vae import VAE

SHOWN, SAMPLES, CODES, DRAWS, SIDE = 8, 24, 300, 200, 40
NUMBER = re.compile(r"[0-9]{1,9}")
# B images and S samples, of C channels; a grid of G by G nodes.
IMAGES = {"originals": "uint8 B C H W", "reconstructions": "uint8 B C H W", "samples": f"uint8 {SAMPLES} C H W"}
FLAT = {
    "codes": "float N 2",
    "axes": "float 2 G",
    "log_density": "level G G",
    "q_loc": "float 2",
    "q_scale": "float 2",
}
PLANE = IMAGES | FLAT
FORM = PLANE | {"labels": "uint8 N", "q_draws": "float M 2"}
DEEP = 12.0  # nats below the peak: the grid goes on closing in until that much of it fills a third
MOST = 100  # of a run: with more epochs, every second or third one
COSTLY = 0.1  # of a run's time may go into snapshots


class Shutter:
    """Takes a snapshot of an epoch where it is due and does not cost too much."""

    def __init__(self, folder: Path, test: Dataset, epochs: int) -> None:
        self.folder, self.test, self.epochs = folder / SNAPSHOTS, test, epochs
        self.every = -(-epochs // MOST)
        self.begun, self.spent = time.monotonic(), 0.0
        self.folder.mkdir(exist_ok=True)

    def take(self, vae: VAE, epoch: int) -> None:
        """Of the first and the last epoch always."""
        now = time.monotonic()
        ends = epoch in (1, self.epochs)
        if not ends and (epoch % self.every or self.spent > COSTLY * (now - self.begun)):
            return
        write_tensors(self.folder / f"{epoch:05d}.safetensors", shot(vae, self.test))
        self.spent += time.monotonic() - now


def epochs_in(folder: Path) -> dict[int, Path]:
    """The snapshots of a run's folder, or of a checkpoint's, by epoch."""
    files = sorted((folder / SNAPSHOTS).glob("[0-9]*.safetensors"))
    return {int(file.stem): file for file in files if NUMBER.fullmatch(file.stem)}


def read(file: Path) -> dict[str, Tensor]:
    """What a page shows of an epoch; BadFile where the file does not hold just that."""
    tensors = read_tensors(file)
    return held_to(FORM, tensors, file, PLANE if any(name in tensors for name in FLAT) else IMAGES)


@in_eval_mode
@torch.no_grad()
def shot(vae: VAE, test: Dataset) -> dict[str, Tensor]:
    """All that is shown of `vae` as it is; torch's generator stays as it was."""
    devices = [vae.device] if vae.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(0)
        x = test.images[:SHOWN].to(vae.device)
        q = vae.posterior(x)
        taken = {
            "originals": grey_levels(x),
            "reconstructions": grey_levels(vae.likelihood(q.mean).mean),
            "samples": grey_levels(vae.likelihood(vae.prior().sample((SAMPLES,))).mean),
        }
        if q.event_shape == (2,):
            taken |= plane(vae, test)
    return {name: tensor.cpu() for name, tensor in taken.items()}


def grey_levels(images: Tensor) -> Tensor:
    return (images.nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8)


def plane(vae: VAE, test: Dataset) -> dict[str, Tensor]:
    """The latent map, and the true posterior of the first image under its q."""
    # A refinement would take long for so many: their map shows what it starts from.
    plain = VAE(vae.prior, vae.encoder, vae.decoder)
    codes = encode(plain, test.images[:CODES].to(vae.device))[0]
    x = test.images[:1].to(vae.device)
    q = vae.posterior(x)
    axes, log_density = close_in(Joint(vae, x), codes)
    found = {"codes": codes.float(), "axes": axes.float(), "log_density": log_density.float()}
    found |= {"q_loc": q.mean[0], "q_scale": q.stddev[0]} | draws_of(q)
    return found | ({} if test.labels is None else {"labels": test.labels[:CODES].to(torch.uint8)})


def draws_of(q: Distribution) -> dict[str, Tensor]:
    """Places that say where q lies, where an ellipse does not."""
    if is_diagonal(q):
        return {}
    z, weight = draw(q, DRAWS)
    chosen = torch.multinomial(weight[:, 0].clamp_min(0) + 1e-12, DRAWS, replacement=True)
    return {"q_draws": z[chosen, 0].float()}


def close_in(joint: Joint, codes: Tensor, rounds: int = 4) -> tuple[Tensor, Tensor]:
    """A grid that holds the posterior's bulk, axes [2, S], and log p(x, z) there from its peak, [S, S].

    Its sides are powers of two and its middle moves by quarters of them, so that pictures of later epochs stay still.
    """
    bulk = torch.stack([codes.amin(0).clamp_max(-3), codes.amax(0).clamp_min(3)])
    for _ in range(rounds):
        axes = grid_around(bulk)
        nodes = torch.cartesian_prod(*axes)
        values = joint(nodes[None, None], torch.ones(1, 1, dtype=torch.bool, device=nodes.device)).reshape(SIDE, SIDE)
        values = values - values.max()
        inside = (values > -DEEP).nonzero()
        step = axes[:, 1] - axes[:, 0]
        ends = torch.stack([axes[k][inside[:, k]] for k in (0, 1)], 1)
        bulk = torch.stack([ends.amin(0) - step, ends.amax(0) + step])
        if (bulk[1] - bulk[0]).max() > (axes[:, -1] - axes[:, 0]).max() / 3:
            break
    return axes, values


def grid_around(bulk: Tensor) -> Tensor:
    side = 2.0 ** torch.ceil(torch.log2((bulk[1] - bulk[0]).max() * 1.1))
    middle = (bulk.mean(0) / (side / 4)).round() * (side / 4)
    reach = side * torch.linspace(-0.625, 0.625, SIDE, device=bulk.device, dtype=bulk.dtype)
    return middle[:, None] + reach
