"""How the page of health computes what it shows."""

from app.computed import Note

BURDA = "Burda et al. 2016 (IWAE)"
NOTES = (
    Note(
        "ELBO",
        r"\mathbb E_q[\log p(x|z)] - \mathrm{KL}(q(z|x)\,\|\,p(z))",
        "Kingma & Welling 2014, equation 3; its verdict is a choice of VAEscope",
        "vaecore.health.measures.summary",
        "Its verdict asks what the decoder gains by the right code over another image's: more than the KL is good.",
        "elbo = reconstruction - kl",
        ("reconstruction", "KL(q(z|x) || p(z))"),
    ),
    Note(
        "IWAE - ELBO",
        r"\log \frac1K \sum_k \frac{p(x, z_k)}{q(z_k|x)} - \mathrm{ELBO}",
        f"{BURDA}, equation 8",
        "vaecore.evaluation.bounds",
        words="A lower limit of the exact gap. Its limits are 0.2 and 0.8 standard deviations of log p(x) over images.",
        line="weights.logsumexp(0) - math.log(samples)",
    ),
    Note(
        "exact gap",
        r"\mathrm{KL}(q(z|x)\,\|\,p(z|x))",
        "Cremer et al. 2018, Section 3; by quadrature, where D = 2",
        "vaecore.health.measures.gaps",
        "Of all images whose exact posteriors an analysis has kept, else of a few. A Gaussian likelihood of half the "
        "scale makes log p(x) and its gap four times as large, so the gap is judged in standard deviations of log p(x) "
        "over images: below 0.2 of them is small, above 0.8 large (Cohen 1988, Section 2.2).",
        "exact.split_gap",
    ),
    Note(
        "overfitting",
        r"\mathrm{ELBO}(\text{training images}) - \mathrm{ELBO}(\text{test images})",
        "Means over as many images of either kind; the limits, 0.1 and 0.5 sd of the ELBO, are a choice of VAEscope",
        "vaecore.health.measures.compared",
        "Its error is the root of the sum of both squared standard errors; below two of them a difference is not "
        "judged. Where the exact gap grows too, the encoder has overfitted, not the decoder alone.",
        "math.hypot",
    ),
    Note(
        "active units",
        r"\#\{d : \mathrm{Var}_x\, \mathbb E_{q(z|x)}[z_d] > 0.01\}",
        f"{BURDA}, Section 5.2",
        "vaecore.evaluation.active_units",
    ),
    Note(
        "KL by dimension",
        r"\tfrac12 \big(\mu_d^2 + \sigma_d^2 - 1 - \log \sigma_d^2\big), \text{ averaged over } x",
        "Kingma & Welling 2014, appendix B",
        "vaecore.health.measures.kl_by_dimension",
        "Only where q(z|x) is a diagonal Gaussian and the prior N(0, I): else the dimensions do not add up to the KL.",
        "kl_divergence(",
        ("health_kl",),
    ),
    Note(
        "mutual information",
        r"\mathbb E_x \mathrm{KL}(q(z|x)\,\|\,p(z)) - \mathrm{KL}(q(z)\,\|\,p(z)) \le \log N",
        "Hoffman & Johnson 2016; Xu et al. 2019 (learned prior), equation 6 and Algorithm B.2",
        "vaecore.aggregate.information.marginal_kl",
        "With q(z) the mean of the q(z|x) of N images. At its ceiling log N it says only that there is at least that.",
        "log_posterior - log_q",
        ("KL(q(z) || p(z))",),
    ),
    Note(
        "moments of q(z)",
        r"\mathrm{Var}[z] = \mathbb E\,\mathrm{Var}[z|x] + \mathrm{Var}\,\mathbb E[z|x]",
        "Xu et al. 2019 (learned prior), Table B.1",
        "vaecore.evaluation.moments",
    ),
    Note(
        "low posterior share",
        r"P_{z \sim p}\big[\log q(z) < \text{the lowest 1 \% of } \log q(z'),\ z' \sim q(z'|x') \big]",
        "A share for the low posterior samples of Rosca et al. 2018 and Xu et al. 2019, B.9: a choice of VAEscope",
        "vaecore.health.measures.low",
        "q(z) is the sum over one half of the images, x' is from the other. Where the prior fits, the share is 0.01. "
        "With fewer than 100 images held out the level is no number, and the share is not judged.",
        "quantile(LOWEST)",
    ),
    Note(
        "q(z) against p(z), D = 2",
        r"q(z) = \frac1N \sum_i q(z|x_i) \approx \frac1M \sum_m \mathcal N(z;\, z_m, h^2), \quad z_m \sim q(z|x_i)",
        "The aggregate posterior of Makhzani et al. 2016 and Hoffman & Johnson 2016, from draws, by Gaussian kernels",
        "vaecore.health.picture.plane",
        "The kernels are one and a half cells of the grid wide: posteriors are often narrower than a cell. The regions "
        "are the smallest that hold 50, 80 and 95 % of the mass on the grid.",
        "log_aggregate(",
    ),
    Note(
        "q(z) against p(z), dimensions",
        r"\int \min\big(q(z_d), p(z_d)\big)\, dz_d = 1 - \tfrac12 \int |q(z_d) - p(z_d)|\, dz_d",
        "What two densities have in common: one less their total variation; kernels by Silverman 1986, equation 3.31",
        "vaecore.health.picture.marginal",
        "q(z_d) from draws; p(z_d) is N(0, 1), or from draws where the prior is learned.",
        "torch.minimum(",
    ),
    Note(
        "verdicts",
        r"\text{value} \le t_1: \text{good}; \quad \le t_2: \text{look}; \quad \text{else bad}",
        "Who says what is usual stands beside each number; the limits stand in one place",
        "vaecore.verdicts.rows.between",
    ),
)
