"""log p(x, z) at many z for each of many images."""

import torch
from torch import Tensor

from vaecore.eval_mode import eval_mode
from vaecore.vae import VAE

CHUNK = 512  # decodes at once: what runs fastest on a CPU


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
            with eval_mode(self.vae):
                found = torch.cat([self.vae.log_joint(self.x[i], z) for z, i in pieces])
            # A likelihood of bounded support, or a decoder that overflows, says that z is impossible.
            values[wanted] = found.double().nan_to_num(nan=-torch.inf, neginf=-torch.inf).reshape(-1, z.shape[2])
        return values
