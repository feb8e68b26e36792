"""Encoders: modules whose call returns q(z|x), with batch_shape [B] and event_shape [D].

`begin_with(encoder)` lets a fresh one begin with a trained VAE's Gaussian encoder, as its paper does.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Transform

from vaecore.distributions import Flow, Mixture, Shares, diagonal
from vaecore.nets import SideBySide


class GaussianEncoder(nn.Module):
    """q(z|x) = N(z; m(x), diag s(x)²), where the network gives m and log s²."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Distribution:
        return diagonal(self.net(x))


class FlowEncoder(GaussianEncoder):
    """The Gaussian encoder's z, sent through a flow that the features under its last layer steer (IAF, HF)."""

    def __init__(self, net: nn.Sequential, flow: Callable[[Tensor], list[Transform]]) -> None:
        super().__init__(net)
        self.flow = flow

    def forward(self, x: Tensor) -> Distribution:
        features = self.net[:-1](x)
        return Flow(diagonal(self.net[-1](features)), self.flow(features))

    def begin_with(self, encoder: GaussianEncoder) -> None:
        self.net.load_state_dict(encoder.net.state_dict())


class MixtureEncoder(nn.Module):
    """q(z|x) = sum_m a_m(x) N(z; m_m(x), diag s_m(x)²): the networks of all components run side by side.

    `gate(x, count)` gives log a [B, count] of the mixture of the first `count` components.
    """

    def __init__(self, nets: list[nn.Sequential], gate: nn.Module) -> None:
        super().__init__()
        self.parts, self.gate = SideBySide(nets), gate

    def __len__(self) -> int:
        return len(self.parts.nets)

    def forward(self, x: Tensor, count: int | None = None) -> Mixture:
        """The mixture of the first `count` components, of all by default."""
        parts = diagonal(self.parts(x, count).movedim(0, 1))
        return Mixture(Shares(self.gate(x, count)), parts, validate_args=False)

    def component(self, x: Tensor, index: int) -> Independent:
        """q_m(z|x) alone."""
        return diagonal(self.parts.nets[index](x))


class Gate(nn.Module):
    """a_m(x) by one network of one hidden layer and a softmax (ME). The first component begins with the VAE."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, count: int | None = None) -> Tensor:
        return self.net(x)[:, :count].log_softmax(-1)


class ImpactGate(nn.Module):
    """Each component m takes its impact e_m(x) from the mixture before it: Q_m = (1 - e_m) Q_m-1 + e_m q_m (RME).

    So a_m = e_m prod_l>m (1 - e_l), with e_0 = 1. All components begin with the VAE's encoder.
    """

    LEAST, MOST = 0.001, 0.1  # of an impact, as in the paper's pseudocode

    def __init__(self, nets: list[nn.Sequential]) -> None:
        super().__init__()
        self.impacts = SideBySide(nets)
        count, span = len(nets), self.MOST - self.LEAST
        # An impact of sigmoid s as the pair (e, 1 - e), and whose logarithms make up which log a.
        self.register_buffer("least", torch.tensor([self.LEAST, 1 - self.LEAST]), persistent=False)
        self.register_buffer("slope", torch.tensor([span, -span]), persistent=False)
        # As numbers: the first `tril` without memory (`checkpoints.shapes`) imports 800 modules, which takes seconds.
        columns = range(count + 1)
        sums = [row for m in range(count) for row in ([k == m + 1 for k in columns], [k <= m for k in columns])]
        self.register_buffer("sums", torch.tensor(sums, dtype=torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor, count: int | None = None) -> Tensor:
        count = len(self.impacts.nets) + 1 if count is None else count
        if count == 1:
            return x.new_zeros(len(x), 1)
        s = self.impacts(x, count - 1)[..., 0].mT.sigmoid()
        pairs = torch.addcmul(self.least, s[..., None], self.slope)
        return pairs.log().flatten(1) @ self.sums[: 2 * count - 2, :count]


class RecursiveMixtureEncoder(MixtureEncoder):
    def begin_with(self, encoder: GaussianEncoder) -> None:
        for net in self.parts.nets:
            net.load_state_dict(encoder.net.state_dict())


class JointMixtureEncoder(MixtureEncoder):
    # Identical components would stay identical under end-to-end training.
    def begin_with(self, encoder: GaussianEncoder) -> None:
        self.parts.nets[0].load_state_dict(encoder.net.state_dict())
