"""How the page of runs computes what it shows."""

from app.computed import Note

KINGMA = "Kingma & Welling 2014, equation 3"
NOTES = (
    Note(
        "a run",
        r"\theta \leftarrow \mathrm{Adam}(\theta, \nabla_\theta \text{objective})",
        "Kingma & Ba 2015, Algorithm 1; the objective is the recipe's own",
        "vaecore.training.climb",
        "A run is a process of its own, `python -m vaecore train`, which writes `runs/NAME.partial`: a line for each "
        "epoch, a snapshot of what is shown here, and the weights with the optimiser's moments after each whole epoch. "
        "From these a run that was paused, or killed at any moment, goes on, and on a CPU ends with the very same "
        "weights, bit for bit. As many runs work at once as `VAESCOPE_RUNS_AT_ONCE` says (one by default).",
    ),
    Note(
        "training curve",
        r"\text{what the recipe maximises, averaged over an epoch while the weights move}",
        "The recipe's paper",
        "vaecore.training.one_epoch",
        covers=("train_loss",),
    ),
    Note(
        "held-out ELBO and its terms",
        r"\mathbb E_q[\log p(x|z)] - \mathrm{KL}(q(z|x)\,\|\,p(z))",
        KINGMA,
        "vaecore.training.mean_bound",
        "One sample an image. The checkpoint keeps the epoch with the highest held-out ELBO. Where a first stage "
        "trains under N(0, I), before a learned prior's, it is held out under N(0, I) too, and not chosen from.",
        "torch.stack([terms[0] - terms[1], *terms])",
        ("train_parts",),
    ),
    Note(
        "samples and reconstructions",
        r"\mathbb E[x|z],\ z \sim p(z); \qquad \mathbb E[x|z = \mathbb E_{q(z|x)}[z]]",
        KINGMA,
        "vaecore.snapshots.shot",
        "By the same noise at every epoch.",
        '"samples": grey_levels',
    ),
    Note(
        "latent map and one posterior",
        r"\mu(x_i); \qquad \log p(x, z) - \max_z \log p(x, z)",
        "Kingma & Welling 2014, equation 9; Bayes' rule",
        "vaecore.snapshots.close_in",
        "Of the first test image on a grid that closes in on its bulk; the exact one, with its integral, is on the "
        "page of the posterior.",
        "values = values - values.max()",
        ("train_map", "train_posterior"),
    ),
    Note(
        "estimate of the time",
        r"\text{seconds of a few steps} \times \text{steps}",
        "Measured on this computer",
        "vaecore.pace.seconds_for",
    ),
)
