"""How the page of health computes what it shows."""

from app.computed import Note

BURDA = "Burda et al. 2016 (IWAE)"
NOTES = (
    Note(
        "ELBO",
        r"\mathbb E_q[\log p(x|z)] - \mathrm{KL}(q(z|x)\,\|\,p(z))",
        "Kingma & Welling 2014, equation 3; its verdict is a choice of VAEscope",
        "vaecore.health.bounds",
        "Its verdict asks what the decoder gains by the right code over another image's: more than the KL is good.",
        "elbo = reconstruction - kl",
        ("reconstruction", "KL(q(z|x) || p(z))"),
    ),
    Note(
        "IWAE - ELBO",
        r"\log \frac1K \sum_k \frac{p(x, z_k)}{q(z_k|x)} - \mathrm{ELBO}",
        f"{BURDA}, equation 8",
        "vaecore.evaluation.bounds",
        line="weights.logsumexp(0) - math.log(samples)",
    ),
    Note(
        "exact gap",
        r"\mathrm{KL}(q(z|x)\,\|\,p(z|x))",
        "Cremer et al. 2018, Section 3; by quadrature, where D = 2",
        "vaecore.health.gap",
        line="exact.split_gap",
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
        "vaecore.health.kl_by_dimension",
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
        "vaecore.health.prior",
        "q(z) is the sum over one half of the images, x' is from the other. Where the prior fits, the share is 0.01.",
        "quantile(LOWEST)",
    ),
    Note(
        "verdicts",
        r"\text{value} \le t_1: \text{good}; \quad \le t_2: \text{look}; \quad \text{else bad}",
        "Choices of VAEscope, in one place",
        "vaecore.verdicts.between",
    ),
)
