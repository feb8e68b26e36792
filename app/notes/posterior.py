"""How the page of the posterior computes what it shows."""

from app.computed import Note

CREMER = "Cremer et al. 2018, *Inference Suboptimality in Variational Autoencoders*, Section 3"
NOTES = (
    Note(
        "true posterior",
        r"p(z|x) = \frac{p(x|z)\,p(z)}{p(x)}",
        "Bayes' rule; drawn as in Cremer et al. 2018, the figure of 2-D true posteriors",
        "vaecore.exact.posterior.TruePosterior.log_prob",
        "With two latent dimensions it is exact. Contours lie at drops of 1, 2, 4, 8, ... nats from its peak.",
        "self.log_evidence[:, None]",
        ("picture", "multiple-"),
    ),
    Note(
        "outlines of q",
        r"q(z|x) = \mathcal N(z;\ \mu(x),\ \mathrm{diag}\,\sigma^2(x))",
        "Kingma & Welling 2014, equation 9",
        "app.figures.ellipse",
        "A diagonal Gaussian is drawn by its ellipses of 1, 2 and 3 standard deviations. Any other q (a mixture, a "
        "flow, a Gaussian of full covariance) is drawn by lines of equal density, where log q has dropped by 0.5, 2 "
        "and 4.5 nats from its peak: of a Gaussian these are the very same. Where much of q lies lower still, a thin "
        "line encloses 98.9 % of it. More than two q in one picture are drawn by their outermost lines alone.",
    ),
    Note(
        "log p(x)",
        r"\log p(x) = \log \int p(x|z)\,p(z)\,dz",
        "The evidence; Kingma & Welling 2014, Section 2.1",
        "vaecore.exact.patches.measure",
        "The decoder is evaluated once on a grid over the latent plane; its maxima and the encoder's mean start an "
        "ascent, and each mode is then integrated on a fine patch of its own, halving the step until two results "
        "agree. The uncertainty beside a number is that integration's own estimate.",
    ),
    Note(
        "ELBO",
        r"\mathrm{ELBO}(q) = \log p(x) - \mathrm{KL}(q(z|x)\,\|\,p(z|x))",
        "Kingma & Welling 2014, equation 1",
        "vaecore.exact.gap.Gap.elbo",
    ),
    Note(
        "IWAE(100)",
        r"\log \frac1K \sum_{k=1}^{K} \frac{p(x, z_k)}{q(z_k|x)}, \quad z_k \sim q(z|x), \quad K = 100",
        "Burda et al. 2016, equation 8",
        "vaecore.evaluation.bounds",
        line="weights.logsumexp(0) - math.log(samples)",
    ),
    Note(
        "gap",
        r"\mathrm{KL}(q(z|x)\,\|\,p(z|x)) = \log p(x) - \mathrm{ELBO}(q)",
        CREMER,
        "vaecore.exact.posterior.TruePosterior.integrated",
        "Integrated where q lies, on patches of its own.",
        "kl = mean[rows] + self.log_evidence[rows]",
        ("gap of q",),
    ),
    Note(
        "amortization gap",
        r"\mathrm{KL}(q\,\|\,p(z|x)) - \mathrm{KL}(q^*\,\|\,p(z|x))",
        CREMER,
        "vaecore.exact.gap.Gap.amortization",
        "What the encoder loses beside the best diagonal Gaussian $q^*$. It is given only where q is a diagonal "
        "Gaussian: a mixture, a flow or a full covariance can be nearer to $p(z|x)$ than $q^*$, and it would be "
        "negative.",
    ),
    Note(
        "approximation gap",
        r"\mathrm{KL}(q^*\,\|\,p(z|x)), \quad q^* = \arg\min_{q\ \text{diagonal Gaussian}} \mathrm{KL}(q\,\|\,p(z|x))",
        CREMER,
        "vaecore.exact.gap.best_of",
        "The best Gaussian climbs from every peak and from the encoder's mean.",
        "found, promised = nearest_gaussian(posterior, mean)",
        ("gap of the best diagonal Gaussian",),
    ),
    Note(
        "modes",
        r"\#\{\text{peaks with at least a thousandth of the mass}\}",
        "A choice of VAEscope: no paper defines it",
        "vaecore.exact.posterior.TruePosterior.massive",
    ),
    Note(
        "path of a refinement",
        r"q_0 = q(z|x),\quad q_t = \text{step}(q_{t-1}),\quad \mathrm{KL}(q_t\,\|\,p(z|x))",
        "Kim et al. 2018 (SA-VAE); Park et al. 2019 (Laplace VAE)",
        "vaecore.refine.GradientSteps.path",
        "The code is that of SA's steps; those of the Laplace VAE are `vaecore.refine.LaplaceSteps.path`.",
    ),
    Note(
        "latent map",
        r"\mu(x_i) = \mathbb E_{q(z|x_i)}[z]",
        "Kingma & Welling 2014, equation 9",
        "vaecore.evaluation.encode",
        "The mean of each test image's q(z|x), or, where the images are absent, points of the prior.",
        "torch.cat([q.mean for q in parts])",
    ),
    Note(
        "decoded image",
        r"\mathbb E[x|z]",
        "Kingma & Welling 2014, Section 3",
        "app.pad_decoder.description",
        "The mean of p(x|z) at the z under the pointer, by the checkpoint's own decoder, which `decoder.js` runs in "
        "the browser; one over ten million multiplications stays on the server.",
    ),
    Note(
        "densities under the pointer",
        r"\log p(z|x) = \log p(x|z) + \log p(z) - \log p(x)",
        "Bayes' rule",
        "app.pad.described",
        "Gaussians, their mixtures and full covariances in closed form; a learned prior and the q of a flow from a "
        "table that comes with the picture, between whose nodes values are interpolated. Each checkpoint that shares "
        "the decoder has its own log q(z|x); a dash stands where its table ends.",
    ),
    Note(
        "fading of the decoded image",
        r"q(z) = \frac1N \sum_n q(z|x_n)",
        "The aggregate posterior; Makhzani et al. 2016",
        "app.pad.nearness",
        "It fades from the lowest 1 % of log q(z) at the data's own codes, each left out of its own q(z). Each "
        "q(z|x) enters by its mean and standard deviations.",
        "low, usual =",
    ),
    Note(
        "gap by label",
        r"\mathrm{KL}(q\,\|\,p(z|x_n)),\ n = 1 \ldots N",
        CREMER,
        "vaecore.analysis.exact_row",
        "The numbers of each test image are those of its picture, stored with the checkpoint. The map's colours end at "
        "their 2 % and 98 % quantiles; both are logarithmic where the values span more than 1.3 decades. The share of "
        "amortization is that of the summed gaps.",
        covers=("by_label",),
    ),
    Note(
        "reconstruction error and encoder variance",
        r"\|x - \mathbb E[x \mid z = \mu(x)]\|^2, \qquad \sum_d \sigma_d^2(x)",
        "Plain measures, beside which Kim & Pavlovic 2021 set the GPVAE's uncertainty",
        "vaecore.analysis.measures",
        "",
        "errors = [",
    ),
)
