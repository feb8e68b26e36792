"""What the page of codes says in words: of clusters and probes beside the paper's, and how it is all computed."""

from app.learned_clusters import PAPER_CLUSTERS, paper_tables
from vaecore.text import counted

BASELINE, BEST = "ResNet VAE w. AF", "MAE(1, 0.5)"


def clustered(own: dict[str, dict[str, float]], clusters: int, in_paper: bool) -> str:
    """How many test images the clusters name right, beside the paper's two ends where it has this K."""
    name = max(own, key=lambda one: own[one]["majority"])
    best = {rule: 100 * value for rule, value in own[name].items()}
    start = counted(clusters, "cluster") + ("" if len(own) == 1 else f" of {name}, the best here,")
    said = (
        f"{start} name {best['majority']:.1f} % of the test images by majority, {best['closest']:.1f} % by the closest "
        "sample."
    )
    if not in_paper:
        return said
    if clusters not in PAPER_CLUSTERS:
        return f"{said} The paper has K = 10, 20 and 30 only."
    place = PAPER_CLUSTERS.index(clusters)
    low, high = (paper_tables()["clustering"][one][place] for one in (BASELINE, BEST))
    return (
        f"{said} The paper has {low} % for {BASELINE} and {high} % for {BEST}: by majority, here it is "
        f"{side(best['majority'], low, high)}."
    )


def side(value: float, low: float, high: float) -> str:
    if value < low:
        return f"{low - value:.1f} points below the former"
    if value > high:
        return f"{value - high:.1f} points above the latter"
    return "between the two"


def labels(text: str) -> str:
    """How many labels a probe learns from, as the address and the choice say it."""
    return "all labels" if text == "all" else counted(int(text), "label")


def probed(found: dict[str, dict[str, float]], text: str) -> str:
    parts = [f"{name} {100 * each['knn']:.1f} % and {100 * each['linear']:.1f} %" for name, each in found.items()]
    return f"With {labels(text)} KNN and the linear layer name right: {'; '.join(parts)}."


WAYS = {
    "z": "Two latent dimensions are drawn as they are.",
    "pca": "PCA shows the two directions in which the codes vary most.",
    "tsne": "t-SNE shows who lies near whom; its axes, sizes and far distances mean nothing.",
    "umap": "UMAP shows who lies near whom; its axes, sizes and far distances mean nothing.",
}
CLUSTERS = (
    "Fitted to all training codes, those held out among them; each cluster has one label, that of most of its training "
    "images or that of the training code closest to its centre. "
)
PAPERS = (
    "The paper's text gives the second rule, its released code takes the first; which of them gave its numbers is not "
    "known. Its systems have 32 dimensions, ResNet encoders, an autoregressive prior and up to 1,000 epochs, and its "
    "numbers are means of 5 runs: compare with care. MAE(eta, gamma)."
)
NOT_PAPERS = "The paper clusters MNIST alone, so there are no numbers of it to set beside these."
PROBED = (
    "KNN asks the 10 nearest, weighted by 1 / distance; the linear layer is trained by SGD as the paper's code does. "
    "The labels are drawn at random, not class by class, so that 100 of them vary much with the seed; the paper's are "
    "means of 5 draws."
)
