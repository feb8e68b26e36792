"""The pictures of a run at an epoch: curves, samples, reconstructions, the latent map and one true posterior."""

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app import figures_between, figures_training, panels, training
from app.figures_training import Curves
from vaecore.text import counted

if TYPE_CHECKING:
    from app.training import Standing

HEIGHT = 260
PLANE = 330


def show(one: "Standing", at: int | None) -> None:
    """At the epoch `at`, or as far as it has come."""
    shots = training.shots(one.folder)
    if not one.epochs and not one.objective:
        if one.state == "running":
            st.caption("The first numbers come when torch is loaded: some seconds.")
        return
    curves, total = curves_of(one), total_epochs(one)
    chart, parts = st.columns(2)
    figure = figures_training.loss_figure(curves, total, at)
    chart.plotly_chart(figure, key="train_loss", height=HEIGHT, config=panels.HIDE_BAR, alt=spoken(one))
    figure = figures_training.parts_figure(curves, total, at)
    parts.plotly_chart(figure, key="train_parts", height=HEIGHT, config=panels.HIDE_BAR, alt=terms(one))
    epoch = max((epoch for epoch in shots if at is None or epoch <= at), default=None)
    if epoch is not None:
        with panels.sentences():
            pictures(shots, epoch)


def total_epochs(one: "Standing") -> int:
    return int(one.epochs[-1]["epochs"] if one.epochs else one.asked.get("epochs", 1))


def curves_of(one: "Standing") -> Curves:
    def column(name: str) -> np.ndarray:
        return np.array([np.nan if line.get(name) is None else line[name] for line in one.epochs], float)

    steps = max(1, one.steps) / total_epochs(one)
    # Single batches only until there are epochs: the picture then changes once an epoch.
    objective = [] if len(one.epochs) > 1 else [(step / steps, np.nan if v is None else v) for step, v in one.objective]
    names = ("epoch", "train_elbo", "valid_elbo", "reconstruction", "kl")
    return Curves(*map(column, names), np.array(objective, float).reshape(-1, 2))


def spoken(one: "Standing") -> str:
    if not one.epochs:
        return "the objective of single batches"
    last = one.epochs[-1]
    score = last.get("train_elbo")
    return f"ELBO by epoch; at epoch {last['epoch']} " + ("none" if score is None else f"{score:.1f}") + " in training"


def terms(one: "Standing") -> str:
    if not one.epochs:
        return "the ELBO's two terms, of single batches"
    last = one.epochs[-1]
    known = {"reconstruction": last.get("reconstruction"), "KL": last.get("kl")}
    said = ", ".join(f"{name} {value:.1f}" for name, value in known.items() if value is not None)
    return f"the ELBO's two terms by epoch; at epoch {last['epoch']}: {said} nats"


def pictures(shots: dict[int, Path], epoch: int) -> None:
    shot = training.shot(shots[epoch])
    left, right = st.columns(2)
    with left:
        mosaic("samples of the prior", shot["samples"].reshape(3, -1, *shot["samples"].shape[1:]))
    with right:
        mosaic("test images, their reconstructions beneath", np.stack([shot["originals"], shot["reconstructions"]]))
    if "codes" in shot:
        plane(shots, shot)
    st.caption(f"Pictures of epoch {epoch}.")


def mosaic(title: str, rows: np.ndarray) -> None:
    """Images uint8 [rows, columns, C, H, W]."""
    source = figures_between.mosaic(rows.astype(np.float32) / 255)
    said = escape(title)
    image = f'<img src="{source}" alt="{said}">'
    st.html(f'{STYLE}<figure class="shots"><figcaption>{said}</figcaption>{image}</figure>')


STYLE = """<style>
.shots { margin: 0; }
.shots figcaption { font-size: .8rem; opacity: .8; margin-bottom: .2rem; }
.shots img { width: 100%; image-rendering: pixelated; border-radius: 4px; }
</style>"""


def plane(shots: dict[int, Path], shot: dict[str, np.ndarray]) -> None:
    # The frame holds first and last, so that it stays still while epochs are played.
    ends = [training.shot(shots[k]).get("codes") for k in (min(shots), max(shots))]
    reach = figures_training.reach_of([shot["codes"], *(codes for codes in ends if codes is not None)])
    left, right = st.columns(2)
    figure = figures_training.map_figure(shot["codes"], shot.get("labels"), reach)
    alt = f"the latent map: codes of {counted(len(shot['codes']), 'test image')}, coloured by class"
    left.plotly_chart(figure, key="train_map", height=PLANE, config=panels.HIDE_BAR, alt=alt)
    figure = figures_training.posterior_figure(shot)
    loc, scale = (", ".join(f"{value:.2f}" for value in shot[name]) for name in ("q_loc", "q_scale"))
    alt = f"the true posterior of the first test image under the encoder's q(z|x): mean ({loc}), sd ({scale})"
    right.plotly_chart(figure, key="train_posterior", height=PLANE, config=panels.HIDE_BAR, alt=alt)
