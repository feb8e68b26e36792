"""The parts of the page of priors that go round the others: what is there and what is not, and how it is computed."""

import streamlit as st

from app import holes, panels, session
from app.holes import Entry
from app.session import Checkpoint


def no_images(checkpoint: Checkpoint, sentence: str) -> None:
    st.info(
        "Whether the prior is right is read from the codes of the training images, and these are not on this computer."
        " Nothing here can be computed without them."
    )
    st.markdown(sentence)
    if checkpoint.dataset and session.can_download(checkpoint.dataset):
        panels.download(checkpoint.dataset)


def usable(entries: list[Checkpoint]) -> list[Entry]:
    """Those whose q(z) can be summed exactly; the others are named, with the reason."""
    found = []
    for checkpoint in entries:
        with panels.sentences():
            if why := holes.problem(checkpoint):
                st.info(f"**{checkpoint.name}** ({checkpoint.label}) is left out: {why}.")
            else:
                found.append(holes.entry(checkpoint))
    return found


def prepare(entries: list[Entry], seed: int) -> None:
    """Codes and rankings of all entries, with a bar where that takes time."""
    size = len(holes.images(entries[0].checkpoint)[0])
    slot = st.empty()
    for entry in entries:
        said = f"Encoding the {size:,} training images with {entry.checkpoint.name}, once"
        holes.codes(entry, lambda share, said=said: slot.progress(share, text=said))
    for entry in entries:
        said = f"Ranking {holes.COUNT:,} samples of {holes.prior_of(entry)} by their density under {size:,} codes"
        holes.ranking(entry, seed, lambda share, said=said: slot.progress(share, text=said))
    slot.empty()


def explanation() -> None:
    with st.expander("How is this computed?"):
        st.latex(
            r"q(z) = \frac1N \sum_i q(z|x_i), \qquad \mu(z) = \sum_i w_i(z)\, x_i, \quad "
            r"w_i(z) = \frac{q(z|x_i)}{\sum_j q(z|x_j)}"
        )
        st.markdown(EXPLANATION)


EXPLANATION = r"""
$q(z)$, the *aggregated posterior*, is what the prior should be: the mean of all posteriors of the training images. Here
it is the exact sum over every one of them, not a sample; of a dynamically binarised set one fixed binarisation. Where
$\log q(z) - \log p(z)$ is far below zero the prior promises images that the decoder was never trained on there.

**Low posterior samples** (Rosca et al. 2018; Xu et al. 2019, Figures B.4 and B.5): of 10,000 draws of the prior the 100
with the lowest $q(z)$. A *post-hoc* prior stands on a finished VAE: it is asked about the z and x that the VAE's own
N(0, I) gave, and the same draws of $q(z|x)$ estimate both ELBOs, so that they differ by the prior alone. A *joint* one
has a latent space of its own, and z of its own: its $\log p(z)$ is a density in another space, which compares with the
others only as far as both spaces have one scale; the ELBO compares freely.

**Proposition 2** (Xu et al. 2019): the decoder that the ELBO would choose shows at z the mean of the training images,
each weighted by its posterior's share of $q(z)$, whatever the prior. Where posteriors overlap that is a blend of
several images; far from all codes it is a copy of the nearest one, but nothing in training enforces it there. It holds
for Bernoulli decoders, and for Gaussian ones of a fixed variance. The *effective number* of images is
$1 / \sum_i w_i^2$.

`vaecore.aggregate.low_posterior`, `.judge`, `.log_aggregate`, `.optimal_images` and `.closest_pairs` compute it.
"""
