"""How the measures in the table of checkpoints are computed."""

from app.computed import Note

DIVERGENCE = "KL(q(z|x) || p(z|x)) = -ELBO - NLL"
TOTAL = "exact gap KL(q(z|x) || p(z|x))"
BEST = "gap of the best diagonal Gaussian"
ERRORS = "99 % of the error estimates of log p(x) are under"
NOTES = (
    Note(
        "ELBO",
        r"\mathbb E_q[\log p(x|z)] - \mathrm{KL}(q(z|x)\,\|\,p(z))",
        "Kingma & Welling 2014, equation 3",
        "vaecore.evaluation.evaluate",
        line='"ELBO": reconstruction - kl',
    ),
    Note(
        "NLL",
        r"-\log \frac1K \sum_k \frac{p(x, z_k)}{q(z_k|x)}",
        "Burda et al. 2016, equation 8",
        "vaecore.evaluation.bounds",
        line="weights.logsumexp(0) - math.log(samples)",
    ),
    Note(
        "exact gap",
        r"\mathrm{KL}(q(z|x)\,\|\,p(z|x))",
        "Cremer et al. 2018, Section 3; by quadrature, where D = 2",
        "vaecore.evaluation.evaluate",
        line="float(gap.total.mean())",
    ),
    Note(
        "active units",
        r"\#\{d : \mathrm{Var}_x\, \mathbb E_{q(z|x)}[z_d] > 0.01\}",
        "Burda et al. 2016, Section 5.2",
        "vaecore.evaluation.active_units",
    ),
    Note(
        "weights",
        r"\sum \text{numbers in the weights}",
        "The checkpoint's own file",
        "vaecore.checkpoints.count_weights",
    ),
    Note("MB", r"\sum \text{bytes of the folder} / 10^6", "The checkpoint's own folder", "vaecore.shelf.size"),
    Note(
        "epochs and minutes",
        r"\sum_{\text{epochs}} (t_{\text{end}} - t_{\text{begin}})",
        "Measured by the training: steps and validation, without the saving",
        "vaecore.resuming.finish",
        line='sum(e["seconds"] for e in run.history)',
        covers=("minutes",),
    ),
    Note(
        "bounds of the card",
        r"\mathbb E_q[\log p(x|z)], \quad \mathrm{KL}(q(z|x)\,\|\,p(z)), \quad "
        r"\log \frac1K \sum_k \frac{p(x, z_k)}{q(z_k|x)}",
        "Kingma & Welling 2014, equation 3; Burda et al. 2016, equation 8",
        "vaecore.evaluation.bounds",
        "-ELBO - NLL is an estimate of KL(q(z|x) || p(z|x)), from below, for the importance weighted bound is one.",
        covers=("reconstruction E_q[log p(x|z)]", "KL(q(z|x) || p(z))", "IWAE(100)", DIVERGENCE, "IWAE(1000)"),
    ),
    Note(
        "mean and variance of q(z)",
        r"\mathbb E_x\,\mu(x), \qquad \mathbb E_x\,\sigma^2(x) + \mathrm{Var}_x\,\mu(x)",
        "Xu et al. 2019, Table B.1",
        "vaecore.evaluation.moments",
        covers=("mean of q(z), average over dimensions", "variance of q(z), average over dimensions"),
    ),
    Note(
        "exact values of the card",
        r"\log p(x) = \mathrm{ELBO} + \text{approximation gap} + \text{amortization gap}",
        "Cremer et al. 2018, Section 3; each has a note of its own on the page of the posterior",
        "vaecore.exact.gap.split_gap",
        covers=("exact log p(x)", "exact ELBO", TOTAL, "approximation gap", "amortization gap", BEST),
    ),
    Note(
        "how sure the exact values are",
        r"\mathrm{sd}(\text{gap}) / \sqrt N; \quad \text{the 0.99 quantile of the quadrature's error estimates}",
        "A choice of VAEscope; several modes: more than one peak with at least a thousandth of the mass",
        "vaecore.evaluation.evaluate",
        line="gap.error.quantile(0.99)",
        covers=("standard error of the exact gap", "images of several modes", ERRORS),
    ),
    Note(
        "RE, KL, MPD and STD",
        r"-\mathbb E_q[\log p(x|z)], \quad \mathrm{KL}(q(z|x)\,\|\,p(z)), \quad "
        r"\text{mean and spread of } \mathrm{KL}(q_i\,\|\,q_j)",
        "Ma et al. 2019, equations 4 and 6, Table 4",
        "vaecore.learned.density.density",
        covers=("RE", "KL", "MPD", "STD"),
    ),
    Note(
        "NLL of the learned table",
        r"-\log \frac1K \sum_k \frac{p(x, z_k)}{q(z_k|x)}",
        "Burda et al. 2016, equation 8",
        "vaecore.learned.density.evidence",
        covers=("standard error of NLL", "ELBO of the NLL's images"),
    ),
    Note(
        "accuracies",
        r"\frac1M \sum_m [\,\hat y(\mu_m) = y_m\,]",
        "Ma et al. 2019, Tables 2 and 5: of clusters, KNN, a linear layer and an SVM, the mean of several runs",
        "vaecore.learned.probes.probe",
        line="(classify(test) == truth).mean()",
    ),
)
