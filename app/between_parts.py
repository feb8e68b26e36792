"""The further parts of the page of interpolations: the choice of images, the plane, samples, how it is computed."""

from contextlib import AbstractContextManager, nullcontext
from html import escape

import streamlit as st

from app import between, between_chosen, between_words, figures_between, panels, session, widgets
from app.between import Pair
from app.between_rows import Scene
from app.figures_between import Way
from app.holes import Entry
from app.session import Checkpoint, Codes, Pick

MAP_HEIGHT = 380


def patience(entries: list[Entry]) -> AbstractContextManager:
    """A word where decoders draw pixel after pixel."""
    if any(map(between.pixelwise, entries)):
        return st.spinner("Decoding pixel after pixel, once for each row", show_time=True)
    return nullcontext()


# ---- what is chosen


def few(entries: list[Entry], count: int) -> None:
    """Say so where not all test images can be chosen."""
    slow = [entry.checkpoint.name for entry in entries if between.slow(entry.checkpoint.digest, entry.checkpoint)]
    if slow and count == between.FEW:
        st.info(
            f"Only the first {count:,} test images can be chosen: the posteriors of {', '.join(slow)} are flows, whose "
            "means take long. `python -m vaecore analyse` stores them once."
        )


def cloud(checkpoint: Checkpoint, codes: Codes) -> str:
    """The name under which the browser keeps the codes: the map of another page may have more of them."""
    return f"{checkpoint.digest}-{len(codes.loc)}"


def controls(judge: Entry | None, pairs: list[Pair], kind: str, names: dict[str, str], count: int) -> None:
    """Search, sort, and images by their numbers."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        for deepest, text, icon in ((True, "Deepest valleys", "valley"), (False, "Smoothest ways", "smooth")):
            st.button(
                text,
                key=f"between_find_{icon}",
                icon=":material/search:",
                disabled=judge is None,
                help=None if judge else "N(0, I) has no valley on any straight line: this needs a learned prior.",
                on_click=between_chosen.find,
                args=(deepest, judge, count, pairs),
            )
        st.button(
            "Sort by valley",
            key="between_sort",
            icon=":material/sort:",
            disabled=judge is None or len(pairs) < 2,
            help=f"By the valley under {between_words.prior(judge, names)}" if judge else None,
            on_click=between_chosen.order,
            args=(pairs, judge, kind),
        )
        st.text_input(
            "Images by number",
            key="between_text",
            placeholder="12, 45, 7",
            width=190,
            on_change=between_chosen.typed,
            args=(count, pairs),
        )
    if problem := st.session_state.pop("between_problem", ""):
        st.warning(problem)


def choice(shared: Scene, checkpoint: Checkpoint, pairs: list[Pair], count: int) -> None:
    """The strip of thumbnails, and what the next click does."""
    judge = between_chosen.learned(shared.entries)
    judged = f"Searched and sorted by {between_words.prior(judge, shared.names)}." if judge else ""
    start, state = st.session_state.get("between_from"), st.session_state
    clicked = start if start is not None else state.get("between_clicked", -1)
    pick = Pick("image" if shared.images else "sample", clicked)
    few = Codes(shared.codes.loc[:count], None if shared.codes.labels is None else shared.codes.labels[:count])
    seed = state.setdefault("draw", 0)
    row, side = st.columns([10, 1.6], vertical_alignment="center")
    indices = panels.drawn(few, seed)
    labels = [None if few.labels is None else int(few.labels[index]) for index in indices]
    with row:
        sprite = session.thumbnails(checkpoint.digest, pick.kind, tuple(indices), checkpoint)
        widgets.strip(
            sprite, indices, labels, pick, lambda index: between_chosen.choose(index, count, pairs), "between_strip"
        )
    with side.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Draw others", key="redraw", on_click=lambda: state.update(draw=seed + 1))
        st.caption(f"seed {seed}", width="content")
    if start is None:
        st.caption(f"Click two images: the way between them becomes a new row. {judged}")
    else:
        st.caption(f"From {shared.title(start)}: click where to go.")


# ---- the plane


def planes(shared: Scene, checkpoint: Checkpoint, pairs: list[Pair], count: int) -> None:
    """The map of codes, to choose from, and each prior's plane with the ways over it."""
    state = st.session_state
    start = state.get("between_from")
    st.subheader("The ways in the latent plane", anchor=False)
    across = min(4, len(shared.entries) + 1)
    columns = iter(st.columns(across, gap="medium"))
    with next(columns):
        st.html("<b style='font-size: .88rem'>The codes: click two</b>")
        clicked = state.get("between_clicked", 0) if start is None else start
        chosen = Pick("image" if shared.images else "sample", clicked)
        name = cloud(checkpoint, shared.codes)
        widgets.latent_map(name, chosen, None, lambda index: between_chosen.choose(index, count, pairs))
    for place, entry in enumerate(shared.entries):
        if place and place % 4 == 3:
            columns = iter(st.columns(across, gap="medium"))
        with next(columns):
            plane(shared, entry, pairs)
    straight = "" if shared.kind == "linear" else "; dotted: the straight lines"
    some = f"{between.DOTS:,} of the" if len(shared.codes.loc) > between.DOTS else "the"
    st.caption(
        "Contours lie at drops of 1, 2, 4, 8, 16 and 32 nats from the peak of log p(z). "
        f"Dots: {some} test codes{straight}."
    )


