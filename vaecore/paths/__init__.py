"""Ways between two points of a latent space, and what a prior makes of them (learned-prior paper, Figure 2).

A path is [T, D], its ends the two points. Beside the straight line and the great circle there are two that are searched
for, neither worse than the straight line in its own measure: over the highest pass of log p(z), and with the least
change of the decoded image.
"""

from vaecore.paths.geodesic import smoothest
from vaecore.paths.pairs import COARSE, Pairs, find_pairs
from vaecore.paths.passes import ROUNDING, highest_valley
from vaecore.paths.ways import FINE, STEPS, energy, linear, lowest, refined, spherical, valley

__all__ = [
    "COARSE",
    "FINE",
    "ROUNDING",
    "STEPS",
    "Pairs",
    "energy",
    "find_pairs",
    "highest_valley",
    "linear",
    "lowest",
    "refined",
    "smoothest",
    "spherical",
    "valley",
]
