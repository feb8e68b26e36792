"""Encoders: modules whose call returns q(z|x), with batch_shape [B] and event_shape [D]."""

from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal


class GaussianEncoder(nn.Module):
    """q(z|x) = N(z; m(x), diag s(x)²), where the network gives m and log s²."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Distribution:
        loc, log_variance = self.net(x).chunk(2, dim=-1)
        return Independent(Normal(loc, (0.5 * log_variance).exp()), 1)
