"""The latent map's colours, and beneath the picture: the worst images, what each label loses, a surprise."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app import choices, figures_learned, learned_later, panels, rows, session, survey, widgets, wrong
from app.plain import plain
from app.session import Checkpoint, Codes, Look, Pick
from app.wrong import EXACT, LABEL, MEASURED, Line
from app.wrong_words import STYLE, caption, number, sentence, table, title
from vaecore.text import a, counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.delta_generator import DeltaGenerator

COLOUR, OF = "map_colour", "worst_label"  # in the session; in the address: colour, label


def read_link(checkpoint: Checkpoint, codes: Codes) -> None:
    """Take the colouring, and the label whose worst images are shown, that a link asks for."""
    state, offered = st.session_state, wrong.offered(checkpoint)
    choices.word("colour", COLOUR, offered, LABEL)
    known = [] if codes.labels is None else np.unique(codes.labels).tolist()
    choices.number("label", OF, None, max(known, default=0) + 1)
    if state[OF] not in known:
        state[OF] = None


def address() -> dict[str, str]:
    """What `read_link` takes, where it is not as at first."""
    colour, label = st.session_state[COLOUR], st.session_state[OF]
    return {"colour": "" if colour == LABEL else colour, "label": "" if label is None else str(label)}


def latent_map(checkpoint: Checkpoint, codes: Codes, look: Look) -> None:
    """The map of the codes, and by what its dots are coloured."""
    kind = st.selectbox(
        "Colour the map by", wrong.offered(checkpoint), key=COLOUR, format_func=title, persist_state="session"
    )
    scale = None
    if kind != LABEL:
        with st.spinner(f"Computing the {MEASURED[kind].name} of all test images, once for this checkpoint"):
            scale = coloured(checkpoint, kind)
        if scale is None:
            st.caption(f"Coloured by label: {plain(unknown(checkpoint, codes, kind))}")
    pick, besides = look.pick, {"scale": scale}
    if not pick.numbered:
        pick = Pick("sample" if session.images(checkpoint)[0] is None else "image", -1)
        besides |= {"here": look.q_loc.tolist(), "spread": look.q_scale.tolist()}
    choose = partial(choices.choose, pick.kind)
    widgets.latent_map(checkpoint.digest, pick, look.frame, choose, besides)
    if whole := wrong.family(checkpoint.digest, checkpoint):
        st.caption(
            f"This encoder's q(z|x) is {a(whole)}: its gap has no two parts, because it may come nearer to p(z|x) than "
            "the best diagonal Gaussian, so only the whole gap is offered."
        )


def coloured(checkpoint: Checkpoint, kind: str) -> dict | None:
    """Send the values, and describe their scale; None where there are no values."""
    found = wrong.values(checkpoint, kind)
    if found is None:
        return None
    measure, scale, known = MEASURED[kind], wrong.scale(checkpoint, kind), int(np.isfinite(found).sum())
    name = f"{checkpoint.digest[:16]}-{kind}-{known}"
    widgets.send_values(name, found)
    part = f"{known:,} of {counted(len(found), 'image')} have a known {measure.name}, the others are small and grey"
    clipped = "its ends: the values' 2 % and 98 % quantiles; the greatest lie on top"
    return {
        "name": name,
        "ramp": list(figures_learned.RAMP),
        "low": scale.low,
        "high": scale.high,
        "log": scale.log,
        "ticks": [list(tick) for tick in scale.ticks],
        "what": measure.name,
        "title": measure.axis if kind not in EXACT else f"{measure.name}, nats",
        "unit": measure.unit,
        "note": f"{part}; {clipped}" if known < len(found) else clipped,
    }


def unknown(checkpoint: Checkpoint, codes: Codes, kind: str) -> str:
    """Why a measure has no values."""
    if codes.from_prior:
        return "the map shows points of the prior, which are no images."
    if kind in EXACT:
        return "no exact gap has been computed yet."
    if session.images(checkpoint)[0] is None:
        absence = session.absence(checkpoint).replace("T", "t", 1)
        return f"{absence}, and no {MEASURED[kind].name} is stored with the checkpoint."
    return "this q(z|x) is refined step by step for each image, too long for a page; the job beneath computes it."


# ---- beneath the picture


def section(checkpoint: Checkpoint, codes: Codes, pick: Pick, images: bool) -> None:
    """Where is the encoder wrong: by the chosen measure, or by the exact gap where the map shows labels."""
    chosen = st.session_state[COLOUR]
    kind = "gap" if chosen == LABEL else chosen
    found, add_duration = wrong.values(checkpoint, kind), None
    heading, button = st.columns([5, 1], vertical_alignment="bottom")
    heading.subheader("Where is the encoder wrong?", anchor=False)
    # How long the job takes is measured, which takes a while itself: it is offered to those who ask for what it gives.
    if images and (chosen in EXACT or (found is None and chosen != LABEL)):
        add_duration = rows.analysis(checkpoint, wrong.known_exactly(checkpoint), len(codes.loc))
    if found is not None:
        whole, *single = wrong.lines(checkpoint, kind)
        st.markdown(plain(sentence(kind, whole, single, len(found))))
        if images:
            worst(checkpoint, codes, kind, pick)
            surprise(button, wrong.among(found, codes.labels, st.session_state[OF]), pick)
        else:
            why = plain(session.absence(checkpoint))
            st.caption(f"{why}, so that the worst cannot be shown, only their numbers.")
        by_label(checkpoint, kind, whole, single)
    elif add_duration is None:
        way = " Colour the map by the exact gap to have it computed." if images and chosen == LABEL else ""
        st.caption(f"Nothing can be ranked: {plain(unknown(checkpoint, codes, kind))}{way}")
    if add_duration is not None:
        when_measured(checkpoint, add_duration)


def when_measured(checkpoint: Checkpoint, add_duration: "Callable[[], None]") -> None:
    """Say how long the job takes as soon as that is measured, in a thread of its own: the map's codes come after."""
    key = ("pace", checkpoint.digest)
    work = learned_later.fetch(key, lambda report: survey.pace(checkpoint.digest, checkpoint))
    if work.done:
        add_duration()
    else:
        learned_later.follow([work], "Measuring how long that takes")


