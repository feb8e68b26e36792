"""How the page of interpolations computes what it shows."""

from app.computed import Note

XU = "Xu et al. 2019 (learned prior)"
NOTES = (
    Note(
        "log p(z) on the way",
        r"\log p_\lambda(z) = \log \mathcal{N}(f_\lambda(z); 0, I) + \log \big| \det \tfrac{\partial "
        r"f_\lambda}{\partial z} \big|",
        f"{XU}, equation 4 and Figure 2",
        "vaecore.paths.ways.refined",
        "At 15 steps and seven places between any two; its colours mean the same in every row. A standard and a "
        "jointly trained VAE have different latent spaces: each goes between its own codes, under its own prior. A "
        "post-hoc prior shares encoder and decoder with its VAE: there one way is judged by both.",
        covers=("plane-", "strip"),
    ),
    Note(
        "valley",
        r"\min_t \big[ \log p(z_t) - (1 - t) \log p(z_0) - t \log p(z_1) \big]",
        f"A choice of VAEscope, for what {XU} shows in Figure 2",
        "vaecore.paths.ways.valley",
        line="torch.lerp(log_p[..., :1]",
    ),
    Note("straight line", r"z_t = (1 - t)\,z_0 + t\,z_1", f"{XU}, Figure 2", "vaecore.paths.ways.linear"),
    Note(
        "great circle",
        r"z_t = |z|_t\, \frac{\sin((1 - t)\omega)\,\hat z_0 + \sin(t\omega)\,\hat z_1}{\sin \omega}, \quad "
        r"|z|_t = (1 - t)|z_0| + t|z_1|",
        "Shoemake 1985",
        "vaecore.paths.ways.spherical",
        "The directions turn evenly, $|z|$ goes evenly from one end's to the other's.",
    ),
    Note(
        "over the highest pass",
        r"\arg\max_{\text{ways}} \min_t \log p(z_t)",
        "A choice of VAEscope",
        "vaecore.paths.passes.climbed",
        "Curves of eight sines climb by gradient from four starts; where none beats the straight line, that is kept.",
        "deepest = ((beta * depth).logsumexp(-1)",
    ),
    Note(
        "least change of pixels",
        r"\arg\min \sum_t |g(z_{t+1}) - g(z_t)|^2",
        "A geodesic of the decoder's surface: Shao et al. 2018, *The Riemannian Geometry of Deep Generative Models*",
        "vaecore.paths.ways.energy",
        "$g$ is the decoder's mean; by L-BFGS from the straight line, and never worse than it.",
    ),
    Note(
        "search for valleys",
        r"\text{2,000 random pairs, in the order of their valleys}",
        "A choice of VAEscope",
        "vaecore.paths.pairs.find_pairs",
        "New pairs at each press, along straight lines; the smoothest only among pairs at least as far apart as half "
        "of all, since between near codes every way is smooth.",
        "depth, apart = valley(log_p)",
    ),
    Note(
        "samples and nearest images",
        r"\mathbb E[x|z],\ z \sim p(z); \qquad \arg\min_i |x - x_i|^2",
        f"{XU}, Figure 1",
        "vaecore.aggregate.nearest.nearest_images",
        "By squared differences of pixels; of a dynamically binarised set from its grey images.",
    ),
)
