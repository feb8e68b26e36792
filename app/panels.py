"""The parts of the posterior page: each draws one thing."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from html import escape

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import choices, figures, session, widgets, words
from app.plain import plain
from app.session import Checkpoint, Codes, Look, Pick
from vaecore.text import a, counted

SHOWN = 24  # thumbnails in the strip
PICTURE_HEIGHT = 610
UNSEEN = 0.02  # of q's mass: more than this outside the picture's frame is said
HIDE_BAR = {"displayModeBar": False, "scrollZoom": False}


def strip(checkpoint: Checkpoint, codes: Codes, pick: Pick) -> None:
    """Images drawn at random by a seed that is shown, one of each label first."""
    seed = st.session_state.setdefault("draw", 0)
    row, side = st.columns([10, 1.6], vertical_alignment="center")
    indices = drawn(codes, seed)
    labels = [None if codes.labels is None else int(codes.labels[index]) for index in indices]
    with row:
        sprite = session.thumbnails(checkpoint.digest, pick.kind, tuple(indices), checkpoint)
        widgets.strip(sprite, indices, labels, pick, lambda index: choices.choose(pick.kind, index))
    with side.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Draw others", key="redraw", on_click=lambda: st.session_state.update(draw=seed + 1))
        st.caption(f"seed {seed}", width="content")


def drawn(codes: Codes, seed: int) -> list[int]:
    order = np.random.default_rng(seed).permutation(len(codes.loc))
    if codes.labels is None:
        return order[:SHOWN].tolist()
    first = order[np.sort(np.unique(codes.labels[order], return_index=True)[1])]
    first = first[np.argsort(codes.labels[first])][:SHOWN]
    return [*first.tolist(), *order[~np.isin(order, first)][: SHOWN - len(first)].tolist()]


def picture(
    entries: list[tuple[Checkpoint, Look]],
    path: figures.Path | None,
    names: dict[str, str] | None = None,
    hidden: Collection[str] = (),
) -> None:
    """The true posterior of the first look under its q and the others', and the path that refines the first.

    `names`, the systems' by the checkpoints', is given where others are compared with the first; see layers.LAYERS for
    what may be `hidden`.
    """
    look, (axes, log_density, shapes, notes) = entries[0][1], drawing(entries, names, hidden)
    truth, path = marks(look, path, hidden)
    figure = figures.posterior_figure(axes, log_density, shapes, name(look), truth, path, notes)
    with st.container(key="picture_frame", height=PICTURE_HEIGHT, border=False):
        st.plotly_chart(figure, key="picture", height="stretch", config=HIDE_BAR, alt=spoken(entries, hidden))


def marks(look: Look, path: figures.Path | None, hidden: Collection[str]) -> tuple:
    """The z behind x and the refinement's path, where there are such and they are not hidden."""
    return None if "truth" in hidden else look.truth, None if "path" in hidden else path


def spoken(entries: list[tuple[Checkpoint, Look]], hidden: Collection[str] = ()) -> str:
    """What the picture shows, for those who do not see it."""
    look = entries[0][1]
    drawn = {
        "posterior": "contours of the true posterior",
        "q": "outlines of q(z|x)" if look.q.family or len(entries) > 1 else "the encoder's ellipses",
        "best": "the best Gaussian's ellipses",
    }
    what = ", ".join(said for layer, said in drawn.items() if layer not in hidden) or "the plane alone"
    return f"{name(look)}: {what}. {words.headline(look)}"


def drawing(
    entries: list[tuple[Checkpoint, Look]], names: dict[str, str] | None = None, hidden: Collection[str] = ()
) -> tuple:
    """What the picture is made of: axes, log p(z|x) on them, the outlines, and notes on what is out of sight.

    Of what is hidden, log p(z|x) is None, and outlines and notes are left out.
    """
    look, levels = entries[0][1], figures.SIGMAS if len(entries) < 3 else figures.SIGMAS[-1:]
    if len(entries) == 1:
        axes, log_density = look.axes, look.log_density
    else:
        checkpoint = entries[0][0]
        digests = tuple(entry.digest for entry, _ in entries)
        axes, log_density = session.ground(digests, look.pick, checkpoint, [look for _, look in entries])
    if names is None:
        shapes = [outline(look, "encoder q(z|x)", figures.ORANGE)]
    else:
        styles = figures.styles([entry.recipe for entry, _ in entries])
        shapes = [
            replace(outline(look, names[entry.name], *style), levels=levels)
            for (entry, look), style in zip(entries, styles, strict=True)
        ]
    notes = remarks(axes, shapes, [look for _, look in entries])
    notes += ["each q by its line of 3 sd"] if len(levels) == 1 else []
    if "q" in hidden:
        shapes, notes = [], []
    if "best" not in hidden:
        shapes.append(replace(figures.best(look.best_loc, look.best_scale), levels=levels))
    return axes, None if "posterior" in hidden else log_density, shapes, notes