def worst(checkpoint: Checkpoint, codes: Codes, kind: str, pick: Pick) -> None:
    """The ten worst images, of all or of one label, each a button that opens it."""
    known = [] if codes.labels is None else np.unique(codes.labels).tolist()
    found = wrong.values(checkpoint, kind)
    if len(known) > 1:
        st.pills("The ten worst of one label", known, key=OF, persist_state="session")
    indices = wrong.among(found, codes.labels, st.session_state[OF])[: wrong.WORST].tolist()
    if not indices:
        st.caption("No image of this label has a known value.")
        return
    labels = [None if codes.labels is None else int(codes.labels[index]) for index in indices]
    captions = [caption(kind, index, label, found[index]) for index, label in zip(indices, labels, strict=True)]
    sprite = session.thumbnails(checkpoint.digest, "image", tuple(indices), checkpoint)
    widgets.strip(sprite, indices, labels, pick, lambda index: choices.choose("image", index), "worst", captions)


def surprise(place: "DeltaGenerator", order: np.ndarray, pick: Pick) -> None:
    place.button(
        "Surprise me",
        icon=":material/casino:",
        key="surprise",
        on_click=surprised,
        args=(order, pick),
        width="stretch",
        help=f"Opens one of the worst {wrong.SURPRISES:.0%}, drawn at random",
    )


def surprised(order: np.ndarray, pick: Pick) -> None:
    seed = st.session_state["surprises"] = st.session_state.get("surprises", 0) + 1
    choices.choose("image", wrong.surprise(order, pick.index, seed))


def by_label(checkpoint: Checkpoint, kind: str, whole: Line, single: list[Line]) -> None:
    """The histogram of each label, a click on which chooses the label, and its numbers as text."""
    picture, numbers = st.columns([1.7, 1], gap="medium")
    medians = ", ".join(f"{line.label}: {number(kind, line.median)}" for line in single)
    picture.plotly_chart(
        wrong.histogram(checkpoint, kind),
        key="by_label",
        config=panels.HIDE_BAR,
        on_select=bar_clicked,
        selection_mode="points",
        alt=f"Histograms of the {title(kind)} of {counted(whole.count, 'test image')}, a row for each label. Medians: "
        f"{medians or number(kind, whole.median)}.",
    )
    note = " Click a row to see the ten worst of its label." if single else ""
    picture.caption(f"Lines: medians. Heights: shares of a label's images.{note}")
    numbers.html(f"{STYLE}{table(kind, [whole, *single])}")


def bar_clicked() -> None:
    points = st.session_state["by_label"]["selection"]["points"]
    data = points[0].get("customdata") if points else None
    label = data[0] if isinstance(data, list) and data else None
    if isinstance(label, int) and label >= 0:
        st.session_state[OF] = label
