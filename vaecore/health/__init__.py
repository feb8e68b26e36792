"""Is a VAE healthy? Its bounds, codes and prior in one report that takes less than a minute.

Every number of a report comes with its standard error and the protocol in words; `vaecore.verdicts` judges them. A
report is measured stage by stage, may be stopped and gone on with, and is kept for the weights that it belongs to.
"""

from vaecore.health.kept import keep, name, read
from vaecore.health.measures import stored_gap
from vaecore.health.report import first, protocol, report, with_analysis
from vaecore.health.sizes import PIXELS, QUICK, REFINED, SHAPED, Sizes, sizes_for

__all__ = [
    "PIXELS",
    "QUICK",
    "REFINED",
    "SHAPED",
    "Sizes",
    "first",
    "keep",
    "name",
    "protocol",
    "read",
    "report",
    "sizes_for",
    "stored_gap",
    "with_analysis",
]