def outline(look: Look, name: str, colour: str, dash: str = "solid") -> figures.Outline:
    """q(z|x) as it is drawn: a diagonal Gaussian by its ellipses, any other by lines of equal density."""
    if look.q.family:
        return session.outline(look.q, name, colour, dash)
    return figures.Gaussian(name, look.q_loc, look.q_scale, colour, dash)


def colour(host: Checkpoint, guests: list[Checkpoint]) -> str:
    """That of the host's q: the encoder's orange where it is alone, its system's among others."""
    return figures.styles([host.recipe])[0][0] if guests else figures.ORANGE


def labels(entries: list[Checkpoint]) -> list[str]:
    """The systems' names, with the checkpoint's where two are of one system."""
    names = [entry.label for entry in entries]
    return [f"{entry.label}, {entry.name}" if names.count(entry.label) > 1 else entry.label for entry in entries]


def remarks(axes: tuple[np.ndarray, np.ndarray], shapes: list[figures.Outline], looks: list[Look]) -> list[str]:
    """What of q cannot be seen in the frame."""
    frame = tuple(float(end) for axis in axes for end in (axis[0], axis[-1]))
    shares = [figures.outside(look.q.z, look.q.weight, frame) for look in looks]
    return [
        f"{min(99, round(100 * share)) if share < 1 else 100} % of {shape.name} lies outside this frame"
        for shape, share in zip(shapes, shares, strict=True)
        if share > UNSEEN
    ]


def name(look: Look) -> str:
    what = widgets.title(look.pick).capitalize()
    return what if look.label is None else f"{what}, {a(look.label)}" if look.pick.kind == "image" else what


def numbers(look: Look, colour: str = figures.ORANGE) -> None:
    """The answer in words and numbers; `colour` is that of q in the picture."""
    st.html(
        f'{STYLE}<section class="look" data-pick="{look.pick}"><p>{escape(words.headline(look))}</p>{bar(look, colour)}'
        f"{pictures(look)}<small>{escape(name(look))}; all numbers in nats</small>"
        f"<dl>{rows(look, colour)}</dl></section>"
    )


def rows(look: Look, colour: str) -> str:
    """The numbers, each beside the line of what it is of in the picture."""
    return "".join(
        f'<div class="row" style="border-left: 4px {row.line} {row.colour or "transparent"}"><dt>{escape(row.name)}'
        f"<b>{escape(row.value)}</b></dt><dd>{escape(row.meaning)}</dd></div>"
        for row in words.numbers(look, colour)
    )


def bar(look: Look, q: str) -> str:
    """The gap's two parts, side by side: first what amortization loses, then what no Gaussian could win.

    Where q is no diagonal Gaussian the gaps are no parts of one another: one bar for q's, one for the best Gaussian's.
    """
    if look.q.family:
        longest = max(look.gap, look.approximation, 1e-9)
        return "".join(
            f'<div class="bar" aria-hidden="true"><i style="width: {100 * max(gap, 0) / longest:.1f}%; '
            f'background: {colour}"></i></div>'
            for gap, colour in ((look.gap, q), (look.approximation, figures.GREEN))
        )
    share = 100 * min(1, look.amortization / max(look.gap, 1e-9))
    blocks = ((share, q), (100 - share, figures.GREEN))
    drawn = "".join(f'<i style="width: {width:.1f}%; background: {colour}"></i>' for width, colour in blocks)
    return f'<div class="bar" aria-hidden="true">{drawn}</div>'