def plane(shared: Scene, entry: Entry, pairs: list[Pair]) -> None:
    name, found = between_words.prior(entry, shared.names), between.plane(entry.checkpoint.digest, entry)
    ways = [way(entry, number, pair, shared.kind) for number, pair in enumerate(pairs, 1)]
    st.html(f"<b style='font-size: .88rem'>log p(z), {escape(name)}</b>")
    figure = figures_between.plane_figure(found.axes, found.log_p, found.dots, ways, entry.kind != "standard")
    alt = f"Contours of log p(z), {name}, at drops of 1, 2, 4, 8, 16 and 32 nats, with {len(ways)} ways over them."
    key = f"plane-{entry.checkpoint.name}"
    st.plotly_chart(figure, key=key, height=MAP_HEIGHT, config=panels.HIDE_BAR, alt=alt)


def way(entry: Entry, number: int, pair: Pair, kind: str) -> Way:
    straight = None if kind == "linear" else between.path(entry, pair, "linear")
    return Way(number, between.path(entry, pair, kind), straight)


# ---- samples


def samples(shared: Scene, seed: int) -> None:
    """Draws of each prior, and the training images nearest to the last column."""
    title, button = st.columns([5, 1], vertical_alignment="bottom")
    title.subheader("Samples of the priors", anchor=False)
    with button.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Draw others", key="between_redraw", on_click=between_chosen.draw_others)
        st.caption(f"seed {seed}", width="content")
    with st.spinner("Drawing from the priors, and looking for the nearest training images"):
        found = [between.samples(entry.checkpoint.digest, seed, entry) for entry in shared.entries]
    near = found[0].nearest is not None
    said = "Drawn from p(z) and decoded; nothing is picked by hand."
    if near:
        said += " Right of the gap: the training image nearest to the last sample of its row, pixel by pixel."
    else:
        said += f" The training images, to set the nearest beside them, are not on this computer: {found[0].missing}"
    st.caption(said)
    for start in range(0, len(found), 3):
        group = list(zip(shared.entries, found, strict=True))[start : start + 3]
        for column, (entry, one) in zip(st.columns(3, gap="medium"), group, strict=False):
            column.html(sample_grid(between_words.prior(entry, shared.names), one))


def sample_grid(name: str, found: between.Samples) -> str:
    texts = f"{between.DOWN * between.ACROSS} samples of {name}", f"Nearest training images: {found.indices}"
    images = "".join(
        f"<img style='flex: {columns}' src='{uri}' alt='{escape(text)}'>"
        for uri, text, columns in zip(found.pictures, texts, (between.ACROSS, 1), strict=False)
    )
    return f"<figure class='dreams'><figcaption>{escape(name)}</figcaption><div>{images}</div></figure>"


# ---- how


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
