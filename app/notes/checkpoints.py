"""How the measures in the table of checkpoints are computed."""

from app.computed import Note

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
        r"t_{\text{end}} - t_{\text{begin}}",
        "Written by the training",
        "vaecore.runs.Log.seconds",
    ),
)