def pictures(look: Look) -> str:
    first = "sample" if look.pick.kind in ("sample", "prior") else "original"
    pair = ((first, look.original), ("reconstruction", look.reconstruction))
    figure = '<figure><img src="{}" alt="{} of {}"><figcaption>{}</figcaption></figure>'
    what = escape(name(look).lower())
    return f'<div class="pair">{"".join(figure.format(figures.data_uri(x), n, what, n) for n, x in pair)}</div>'


STYLE = """<style>
@media (max-width: 640px) {
  .st-key-picture_frame, div:has(> .st-key-picture_frame) { flex: 0 0 510px !important; height: 510px !important; }
}
.look p { font-size: 1.05rem; font-weight: 600; line-height: 1.35; margin: 0 0 .5rem; }
.look .bar { display: flex; height: 8px; gap: 2px; border-radius: 4px; overflow: hidden; margin-bottom: .7rem; }
.look .bar:has(+ .bar) { margin-bottom: 3px; }
.look .pair { display: flex; gap: .8rem; margin-bottom: .4rem; }
.look figure { margin: 0; }
.look img { width: 112px; height: 112px; image-rendering: pixelated; border-radius: 4px; background: #000; }
.look figcaption, .look small { font-size: .78rem; opacity: .75; }
.look dl { margin: .3rem 0 0 !important; padding: 0; }
.look .row { padding: .22rem 0 .22rem .6rem; }
.look dt { display: flex; justify-content: space-between; font-weight: 600; font-size: .92rem; }
.look dt b { font-variant-numeric: tabular-nums; }
.look dd { margin: 0; font-size: .8rem; line-height: 1.3; opacity: .8; }
</style>"""


def missing(checkpoint: Checkpoint, sentence: str, from_prior: bool) -> None:
    """Say that images are absent, what is shown instead, and how to get them."""
    where = "points drawn from the prior" if from_prior else "the codes of the test images"
    said, way = st.columns([5, 1], vertical_alignment="center")
    said.info(f"{plain(session.absence(checkpoint))}: you see samples, drawn from the model at {where}.")
    get_images(way, checkpoint, sentence)


def get_images(place: DeltaGenerator, checkpoint: Checkpoint, sentence: str) -> None:
    """Why there are no images, and how to get them where they can be got."""
    can = session.can_download(checkpoint.dataset)
    with place.popover("Get the images" if can else "Why?", width="stretch"):
        st.markdown(plain(sentence))
        download(checkpoint.dataset)


def download(dataset: str | None) -> None:
    """The button that fetches a data set, where there is one to fetch."""
    if not session.can_download(dataset):
        return
    if st.button(f"Download {plain(dataset)}", icon=":material/download:", key="download"):
        with st.spinner(f"Downloading {plain(dataset)}", show_time=True):
            problem = session.download(dataset)
        if not problem:
            st.rerun()
        st.error(plain(problem))


@contextmanager
def sentences() -> Iterator[None]:
    """What the library raises, as the sentence that it carries; a page of what was replaced begins anew."""
    try:
        yield
    except session.Replaced:
        st.rerun()
    except (ValueError, OSError) as error:
        st.error(plain(error))


def problems(found: dict[str, Checkpoint]) -> None:
    """Name the checkpoints that cannot be read, each with what is wrong."""
    for entry in found.values():
        if entry.problem:
            st.error(f"**{plain(entry.name)}** cannot be read. {plain(entry.problem)}")


def summary(entry: Checkpoint) -> str:
    """What a checkpoint is, and its exact gap where that was measured."""
    said = f"{entry.label} on {entry.dataset or 'unknown data'}, {counted(entry.latent, 'latent dimension')}"
    gap = (entry.metrics.get("evaluation") or {}).get("exact gap KL(q(z|x) || p(z|x))")
    return said + (f"; its encoder loses {words.nats(gap)} nats an image" if isinstance(gap, float) else "")


def nothing_to_show(checkpoint: Checkpoint | None) -> None:
    if checkpoint is None:
        st.info("There is no checkpoint yet. Train one with `python -m vaecore train vae --dataset digits`.")
        st.page_link("views/train.py", label="Train one here", icon=":material/model_training:")
        return
    st.info(
        f"The latent space of {plain(checkpoint.name)} has {counted(checkpoint.latent, 'dimension')}. The exact "
        "posterior needs D = 2: only there can the integral over all z be done outright. Choose a checkpoint with two."
    )
