"""What the latent space has learned: codes, their clusters, and how well labels are read off them (Ma et al. 2019).

Codes are float32 on the CPU; the parts that scikit-learn computes take arrays or tensors and give arrays.
"""

from vaecore.clusters import RULES, KMeansFit, cluster_accuracy, confusion, kmeans, label_clusters
from vaecore.learned.codes import codes, thresholded
from vaecore.learned.density import Density, Evidence, density, evidence
from vaecore.learned.numbers import measure
from vaecore.learned.paper import COLUMNS, TABLES, beside, markdown
from vaecore.learned.probes import PROBES, labelled_subset, probe
from vaecore.learned.protocol import PAPER, Protocol

__all__ = [
    "COLUMNS",
    "PAPER",
    "PROBES",
    "RULES",
    "TABLES",
    "Density",
    "Evidence",
    "KMeansFit",
    "Protocol",
    "beside",
    "cluster_accuracy",
    "codes",
    "confusion",
    "density",
    "evidence",
    "kmeans",
    "label_clusters",
    "labelled_subset",
    "markdown",
    "measure",
    "probe",
    "thresholded",
]
