"""What the latent space has learned: codes, their clusters, and how well labels are read off them (Ma et al. 2019).

Codes are float32 on the CPU; the parts that scikit-learn computes take arrays or tensors and give arrays.
"""

from vaecore.learned.clusters import RULES, KMeansFit, cluster_accuracy, confusion, kmeans, label_clusters
from vaecore.learned.codes import codes, thresholded
from vaecore.learned.probes import PROBES, labelled_subset, probe

__all__ = [
    "PROBES",
    "RULES",
    "KMeansFit",
    "cluster_accuracy",
    "codes",
    "confusion",
    "kmeans",
    "label_clusters",
    "labelled_subset",
    "probe",
    "thresholded",
]
