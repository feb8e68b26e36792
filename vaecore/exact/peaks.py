"""The peaks of a density on the plane, climbed by fitted quadratics: values only, no gradient."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Evaluate = Callable[[Tensor, Tensor], Tensor]  # z [B, K, P, 2] and which of [B, K] are wanted -> [B, K, P] nats

STENCIL = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [1.0, 1.0]])


@dataclass
class Peaks:
    """Where a density on the plane has its peaks: padded to K for each image, `alive` says which are real."""

    centre: Tensor  # [B, K, 2]
    scale: Tensor  # [B, K, 2, 2]; the columns are one standard deviation along the principal axes
    value: Tensor  # [B, K] log density at the centre
    alive: Tensor  # [B, K]

    def log_mass(self) -> Tensor:
        """The mass if each peak were Gaussian: log density + log 2 pi |scale|."""
        mass = self.value + math.log(2 * math.pi) + self.scale.det().abs().clamp_min(1e-300).log()
        return mass.masked_fill(~self.alive, -torch.inf)

    def distance(self, z: Tensor) -> Tensor:
        """Each z [B, P, 2] from each peak in its standard deviations: [B, P, K]; infinite for peaks not alive."""
        whiten = torch.linalg.inv(self.scale).to(z)
        apart = z[:, None] @ whiten.mT - (whiten @ self.centre.to(z)[..., None]).mT
        return apart.norm(dim=-1).mT.masked_fill(~self.alive[:, None], torch.inf)

    def of(self, rows: Tensor) -> "Peaks":
        return Peaks(self.centre[rows], self.scale[rows], self.value[rows], self.alive[rows])

    def take(self, order: Tensor) -> "Peaks":
        """The peaks in the order [B, K'] of each image."""
        rows = torch.arange(len(order), device=order.device)[:, None]
        return Peaks(
            self.centre[rows, order], self.scale[rows, order], self.value[rows, order], self.alive[rows, order]
        )

    def padded(self, count: int) -> "Peaks":
        parts = {name: padded(t, count) for name, t in vars(self).items()}
        parts["alive"][:, self.alive.shape[1] :] = False
        return Peaks(**parts)

    def joined(self, other: "Peaks") -> "Peaks":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Peaks(*(torch.cat(pair, 1) for pair in pairs))


def padded(t: Tensor, count: int, fill: float | None = None) -> Tensor:
    """t [B, K, ...] with K brought to `count` by repeating its first column, or by `fill`."""
    more = t[:, :1].repeat_interleave(count - t.shape[1], 1)
    return torch.cat([t, more if fill is None else torch.full_like(more, fill)], 1)


def quadratic(value: Tensor, around: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient [..., 2] and Hessian [..., 2, 2], in stencil units, of the quadratic through the stencil's values."""
    right, left, up, down, corner = around.unbind(-1)
    gradient = torch.stack([right - left, up - down], -1) / 2
    cross = corner - right - up + value
    rows = [torch.stack([right + left - 2 * value, cross], -1), torch.stack([cross, up + down - 2 * value], -1)]
    return gradient, torch.stack(rows, -2)


def ascend(f: Evaluate, start: Tensor, alive: Tensor, spacing: Tensor, rounds: int = 14) -> Peaks:
    """Climb log density f from each start [B, K, 2] by fitted quadratics on stencils that grow or shrink to its width.

    It needs values only, no gradient. Starts that fall far behind the image's best are given up on the way.
    """
    z, stencil = start.double(), STENCIL.to(start).double()
    scale = torch.diag_embed(spacing.double() / 2).expand(*z.shape, 2).clone()
    value = f(z[:, :, None], alive)[..., 0]
    moving = alive.clone()
    for turn in range(rounds):
        if not moving.any():
            break
        nearby = z[:, :, None] + stencil @ scale.mT
        # A fall of more than 50 nats, to minus infinity even, is a wall: how deep it is says nothing of the peak.
        around = f(nearby, moving).maximum(value[..., None] - 50)
        gradient, hessian = quadratic(value, around)
        curvature, axes = torch.linalg.eigh(-hessian.nan_to_num(0, 0, 0))
        slope = (axes.mT @ gradient.nan_to_num(0, 0, 0)[..., None])[..., 0]
        width = curvature.clamp_min(1 / 16).rsqrt().clamp(1 / 4, 4)
        leap = slope / curvature.abs().clamp_min(1 / 16)
        leap = leap * (4 / leap.norm(dim=-1, keepdim=True).clamp_min(4))
        tip = z + (scale @ axes @ leap[..., None])[..., 0]
        reached = f(tip[:, :, None], moving)
        choices = torch.cat([value[..., None], around, reached], -1)
        best = choices.argmax(-1)
        places = torch.cat([z[:, :, None], nearby, tip[:, :, None]], 2)
        step = moving[..., None]
        z = torch.where(step, places.gather(2, best[..., None, None].expand(*best.shape, 1, 2))[:, :, 0], z)
        value = torch.where(moving, choices.amax(-1), value)
        scale = torch.where(step[..., None], scale @ axes @ torch.diag_embed(width), scale)
        settled = ((leap / width).norm(dim=-1) < 0.1) & (width.log().abs().amax(-1) < 0.3)
        moving &= ~settled
        if turn >= 2:
            promise = value + 0.5 * (slope * leap).sum(-1).clamp(0, 50)
            alive = alive & (promise > value.masked_fill(~alive, -torch.inf).amax(1, keepdim=True) - 25)
            moving &= alive
    return Peaks(z, scale, value.masked_fill(~alive, -torch.inf), alive)


def distinct(peaks: Peaks, faint: float = 12.0) -> Peaks:
    """Keep, of peaks within one standard deviation of each other, the higher; drop those under e^-faint of the mass."""
    peaks = peaks.take(peaks.value.masked_fill(~peaks.alive, -torch.inf).argsort(dim=1, descending=True))
    apart = peaks.distance(peaks.centre)
    near = torch.minimum(apart, apart.mT) < 1
    for k in range(1, near.shape[1]):
        peaks.alive[:, k] &= ~(near[:, k, :k] & peaks.alive[:, :k]).any(1)
    mass = peaks.log_mass()
    peaks.alive &= mass > mass.amax(1, keepdim=True) - faint
    first = peaks.alive.int().argsort(dim=1, descending=True, stable=True)
    return peaks.take(first[:, : max(1, int(peaks.alive.sum(1).max()))])
