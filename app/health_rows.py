"""The parts of the page of health: verdicts, KL by dimension, q(z) against the prior, reconstructions."""

import numpy as np
import streamlit as st

from app import (
    bring_page,
    choices,
    figures_between,
    figures_health,
    health,
    health_picture,
    health_table,
    keep,
    learned_selection,
    panels,
)
from app.health import Health
from app.plain import plain
from app.session import Checkpoint

SHOWN, FEW = 24, 6  # images drawn at random, and where a decoder draws pixel after pixel
SECOND = choices.Company("health_with", 1, choices.alike, "")


def bring(shown: list[Checkpoint]) -> None:
    """The form by which a checkpoint is dropped here, and the way back to all of them."""
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.popover("Drop your own checkpoint", icon=":material/upload_file:"):
            bring_page.bring(lambda _: write_address(shown))
        if shown:
            about = {"checkpoint": shown[0].name}
            st.page_link("views/checkpoints.py", label="Its card", query_params=about, icon=":material/arrow_back:")


def no_images(checkpoint: Checkpoint, sentence: str) -> None:
    st.info(f"{plain(sentence)} Without test images there is nothing to measure.")
    panels.download(checkpoint.dataset)


def verdicts(found: list[Health]) -> None:
    """The answer in a sentence, and the table."""
    st.html(f"{health_table.STYLE}{health_table.verdicts(found)}")


def aggregate(found: list[Health]) -> None:
    """q(z), all codes together, against the prior."""
    st.subheader("Does the prior fit the codes?", anchor=False)
    st.html(f"{health_picture.STYLE}{health_picture.whole(found)}")


def divided(found: list[Health]) -> None:
    """KL by dimension, in one chart under one cursor; nothing before it is measured."""
    if not any("active units" in one.report for one in found):
        return
    st.subheader("How many nats does each dimension carry?", anchor=False)
    series = [(one.checkpoint.name, values) for one in found if (values := one.report.get("KL by dimension"))]
    for one in found:
        if reason := one.report.get("KL by dimension is absent because"):
            st.info(f"{plain(one.checkpoint.name)}: {plain(reason)}")
    if series:
        counts = ", ".join(f"{name}: {sum(v > figures_health.ACTIVE for v in values)}" for name, values in series)
        alt = f"KL by dimension on a logarithmic axis; dimensions above 0.01 nats: {counts}"
        figure = figures_health.kl_figure(series)
        st.plotly_chart(figure, key="health_kl", config=panels.HIDE_BAR, alt=alt)
        st.caption("The dashed line is at 0.01. Where the KL is far below it, the dimension is unused.")


def reconstructions(found: list[Health], checkpoints: list[Checkpoint], count: int) -> None:
    """At random by the seed that the address keeps, and the worst."""
    seed, state = st.session_state.setdefault("draw", 0), st.session_state
    title, button = st.columns([5, 1], vertical_alignment="bottom")
    title.subheader("What does it keep of an image?", anchor=False)
    with button.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button("Draw others", key="health_redraw", on_click=lambda: state.update(draw=(seed + 1) % 10**6))
        st.caption(f"seed {seed}", width="content")
    write_address(checkpoints)
    order = " | ".join(["image", *(plain(one.checkpoint.name) for one in found)])
    st.caption(f"Test images drawn at random; from left to right {order}.")
    with panels.sentences(), st.spinner("Reconstructing"):
        st.html(learned_selection.groups(strips(found, drawn(found, count, seed)), f"Images drawn by seed {seed}"))
        for one in found:
            st.caption(f"The {len(one.worst)} with the least ELBO under {plain(one.checkpoint.name)}.")
            st.html(learned_selection.groups(strips(found, one.worst), "The images with the least ELBO"))


def drawn(found: list[Health], count: int, seed: int) -> tuple[int, ...]:
    """The images that a seed draws from `count`, in order."""
    slow = any(one.report["sizes"]["compared"] <= 200 for one in found)
    chosen = np.random.default_rng(seed).choice(count, min(count, FEW if slow else SHOWN), replace=False)
    return tuple(np.sort(chosen).tolist())


def strips(found: list[Health], indices: tuple[int, ...]) -> list[str]:
    """For each test image the image and every checkpoint's reconstruction side by side."""
    columns = [health.originals(found[0].checkpoint, indices)]
    columns += [health.reconstructed(one.checkpoint, indices) for one in found]
    pictures = (figures_between.mosaic(np.stack(group)[None]) for group in zip(*columns, strict=True))
    return [
        f"<img src='{uri}' alt='' title='test image {index}'>" for uri, index in zip(pictures, indices, strict=True)
    ]


def write_address(checkpoints: list[Checkpoint]) -> None:
    first, *others = checkpoints
    beside = {"with": [one.name for one in others], "bring": bring_page.chosen()}
    choices.write_address(checkpoint=first.name, **beside, draw=choices.drawn())


def file_name(found: list[Health]) -> str:
    return f"{keep.file_name('-'.join(['health', *(one.checkpoint.name for one in found)]))}.html"
