"""The map of log q(z) - log p(z) of a latent plane, and what is known of one z."""

from html import escape

import numpy as np
import streamlit as st

from app import figures, figures_holes, holes, holes_chosen, holes_widgets, holes_words, panels, words
from app.holes import Entry, Field, Place
from app.holes_chosen import At
from vaecore.text import counted

CODES = "the density of the codes: the mean of q(z|x) over all training images"


def plane(shown: Entry, entries: list[Entry], names: dict[str, str], seed: int, at: At) -> None:
    """The map of one checkpoint, and beside it the chosen z."""
    z, field = where(shown, seed, at), holes.field(shown)
    picture, numbers = st.columns([1.15, 1], gap="medium")
    with picture:
        map_of(shown, field, z, holes.lows(shown, seed))
    with numbers:
        group = [shown, *(entry for entry in entries if entry.body == shown.body and entry != shown)]
        at_place(group, names, holes.place(shown, z), title_of(shown, field, at, z))


def where(shown: Entry, seed: int, at: At) -> tuple[float, ...]:
    """The chosen z itself."""
    kind, value = at
    return tuple(map(float, holes.lows(shown, seed)[value] if kind == "low" else value))


def title_of(shown: Entry, field: Field, at: At, z: tuple[float, ...]) -> str:
    """Which z it is, in words."""
    left, right, low, high = field.frame
    said = f"z = ({z[0]:.2f}, {z[1]:.2f})".replace("-", "\N{MINUS SIGN}")
    if at[0] == "low":
        said += f", low posterior sample {at[1]} of {holes.prior_of(shown)}"
    elif z == holes.deepest(shown):
        said += ", the lowest of the map where the prior is high"
    return said if left <= z[0] <= right and low <= z[1] <= high else f"{said}, outside the map"


def map_of(entry: Entry, field: Field, at: tuple[float, ...], lows: np.ndarray) -> None:
    """The plane, coloured by log q(z) - log p(z), with the chosen z; and its key."""
    uri, end, beyond = holes.picture(entry.checkpoint.digest, field)
    draw_map(entry, field, uri, at, lows)
    st.html(
        f'{STYLE}<div class="scale"><span>hole: prior without data</span><i></i><span>overfull: data without prior'
        f'</span></div><div class="ends"><b>\N{MINUS SIGN}{end:g}</b><b>log q(z) \N{MINUS SIGN} log p(z), nats</b>'
        f"<b>+{end:g}</b></div>"
    )
    missed = holes_words.between_nodes(float(field.axes[0][1] - field.axes[0][0]), field.width)
    circles = "circles: 1, 2, 3 sd of N(0, I); " if entry.kind == "standard" else ""
    st.caption(
        f"{holes_words.clipped(end, beyond)} It fades where both densities are negligible.{missed} Dots: "
        f"{counted(len(field.dots), 'training code')}; {circles}squares: the low posterior samples below. "
        "Click, or use the arrow keys."
    )


def draw_map(entry: Entry, field: Field, uri: str, at: tuple[float, ...], lows: np.ndarray) -> None:
    name = f"{entry.checkpoint.digest[:16]}"
    log_q, log_p = holes.place(entry, at).log_q, holes.log_prior(entry, at)
    place = f"z = ({at[0]:.2f}, {at[1]:.2f})"
    chosen = f"At the chosen {place} log q(z) is {words.nats(log_q)}, log p(z) {words.nats(log_p)} nats."
    alt = f"Map of log q(z) - log p(z) of {entry.checkpoint.name}. {chosen} Arrow keys move the chosen z."
    holes_widgets.prior_map(
        name,
        {
            "chosen": [float(v) for v in at],
            "log": [log_q, log_p],
            "lows": np.round(lows, 3).tolist(),
            "circles": entry.kind == "standard",
            "alt": alt,
        },
        holes_chosen.choose_z,
    )
    numbers = np.stack([np.maximum(field.log_q, -1e6), np.maximum(field.log_p, -1e6)])
    holes_widgets.send_field(
        name,
        {
            "picture": uri,
            "numbers": figures.packed(numbers, "f4"),
            "shape": list(field.log_q.shape),
            "frame": field.frame,
            "dots": figures.packed(field.dots, "f4"),
        },
    )


def at_place(group: list[Entry], names: dict[str, str], place: Place, title: str) -> None:
    """Densities at z under the priors of one body, and Proposition 2."""
    z = tuple(float(v) for v in place.z)
    log_p = [holes.log_prior(entry, z) for entry in group]
    styles = figures_holes.styles([entry.kind for entry in group])
    rows = [row("log q(z)", place.log_q, CODES, figures.ORANGE)]
    for entry, value, style in zip(group, log_p, styles, strict=True):
        side = "below" if place.log_q < value else "above"
        meaning = f"log q(z) lies {words.nats(abs(place.log_q - value))} nats {side} it"
        prior = "N(0, I)" if entry.kind == "standard" else names[entry.checkpoint.name]
        rows.append(row(f"log p(z), {prior}", value, meaning, style.colour))
    prior = "N(0, I)" if group[0].kind == "standard" else "The learned prior"
    said = holes_words.verdict(place.log_q, log_p[0], prior)
    off = float(np.sqrt(np.mean((place.decoded - place.wanted) ** 2)))
    st.html(
        f'{panels.STYLE}{STYLE}<section class="look place" data-z="{",".join(f"{v:.3f}" for v in z[:2])}">'
        f"<p>{escape(said)}</p>{pictures(place)}<small>{escape(title)}; nats</small><dl>{''.join(rows)}</dl>"
        f"<div class='made'>{escape(holes_words.made_of(place.effective, place.nearest[0][1]))} The decoder's mean "
        f"differs from it by {100 * off:.0f} % of full brightness (root mean square).</div>{nearest(place)}</section>"
    )


def row(name: str, value: float, meaning: str, colour: str) -> str:
    return (
        f'<div class="row" style="border-color: {colour}"><dt>{escape(name)}<b>{escape(words.nats(value))}</b></dt>'
        f"<dd>{escape(meaning)}</dd></div>"
    )


def pictures(place: Place) -> str:
    pair = (("what the decoder draws", place.decoded), ("what the data ask for", place.wanted))
    figure = '<figure><img src="{}" alt="{} at this z"><figcaption>{}</figcaption></figure>'
    return f'<div class="pair">{"".join(figure.format(figures.data_uri(x), n, n) for n, x in pair)}</div>'


def nearest(place: Place) -> str:
    """The training images that weigh most, as far as they weigh anything."""
    shown = [
        f'<figure><img src="{figures.data_uri(image)}" alt="training image {index}"><figcaption>'
        f"{holes_words.percent(weight)}</figcaption></figure>"
        for (index, weight), image in zip(place.nearest, place.pictures, strict=True)
        if weight >= 0.0005
    ]
    return f'<div class="nearest">{"".join(shown)}</div>' if shown else ""


STYLE = """<style>
.scale { display: flex; align-items: center; gap: .6rem; font-size: .8rem; }
.scale i { flex: 1; height: 12px; border-radius: 3px; background: linear-gradient(90deg, #D55E00, #E9E7E2, #0072B2); }
.ends { display: flex; justify-content: space-between; font-size: .76rem; opacity: .8; }
.ends b { font-weight: 400; font-variant-numeric: tabular-nums; }
.place .made { font-size: .84rem; line-height: 1.35; margin: .5rem 0 .3rem; }
.place .pair img { width: 140px; height: 140px; }
.place .nearest { display: flex; gap: .4rem; }
.place .nearest img { width: 52px; height: 52px; }
.place .nearest figcaption { text-align: center; }
</style>"""
