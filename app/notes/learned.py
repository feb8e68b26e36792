"""How the page of codes computes what it shows."""

from app.computed import Note

MAE = "Ma et al. 2019 (MAE)"
NOTES = (
    Note(
        "codes",
        r"\mu(x_i) = \mathbb E_{q(z|x_i)}[z]",
        f"{MAE}, Section 4.1.2",
        "vaecore.evaluation.encode",
        "Of a dynamically binarised set the image is the grey one with its pixels thresholded at 0.5, as in the "
        "paper's code, which averages 50 draws of $q(z|x)$: the same but for noise of $1/\\sqrt{50}$ of its standard "
        "deviation. Of flows and refined posteriors only codes that `python -m vaecore analyse` stored are shown. "
        "*Training* images are all that are not test images.",
        "torch.cat([q.mean for q in parts])",
    ),
    Note(
        "PCA",
        r"\max_{A^\top A = I} \sum_i |A^\top (\mu_i - \bar\mu)|^2",
        "Pearson 1901",
        "vaecore.embedding.plane.pca",
        "Two dimensions are never projected.",
        "torch.linalg.eigh",
        ("scatter",),
    ),
    Note(
        "t-SNE",
        r"\min_y \mathrm{KL}(P\,\|\,Q(y))",
        "van der Maaten & Hinton 2008, equations 1 and 4",
        "vaecore.embedding.neighbours.tsne",
        "From PCA, perplexity 30, 1,000 iterations, on a part stratified by label; a seed gives the same map on every "
        "run. It says who lies near whom, not how far apart groups are.",
    ),
    Note(
        "UMAP",
        r"\min_y \sum_{ij} \Big[ v_{ij} \log \tfrac{v_{ij}}{w_{ij}} + (1 - v_{ij}) \log \tfrac{1 - v_{ij}}{1 - w_{ij}} "
        r"\Big]",
        "McInnes et al. 2018, Section 3",
        "vaecore.embedding.neighbours.umap",
        "15 neighbours, 500 epochs, the rest as for t-SNE.",
    ),
    Note(
        "KL",
        r"\mathrm{KL}(q(z|x)\,\|\,p(z))",
        "Kingma & Welling 2014, equation 3",
        "vaecore.vae.divergence",
        "In closed form or, where there is none, from 16 draws.",
        "return kl_divergence(q, p)",
        ("kl",),
    ),
    Note(
        "uncertainty",
        r"\mathrm{Tr}\,\mathbb{V}[f(x)] + \mathrm{Tr}\,\mathbb{V}[h(x)]",
        "Kim & Pavlovic 2021 (GPVAE), Section 3.3",
        "vaecore.processes.GaussianProcessEncoder.traces",
        "Of encoders other than a GPVAE's, which give none, the mean log variance of $q(z|x)$ over the dimensions of "
        "z.",
    ),
    Note(
        "K-means",
        r"\min_{c} \sum_i \min_k |\mu_i - c_k|^2",
        f"{MAE}, Section 4.1.2 and Table 2",
        "vaecore.clusters.kmeans",
        line="KMeans(clusters, random_state=seed",
        covers=("cluster",),
    ),
    Note(
        "accuracy of clusters",
        r"\frac1M \sum_m [\,\ell(k(x_m)) = y_m\,]",
        f"{MAE}, Table 2: the text labels by the closest sample, the released code by majority",
        "vaecore.clusters.label_clusters",
        covers=("majority", "closest", "error", "heat"),
    ),
    Note(
        "KNN and linear layer",
        r"\frac1M \sum_m [\,\hat y(\mu_m) = y_m\,]",
        f"{MAE}, Tables 2 and 5",
        "vaecore.learned.probes.probe",
        "The labels are drawn at random, not class by class.",
        "(classify(test) == truth).mean()",
        ("knn", "linear"),
    ),
    Note(
        "reconstructions",
        r"\mathbb E[x|z = \mu(x)]",
        f"{MAE}, Figure 2",
        "app.learned_selection._reconstructed",
        line="vae.likelihood(vae.posterior(x).mean).mean",
    ),
    Note(
        "samples",
        r"\mathbb E[x|z], \quad z \sim p(z)",
        f"{MAE}, Figures 3 and 6",
        "app.between_priors._drawn",
        line="z = vae.prior().sample((DOWN * ACROSS,))",
    ),
)
