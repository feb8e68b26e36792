"""The parts of the page of health: verdicts, KL by dimension, reconstructions."""

from html import escape

import numpy as np
import streamlit as st

from app import choices, figures_between, figures_health, health, keep, learned_selection, panels, words
from app.health import Health
from app.session import Checkpoint

SHOWN, FEW = 24, 6  # images drawn at random, and where a decoder draws pixel after pixel
ICONS = {"good": "\N{CHECK MARK}", "look": "!", "bad": "\N{MULTIPLICATION X}", "unclear": "?"}
WORDS = {"good": "good", "look": "look", "bad": "bad", "unclear": "cannot be judged"}
SECOND = choices.Company("health_with", 1, choices.alike, "")
WAIT = "Measuring {}: about half a minute, on a busy computer or for a slow model some minutes"


def measured(checkpoints: list[Checkpoint]) -> list[Health]:
    """The reports of those that have one; what is wrong with another is said."""
    found = []
    for one in checkpoints:
        with panels.sentences():
            if health.is_kept(one):
                found.append(health.health(one))
                continue
            with st.spinner(WAIT.format(panels.plain(one.name)), show_time=True):
                found.append(health.health(one))
    return found


def no_images(checkpoint: Checkpoint, sentence: str) -> None:
    st.info(f"{panels.plain(sentence)} Without test images there is nothing to measure.")
    panels.download(checkpoint.dataset)


def verdicts(found: list[Health]) -> None:
    """The answer in a sentence, and the table."""
    st.html(f"{STYLE}<section class='health'>{headlines(found)}{table(found)}{protocol(found)}</section>")


def headlines(found: list[Health]) -> str:
    return "".join(
        f"<p class='answer'>{badge(one.verdict)} <b>{escape(one.checkpoint.name)}</b>. {escape(one.headline)}</p>"
        for one in found
    )


def protocol(found: list[Health]) -> str:
    said = dict.fromkeys(one.report["protocol"] for one in found)
    return "".join(f"<small>Test images: {escape(text)}. ± is a standard error.</small>" for text in said)


def badge(verdict: str) -> str:
    return f"<span class='{verdict}'><i aria-hidden='true'>{ICONS[verdict]}</i> {WORDS[verdict]}</span>"


def table(found: list[Health]) -> str:
    """A row for each number: each checkpoint's value and verdict, what is usual, what it means here."""
    known = [{row["name"]: row for row in one.rows} for one in found]
    names = dict.fromkeys(name for rows in known for name in rows)
    heads = "".join(f"<th scope='col'>{escape(one.checkpoint.name)}</th>" for one in found)
    lines = "".join(line(name, [rows.get(name) for rows in known]) for name in names)
    return (
        f"<div class='wide'><table><thead><tr><th></th>{heads}<th scope='col'>usual</th><th scope='col'>here</th></tr>"
        f"</thead><tbody>{lines}</tbody></table></div>"
    )


def line(name: str, rows: list[dict | None]) -> str:
    cells = "".join(f"<td>{cell(row) if row else 'not measured'}</td>" for row in rows)
    given = [row for row in rows if row]
    usual = " / ".join(dict.fromkeys(row["usual"] for row in given))
    said = "<br>".join(escape(row["sentence"]) for row in given)
    return f"<tr><th scope='row'>{escape(name)}</th>{cells}<td>{escape(usual)}</td><td>{said}</td></tr>"


def cell(row: dict) -> str:
    return f"<b>{value(row)}</b><br>{badge(row['verdict'])}"


def value(row: dict) -> str:
    """The number with its error, as the row's kind is read: a count, a share, or nats."""
    if isinstance(row["value"], int):
        return str(row["value"])
    if row["name"] == "low posterior share":
        return f"{row['value']:.3f} ± {row['error']:.3f}"
    return words.nats(row["value"], row["error"] or 0.0)


def divided(found: list[Health]) -> None:
    """KL by dimension, in one chart under one cursor."""
    st.subheader("How many nats does each dimension carry?", anchor=False)
    series = [(one.checkpoint.name, one.report["KL by dimension"]) for one in found if one.report["KL by dimension"]]
    for one in found:
        if reason := one.report["KL by dimension is absent because"]:
            st.info(f"{panels.plain(one.checkpoint.name)}: {reason}")
    if series:
        counts = ", ".join(f"{name}: {sum(v > figures_health.ACTIVE for v in values)}" for name, values in series)
        alt = f"KL by dimension on a logarithmic axis; dimensions above 0.01 nats: {counts}"
        figure = figures_health.kl_figure([(escape(name), values) for name, values in series])
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
    order = " | ".join(["image", *(panels.plain(one.checkpoint.name) for one in found)])
    st.caption(f"Test images drawn at random; from left to right {order}.")
    with panels.sentences(), st.spinner("Reconstructing"):
        st.html(learned_selection.groups(strips(found, drawn(found, count, seed)), f"Images drawn by seed {seed}"))
        for one in found:
            st.caption(f"The {len(one.worst)} with the least ELBO under {panels.plain(one.checkpoint.name)}.")
            st.html(learned_selection.groups(strips(found, one.worst), "The images with the least ELBO"))


def drawn(found: list[Health], count: int, seed: int) -> tuple[int, ...]:
    """The images that a seed draws from `count`, in order."""
    slow = any(one.report["sizes"]["images"] < 500 for one in found)
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
    choices.write_address(checkpoint=first.name, **{"with": [one.name for one in others]}, draw=choices.drawn())


def file_name(found: list[Health]) -> str:
    return f"{keep.file_name('-'.join(['health', *(one.checkpoint.name for one in found)]))}.html"


STYLE = """<style>
.health .answer { font-size: 1.1rem; margin: 0 0 .4rem; line-height: 1.4; }
.health .wide { overflow-x: auto; }
.health table { border-collapse: collapse; font-size: .88rem; width: 100%; font-variant-numeric: tabular-nums; }
.health th, .health td { padding: .35rem .8rem .35rem 0; border: 0; text-align: left; vertical-align: top; }
.health tr { border-bottom: 1px solid rgba(128, 140, 150, .35); }
.health th { font-weight: 600; }
.health td:nth-last-child(-n+2) { min-width: 9rem; }
.health td:last-child { min-width: 15rem; }
.health span { white-space: nowrap; font-size: .85em; border-left: 4px solid; padding-left: .4em; }
.health span i { font-style: normal; font-weight: 700; }
.health .good { border-color: #009E73; }
.health .look { border-color: #E69F00; }
.health .bad { border-color: #D55E00; font-weight: 700; }
.health .unclear { border-color: #8A939C; }
.health small { display: block; opacity: .75; margin-top: .4rem; }
</style>"""
