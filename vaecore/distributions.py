"""The distributions that torch lacks."""

from torch import Tensor
from torch.distributions import Bernoulli, constraints
from torch.nn.functional import softplus


class GreyBernoulli(Bernoulli):
    """Bernoulli by logits whose log density also accepts grey values x in [0, 1].

    log p(x) = x·logit - softplus(logit) is linear in x: for a grey pixel it is the mean of log p over the pixel's
    random binarisations b ~ Bernoulli(x), and for x in {0, 1} the usual log probability (nats).
    """

    support = constraints.unit_interval

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return value * self.logits - softplus(self.logits)
