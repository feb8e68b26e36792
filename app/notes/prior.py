"""How the page of priors computes what it shows."""

from app.computed import Note

XU = "Xu et al. 2019 (learned prior)"
NOTES = (
    Note(
        "log q(z)",
        r"q(z) = \frac1N \sum_i q(z|x_i)",
        f"{XU}, Section 4, the aggregated posterior",
        "vaecore.aggregate.density.log_aggregate",
        "What the prior should be: the exact sum over the posteriors of all training images, of a dynamically "
        "binarised set one fixed binarisation.",
        "return torch.cat(found) * math.log(2)",
    ),
    Note(
        "log p(z)",
        r"\log p_\lambda(z) = \log \mathcal{N}(f_\lambda(z); 0, I) + \log \big| \det \tfrac{\partial "
        r"f_\lambda}{\partial z} \big|",
        f"{XU}, equation 4",
        "vaecore.realnvp.RealNVPMap.log_abs_det_jacobian",
        "Of a standard prior $\\log \\mathcal N(z; 0, I)$.",
        covers=("log_p",),
    ),
    Note(
        "map of holes",
        r"\log q(z) - \log p(z)",
        f"Rosca et al. 2018; {XU}, Section 4",
        "app.holes.Field.difference",
        "Far below zero the prior promises images that the decoder was never trained on there.",
        covers=("prior_map",),
    ),
    Note(
        "low posterior samples",
        r"\text{of 10,000 } z \sim p(z) \text{ the 100 with the lowest } q(z)",
        f"Rosca et al. 2018; {XU}, B.9, Figures B.4 and B.5",
        "vaecore.aggregate.lows.low_posterior",
        "A *post-hoc* prior stands on a finished VAE: it is asked about the z and x that the VAE's own N(0, I) gave. A "
        "*joint* one has a latent space of its own, and z of its own: its $\\log p(z)$ compares with the others only "
        "as far as both spaces have one scale; the ELBO compares freely.",
        "log_q, order = log_q.sort()",
        ("tiles",),
    ),
    Note(
        "ELBO of x ~ p(x|z)",
        r"\mathbb E_{q(z'|x)}[\log p(x, z') - \log q(z'|x)], \quad x \sim p(x|z)",
        f"{XU}, Figures B.4 and B.5",
        "vaecore.aggregate.lows.judge",
        "16 draws of $q(z|x)$ each, the same for a VAE and its post-hoc prior, so that they differ by the prior alone.",
        "elbo.append(vae.elbo(x, samples))",
        ("elbo",),
    ),
    Note(
        "what the data ask for",
        r"\mu(z) = \sum_i w_i(z)\, x_i, \quad w_i(z) = \frac{q(z|x_i)}{\sum_j q(z|x_j)}",
        f"{XU}, Proposition 2, equation 7",
        "vaecore.aggregate.optimal.optimal_images",
        "The decoder that the ELBO would choose, whatever the prior. Where posteriors overlap that is a blend; far "
        "from all codes a copy of the nearest image, but nothing in training enforces it there. It holds for Bernoulli "
        "decoders, and for Gaussian ones of a fixed variance.",
        "means = weights.to(images)",
    ),
    Note(
        "effective number",
        r"1 \Big/ \sum_i w_i^2",
        "Kish 1965, the effective sample size",
        "vaecore.aggregate.optimal.optimal_images",
        line="1 / weights.square().sum(1)",
    ),
    Note(
        "widths and distances",
        r"d_{ij} = |\mu_j - \mu_i|, \quad \frac{2\,d_{ij}}{\mathrm{Std}[i;j] + \mathrm{Std}[j;i]}",
        f"{XU}, equation B.2 and Figure 3",
        "vaecore.aggregate.nearest.closest_pairs",
        line="2 * distance.square() / spread",
        covers=("shape-",),
    ),
    Note(
        "mean and variance of q(z)",
        r"\mathbb V[z] = \mathbb E\,\mathbb V[z|x] + \mathbb V\,\mathbb E[z|x]",
        f"{XU}, Table B.1, by the law of total variance",
        "vaecore.evaluation.moments",
        line="return loc.mean(0)",
    ),
)
