"""Real NVP as Xu et al. 2019 build it: K blocks of invertible dense, coupling and actnorm (appendix B.2).

A density takes one pass, f: z -> w. Sampling inverts it and divides by the couplings' scales, which are linear in z
under a sigmoid: random weights have given samples of 1e47. So the inverse runs in float64 and what leaves +-`FARTHEST`
stops there.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear, logsigmoid

from vaecore.flows import Steered
from vaecore.nets import laid_out

FARTHEST = 1e6  # where a draw stops: no trained density leaves mass there
SCALES = ("shifted", "paper")


class InvertibleDense(nn.Module):
    """u -> W u with W = P L (U + diag(±exp(s))): at first a random orthogonal matrix; log|det W| = sum s.

    Glow's 1 x 1 convolution (Kingma & Dhariwal 2018) without the images; P and the signs stay what they are at first.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        permutation, lower, upper = torch.linalg.lu(torch.linalg.qr(torch.randn(dim, dim))[0])
        diagonal = upper.diagonal()
        self.lower, self.upper = nn.Parameter(lower.tril(-1)), nn.Parameter(upper.triu(1))
        self.log_scale = nn.Parameter(diagonal.abs().log())
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", diagonal.sign())

    def weight(self) -> Tensor:
        """W, [D, D]."""
        return laid_out(self, "weight", self.product)

    def inverse_weight(self) -> Tensor:
        """W⁻¹, [D, D], float64."""
        # Unchecked: a matrix that has no inverse gives what `Block.inverse` keeps finite, not an error.
        return laid_out(self, "inverse", lambda: torch.linalg.inv_ex(self.product().double()).inverse)

    def product(self) -> Tensor:
        lower = self.lower.tril(-1) + torch.eye(len(self.sign), device=self.sign.device)
        upper = self.upper.triu(1) + torch.diag_embed(self.sign * self.log_scale.exp())
        return self.permutation @ lower @ upper


class Coupling(nn.Module):
    """The left half stays and steers the right half (Dinh et al. 2017), by one hidden layer of leaky ReLU.

    `shifted` is (u_r + t) sigmoid(s + 2), with s = t = 0 at first, as the authors' libraries have it; `paper` is
    u_r sigmoid(s) + t as printed, where each block begins by about halving its right half.
    """

    def __init__(self, dim: int, width: int, scale: str) -> None:
        super().__init__()
        self.left, self.shifted = dim // 2, scale == "shifted"
        self.hidden, self.heads = nn.Linear(self.left, width), nn.Linear(width, 2 * (dim - self.left))
        if self.shifted:
            nn.init.zeros_(self.heads.weight)
            nn.init.zeros_(self.heads.bias)

    def steer(self, left: Tensor) -> tuple[Tensor, Tensor]:
        """log scale and shift, each [..., D - D // 2], in the dtype of `left`."""
        hidden, heads = self.hidden, self.heads
        h = leaky_relu(linear(left, hidden.weight.to(left.dtype), hidden.bias.to(left.dtype)))
        scale, shift = linear(h, heads.weight.to(left.dtype), heads.bias.to(left.dtype)).chunk(2, dim=-1)
        return logsigmoid(scale + 2 if self.shifted else scale), shift

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The image of u [..., D] and the log-determinant [...]."""
        left, right = u[..., : self.left], u[..., self.left :]
        log_scale, shift = self.steer(left)
        scale = log_scale.exp()
        right = (right + shift) * scale if self.shifted else right * scale + shift
        return torch.cat([left, right], -1), log_scale.sum(-1)

    def inverse(self, v: Tensor) -> Tensor:
        left, right = v[..., : self.left], v[..., self.left :]
        log_scale, shift = self.steer(left)
        back = (-log_scale).exp()
        return torch.cat([left, right * back - shift if self.shifted else (right - shift) * back], -1)


class ActNorm(nn.Module):
    """u -> (u + b) exp(s), by dimension; the first batch of a training sets b and s so that it leaves with mean 0 and
    variance 1."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.bias, self.log_scale = nn.Parameter(torch.zeros(dim)), nn.Parameter(torch.zeros(dim))
        self.register_buffer("begun", torch.zeros(()))
        self._begun = False  # the buffer as a Python number: to look at it would make a GPU wait

    def forward(self, u: Tensor) -> Tensor:
        if self.training and not self._begun:
            self.begin(u.detach().reshape(-1, u.shape[-1]))
        return (u + self.bias) * self.log_scale.exp()

    @torch.no_grad()
    def begin(self, u: Tensor) -> None:
        if not self.begun:
            self.bias.copy_(-u.mean(0))
            if len(u) > 1:  # a single point has no variance
                self.log_scale.copy_(-0.5 * u.var(0, correction=0).clamp_min(1e-6).log())
            self.begun.fill_(1.0)
        self._begun = True

    def _load_from_state_dict(self, *args: object) -> None:
        super()._load_from_state_dict(*args)
        self._begun = False  # what was loaded may be of before the first batch: look again

    def inverse(self, v: Tensor) -> Tensor:
        return v * (-self.log_scale.to(v.dtype)).exp() - self.bias.to(v.dtype)


class Block(nn.Module):
    """Invertible dense, coupling, actnorm: the paper's order."""

    def __init__(self, dim: int, width: int, scale: str) -> None:
        super().__init__()
        self.dense, self.coupling, self.norm = InvertibleDense(dim), Coupling(dim, width, scale), ActNorm(dim)

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The image of u [..., D] and the log-determinant [...]."""
        v, log_det = self.coupling(linear(u, self.dense.weight()))
        return self.norm(v), log_det + self.dense.log_scale.sum() + self.norm.log_scale.sum()

    def inverse(self, v: Tensor) -> Tensor:
        """The inverse image of v [..., D] in float64, kept finite."""
        u = self.coupling.inverse(self.norm.inverse(v)).nan_to_num().clamp(-1e100, 1e100)
        return linear(u, self.dense.inverse_weight())


class RealNVP(nn.Module):
    """K blocks as one bijection f of z [*, D]; a flow as in `flows`, whose features steer nothing."""

    WIDTH = 256

    def __init__(self, depth: int, dim: int, scale: str = SCALES[0]) -> None:
        if depth and dim < 2:
            raise ValueError(f"latent_dim is {dim}; a coupling needs at least 2 dimensions: one half steers the other.")
        super().__init__()
        self.blocks = nn.ModuleList(Block(dim, self.WIDTH, scale) for _ in range(depth))

    def forward(self, features: Tensor | None = None) -> list["RealNVPMap"]:  # noqa: ARG002  (as every flow)
        return [RealNVPMap(self.blocks)] if len(self.blocks) else []


class RealNVPMap(Steered):
    """f: z -> w, and its inverse."""

    def __init__(self, blocks: nn.ModuleList) -> None:
        super().__init__()
        self.blocks = blocks
        self._last: tuple[Tensor, Tensor] | None = None

    def _call(self, z: Tensor) -> Tensor:
        w, total = z, z.new_zeros(z.shape[:-1])
        for block in self.blocks:
            w, log_det = block(w)
            total = total + log_det
        self._last = z, total
        return w

    def _inverse(self, w: Tensor) -> Tensor:
        z = w.double()
        for block in reversed(self.blocks):
            z = block.inverse(z)
        return z.nan_to_num().clamp(-FARTHEST, FARTHEST).to(w.dtype)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002  (torch's signature)
        if self._last is None or self._last[0] is not x:
            self._call(x)
        return self._last[1]
