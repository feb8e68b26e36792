"""Samples of the priors beside their nearest training images, and how the page's numbers are computed."""

from collections.abc import Callable
from html import escape

import streamlit as st

from app import between, between_words
from app.between_priors import ACROSS, DOWN, Samples
from app.between_priors import samples as drawn
from app.holes import Entry


def samples(entries: list[Entry], names: dict[str, str], seed: int, draw_others: Callable, key: str) -> None:
    """Draws of each prior, and the training images nearest to the last column."""
    title, button = st.columns([5, 1], vertical_alignment="bottom")
    title.subheader("Samples of the priors", anchor=False)
    with button.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Draw others", key=key, on_click=draw_others)
        st.caption(f"seed {seed}", width="content")
    with st.spinner("Drawing from the priors, and looking for the nearest training images"):
        found = [progress(entry, seed, names) for entry in entries]
    near = found[0].nearest is not None
    said = "Drawn from p(z) and decoded; nothing is picked by hand."
    if near:
        said += " Right of the gap: the training image nearest to the last sample of its row, pixel by pixel."
    else:
        said += f" The training images, to set the nearest beside them, are not on this computer: {found[0].missing}"
    st.caption(said)
    for start in range(0, len(found), 3):
        group = list(zip(entries, found, strict=True))[start : start + 3]
        for column, (entry, one) in zip(st.columns(3, gap="medium"), group, strict=False):
            column.html(sample_grid(between_words.prior(entry, names), one))


def progress(entry: Entry, seed: int, names: dict[str, str]) -> Samples:
    """The samples of one prior, with a bar while a decoder draws them pixel after pixel."""
    if not between.pixelwise(entry):
        return drawn(entry, seed)
    place = st.empty()
    text = f"Drawing samples of {between_words.prior(entry, names)}, pixel after pixel"
    found = drawn(entry, seed, lambda share: place.progress(share, text=text))
    place.empty()
    return found


def sample_grid(name: str, found: Samples) -> str:
    texts = (
        f"{DOWN * ACROSS} samples of {name}",
        f"Nearest training images: {found.indices}",
    )
    images = "".join(
        f"<img style='flex: {columns}' src='{uri}' alt='{escape(text)}'>"
        for uri, text, columns in zip(found.pictures, texts, (ACROSS, 1), strict=False)
    )
    return f"<figure class='dreams'><figcaption>{escape(name)}</figcaption><div>{images}</div></figure>"


def explanation() -> None:
    with st.expander("How is this computed?"):
        st.latex(
            r"\text{valley} = \min_t \big[ \log p(z_t) - (1 - t) \log p(z_0) - t \log p(z_1) \big], \qquad "
            r"\log p_\lambda(z) = \log \mathcal{N}(f_\lambda(z); 0, I) + "
            r"\log \big| \det \tfrac{\partial f_\lambda}{\partial z} \big|"
        )
        st.markdown(EXPLANATION)


EXPLANATION = r"""
A row goes from the mean of $q(z|x)$ of one test image to that of another, in 15 steps, each decoded to its mean; the
strip beneath shows $\log p(z)$ at the steps and at seven places between any two. Its colours mean the same in every row
(Xu et al. 2019, *On the Necessity and Effectiveness of Learning the Prior of Variational Auto-Encoder*, Figure 2). A
standard and a jointly trained VAE have different latent spaces: each goes between its own codes, under its own prior. A
prior that was learned post hoc shares encoder and decoder with its VAE: there one way is judged by both.

- **straight line**: $z_t = (1 - t) z_0 + t z_1$.
- **great circle**: the directions turn evenly, $|z|$ goes evenly from one end's to the other's.
- **over the highest pass**: the way whose lowest $\log p(z)$ is highest. Curves of eight sines climb by gradient from
  four starts; where none beats the straight line, the straight line is kept.
- **least change of pixels**: the least $\sum_t |g(z_{t+1}) - g(z_t)|^2$, $g$ the decoder's mean, by L-BFGS from the
  straight line, and never worse than it.

*Deepest valleys* and *smoothest ways* search among 2,000 random pairs, new ones at each press, along straight lines;
the smoothest only among pairs at least as far apart as half of all, since between near codes every way is smooth.

`vaecore.paths.linear`, `.spherical`, `.highest_valley`, `.smoothest`, `.valley` and `.find_pairs` compute it, and
`vaecore.aggregate.nearest_images` the nearest training images (Figure 1): the least sum of squared differences from the
sample's pixels, of a dynamically binarised set from its grey images.
"""
