"""How the page of rankings computes what it shows."""

from app.computed import Note

GPVAE = "Kim & Pavlovic 2021 (GPVAE)"
NOTES = (
    Note(
        "uncertainty",
        r"\mathrm{Tr}\,\mathbb{V}[f(x)] = \psi^m(x)^\top \Big(\sum_j \Sigma_j\Big) \psi^m(x), \quad "
        r"\mathrm{Tr}\,\mathbb{V}[h(x)] = \psi^s(x)^\top \Big(\sum_j \Gamma_j\Big) \psi^s(x)",
        f"{GPVAE}, Section 3.3, with the posterior of equation 11",
        "vaecore.processes.GaussianProcessEncoder.traces",
        "A GPVAE makes the encoder's mean $f$ and scale $h$ random functions of the image; their variances say how "
        "unsure it is. The paper's claim: where they are high, no single Gaussian fits the true posterior.",
        covers=("sum", "f", "h"),
    ),
    Note(
        "plain rivals",
        r"|\psi^m(x)|, \quad \sum_d \mathbb{V}_{q(z|x)}[z_d], \quad \sum (x - \mathbb E[x|\mu(x)])^2",
        "A choice of VAEscope, to see what the uncertainty knows beyond them",
        "vaecore.analysis.measures",
        "Both traces grow with the square of the features, so a bright image can look like a hard one.",
        covers=("norm", "variance", "error"),
    ),
    Note(
        "exact gap",
        r"\mathrm{KL}(q(z|x)\,\|\,p(z|x))",
        "Cremer et al. 2018, Section 3",
        "vaecore.exact.posterior.TruePosterior.integrated",
        line="kl = mean[rows] + self.log_evidence[rows]",
    ),
    Note(
        "non-Gaussianity",
        r"\mathrm{KL}(p(z|x)\,\|\,\mathcal N), \quad \mathcal N \text{ with the mean and covariance of } p(z|x)",
        "A choice of VAEscope: the claim of GPVAE's Figure 1 as a number",
        "vaecore.exact.posterior.TruePosterior.non_gaussianity",
        "The Gaussian with the posterior's own moments is the one nearest in this divergence.",
        "0.5 * covariance.logdet()",
    ),
    Note(
        "modes",
        r"\#\{\text{peaks with a valley of at least 1 nat between any two}\}",
        "A choice of VAEscope",
        "vaecore.exact.valleys.separated",
        line="together = height > lower - depth",
    ),
    Note(
        "rank correlation",
        r"\rho = \mathrm{corr}(\mathrm{rank}\,u,\ \mathrm{rank}\,y)",
        "Spearman 1904; the interval is the percentile bootstrap of Efron 1979",
        "vaecore.ranks.correlations",
        "1 if both order the images alike, 0 if they have nothing in common, −1 if they order them in reverse. Its "
        "interval holds the middle 95 % of 1,000 resamples of the images (seed 0).",
        covers=("scatter",),
    ),
    Note(
        "with plain rivals fixed",
        r"\rho_{uy \cdot r}",
        "Partial correlation: the ranks of the rivals are regressed out of both sides",
        "vaecore.ranks.partial",
        line="left = own - cross",
    ),
    Note(
        "six pictures",
        r"\log p(x, z) - \max_z \log p(x, z), \quad z \sim \mathcal N(b(x), c(x)^2)",
        f"{GPVAE}, Figure 1",
        "vaecore.processes.GaussianProcessEncoder.base",
        "One image from each sixth of the ranking, or those you name.",
        covers=("sketch",),
    ),
)
