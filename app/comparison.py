"""Side by side: what several checkpoints make of one image, and the path that a refinement takes."""

from html import escape

import streamlit as st

from app import figures, panels, session, words
from app.plain import plain
from app.session import Checkpoint, Look, Pick
from vaecore.text import a, counted

SMALL = 330  # pixels a side of a small picture
Entry = tuple[Checkpoint, Look]


def visitors(host: Checkpoint, guests: list[Checkpoint]) -> tuple[list[Checkpoint], list[Checkpoint]]:
    """The guests whose true posteriors are the host's, and the others; who cannot be loaded is left out, and named."""
    shared, apart = [], []
    for guest in guests:
        with panels.sentences():
            (shared if session.same_posterior(guest, host) else apart).append(guest)
    return shared, apart


def path(found: figures.Path) -> None:
    """The exact gap after each step, as a row."""
    steps = ["encoder", *map(str, range(1, len(found.gaps)))]
    heads = "".join(f"<th scope='col'>{step}</th>" for step in steps)
    values = "".join(f"<td>{words.nats(gap, error)}</td>" for gap, error in zip(found.gaps, found.errors, strict=True))
    won = found.gaps[0] - found.gaps[-1]
    side = "nearer to" if won > 0 else "away from"
    moved = f"bring q {words.nats(abs(won))} nats {side} the true posterior" if abs(won) >= 0.05 else "hardly change q"
    said = f"The {counted(len(found.gaps) - 1, 'step')} of the refinement {moved}."
    st.html(
        f"{STYLE}<section class='beside'><p>{said}</p><div><table><tr><th scope='row'>after step</th>{heads}</tr>"
        f"<tr><th scope='row'>KL(q || p(z|x))</th>{values}</tr></table></div></section>"
    )


def show(entries: list[Entry], apart: list[Checkpoint], names: dict[str, str], pick: Pick) -> None:
    """A small picture for each checkpoint `apart`, as they come, and a table of these and the `entries` overlaid."""
    st.subheader("Side by side", anchor=False)
    host, said = entries[0][0], st.empty()
    row = st.container(horizontal=True, gap="small", key="multiples") if apart else None
    below = st.empty()
    styles = figures.styles([entry.recipe for entry, _ in entries])
    for count, guest in enumerate(apart):
        said.caption(f"Computing the exact posterior of {plain(names[guest.name])}: {count + 1} of {len(apart)}.")
        below.html(table(entries, names, styles))
        with row.container(width=SMALL), panels.sentences():
            look = session.guest(guest, pick, host)
            style = figures.styles([guest.recipe])[0]
            multiple(guest, look, names[guest.name], *style)
            entries, styles = [*entries, (guest, look)], [*styles, style]
    said.caption(APART if apart else SHARED)
    below.html(table(entries, names, styles))


def multiple(guest: Checkpoint, look: Look, label: str, colour: str, dash: str) -> None:
    shapes, notes, title, alt = drawing(look, label, colour, dash)
    figure = figures.posterior_figure(look.axes, look.log_density, shapes, title, notes=notes, small=True)
    st.plotly_chart(figure, key=f"multiple-{guest.name}", height=SMALL, config=panels.HIDE_BAR, alt=alt)


def drawing(look: Look, label: str, colour: str, dash: str) -> tuple[list[figures.Outline], list[str], str, str]:
    """What a small picture shows: outlines, notes on what is out of sight, its title, and all that in words."""
    shapes = [panels.outline(look, label, colour, dash)]
    notes = panels.remarks(look.axes, shapes, [look])
    shapes.append(figures.best(look.best_loc, look.best_scale))
    title = f"{label}: gap {words.nats(look.gap, look.gap_error)} nats"
    best, evidence = words.nats(look.approximation), words.nats(look.log_evidence)
    drawn = "Contours of its true posterior under its q(z|x) and the best Gaussian's ellipses"
    alt = f"{title}. {drawn}. The best Gaussian's gap is {best} nats, log p(x) {evidence}."
    return shapes, notes, title, alt


def table(entries: list[Entry], names: dict[str, str], styles: list[tuple[str, str]]) -> str:
    """A row for each checkpoint: evidence, bound, the gap, the best diagonal Gaussian's, the split if there is one."""
    heads = "".join(f"<th scope='col'>{head}</th>" for head in HEADS)
    rows = "".join(
        row(entry, look, names[entry.name], *style) for (entry, look), style in zip(entries, styles, strict=True)
    )
    return (
        f"{STYLE}<section class='beside'><div><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        f"<small>{NOTE}</small></section>"
    )


def row(entry: Checkpoint, look: Look, name: str, colour: str, dash: str) -> str:
    values = [
        words.nats(look.log_evidence, look.error),
        words.nats(look.elbo, look.error),
        words.nats(look.gap, look.gap_error),
        words.nats(look.approximation),
        "\N{EN DASH}" if look.q.family else words.nats(look.amortization, look.gap_error),
    ]
    cells = "".join(f"<td>{value}</td>" for value in values)
    line = f"<i style='border-top: 3px {figures.border(dash)} {colour}'></i>"
    kind = look.q.family or "diagonal Gaussian"
    return (
        f"<tr data-name='{escape(entry.name)}'><th scope='row'>{line}{escape(name)}"
        f"<small>{escape(entry.name)}, q {a(kind)}</small></th>{cells}</tr>"
    )


SHARED = "All of these share one decoder, and so one true posterior: they are overlaid in the picture above."
APART = (
    "A checkpoint with a decoder of its own has a true posterior of its own, and so a picture of its own, of the same "
    "image. Those that share the first one's decoder are overlaid in the picture above."
)
HEADS = ("System", "log p(x)", "ELBO", "gap KL(q || p(z|x))", "gap of the best diagonal Gaussian", "amortization gap")
NOTE = (
    "All of the same image, in nats. log p(x) and ELBO compare models; a gap says how well an encoder knows its own "
    "decoder's posterior. The amortization gap is given only where q is a diagonal Gaussian."
)
STYLE = """<style>
.beside > div { overflow-x: auto; }
.beside p { font-weight: 600; margin: .4rem 0; }
.beside table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
.beside th, .beside td { padding: .3rem .8rem; border-bottom: 1px solid rgba(128, 140, 150, .35); text-align: right; }
.beside td { white-space: nowrap; }
.beside th { font-weight: 600; vertical-align: bottom; }
.beside th:first-child { text-align: left; padding-left: 0; min-width: 9.5rem; }
.beside th small { display: block; font-weight: 400; opacity: .75; padding-left: 34px; }
.beside th i { display: inline-block; width: 26px; margin-right: 8px; vertical-align: middle; }
.beside > small { display: block; font-size: .8rem; opacity: .75; margin-top: .4rem; }
</style>"""
