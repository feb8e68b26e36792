"""The true posterior p(z|x) of a 2-D latent space, by quadrature.

A posterior can be a hundred times narrower than any grid over the latent space, so it is found in three steps:

1. The overview: the decoder on a coarse grid, decoded once for a checkpoint. Its local maxima and the encoder's mean
   are starting points.
2. The peaks: from each start a quadratic is fitted to log p(x, z) on a stencil of the peak's own width, and climbed.
   A stencil of that width looks across the kinks of a ReLU decoder.
3. The patches: around each peak a lattice, scaled and turned to the mass that lies there. Each patch is summed by the
   trapezoid rule on shifted copies of its lattice; the copies are doubled until they scatter little. Where
   patches overlap, each point's mass is shared out by weights that sum to one (Veach & Guibas 1995).

Each image's error estimate covers the step, the mass beyond the patches' edges, and what the overview sees outside.
"""

from vaecore.exact.gap import Gap, best_gaussian, split_gap
from vaecore.exact.overview import Overview
from vaecore.exact.posterior import TruePosterior, true_posterior

__all__ = ["Gap", "Overview", "TruePosterior", "best_gaussian", "split_gap", "true_posterior"]
