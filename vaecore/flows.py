"""Invertible maps of z that an image's features steer, as torch.distributions transforms.

A flow is a module whose call with features [B, F] gives the list of its steps.
"""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch.distributions import Transform, constraints
from torch.nn.functional import linear, logsigmoid


class Steered(Transform):
    """A bijection of z [*, B, D] that keeps its last log-determinant, so that no network runs twice."""

    domain = codomain = constraints.real_vector
    bijective = True

    def __init__(self) -> None:
        super().__init__(cache_size=1)

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = Transform.__hash__


class AutoregressiveStep(Steered):
    """z -> t + s z, where `steer(z)` gives t and log s, each [*, D], of z_d by the dimensions before d in `order`."""

    def __init__(self, steer: Callable[[Tensor], tuple[Tensor, Tensor]], order: Iterable[int]) -> None:
        super().__init__()
        self.steer, self.order = steer, order
        self._last: tuple[Tensor, Tensor] | None = None

    def _call(self, z: Tensor) -> Tensor:
        shift, log_scale = self.steer(z)
        self._last = z, log_scale.sum(-1)
        return shift + log_scale.exp() * z

    def _inverse(self, y: Tensor) -> Tensor:
        z = torch.zeros_like(y)
        for d in self.order:
            shift, log_scale = self.steer(z)
            column = torch.arange(y.shape[-1], device=y.device) == d
            z = torch.where(column, (y - shift) * (-log_scale).exp(), z)
        return z

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002  (torch's signature)
        if self._last is None or self._last[0] is not x:
            self._last = x, self.steer(x)[1].sum(-1)
        return self._last[1]


class MaskedNet(nn.Module):
    """MADE with one hidden layer (Germain et al. 2015), the features unmasked: (1 - s) m and log s, each [..., D].

    s is a sigmoid: the step s z + (1 - s) m is IAF's.
    Only the columns of z are masked: masking those of the features too would leave a flow that does not see x.
    """

    def __init__(self, latent_dim: int, features: int, width: int, backwards: bool) -> None:
        super().__init__()
        self.order = range(latent_dim)[::-1] if backwards else range(latent_dim)
        self.context = nn.Linear(features, width)
        self.first = nn.Linear(latent_dim, width, bias=False)
        self.last = nn.Linear(width, 2 * latent_dim)
        place = torch.tensor([self.order.index(d) for d in range(latent_dim)])
        sees = torch.arange(width) % latent_dim  # a hidden unit sees so many of the first dimensions
        self.register_buffer("first_mask", (place < sees[:, None]).float(), persistent=False)
        self.register_buffer("last_mask", (sees <= place[:, None]).float().repeat(2, 1), persistent=False)
        nn.init.constant_(self.last.bias[latent_dim:], 2.0)

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        hidden = (linear(z, self.first_mask * self.first.weight) + context).relu()
        mean, gate = linear(hidden, self.last_mask * self.last.weight, self.last.bias).chunk(2, dim=-1)
        return gate.neg().sigmoid() * mean, logsigmoid(gate)


class AutoregressiveFlow(nn.Module):
    """Inverse autoregressive flow (Kingma et al. 2016): every second step runs through the dimensions backwards."""

    def __init__(self, steps: int, latent_dim: int, features: int, width: int) -> None:
        super().__init__()
        self.nets = nn.ModuleList(MaskedNet(latent_dim, features, width, bool(step % 2)) for step in range(steps))

    def forward(self, features: Tensor) -> list[Transform]:
        return [AutoregressiveStep(partial(net, context=net.context(features)), net.order) for net in self.nets]


class Reflection(Steered):
    """z -> z - 2 v (v·z) / |v|²: its own inverse, with log-determinant 0; v = 0 leaves z as it is."""

    def __init__(self, normal: Tensor) -> None:
        super().__init__()
        # By its largest entry first, else the squares of a small one vanish and the map is no reflection any more.
        largest = normal.detach().abs().amax(-1, keepdim=True)
        self.unit = nn.functional.normalize(normal / torch.where(largest > 0, largest, 1.0), dim=-1)

    def _call(self, z: Tensor) -> Tensor:
        return z - 2 * self.unit * (self.unit * z).sum(-1, keepdim=True)

    _inverse = _call

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002  (torch's signature)
        return torch.zeros_like(x[..., 0])


class HouseholderFlow(nn.Module):
    """Householder flow (Tomczak & Welling 2016): v_1 is linear in the features, each further v in the one before.

    At first all v are equal, unlike the paper's, so that an even number of reflections cancels and a trained encoder
    stays what it is; an odd number begins with one reflection. v_1 is felt from the second step on.
    """

    def __init__(self, steps: int, latent_dim: int, features: int) -> None:
        super().__init__()
        sizes = [features, *[latent_dim] * steps]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        for layer in self.layers[1:]:
            nn.init.eye_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> list[Transform]:
        steps, normal = [], features
        for layer in self.layers:
            normal = layer(normal)
            steps.append(Reflection(normal))
        return steps
