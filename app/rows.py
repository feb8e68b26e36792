"""The parts of the page of rankings: each draws one thing."""

from collections.abc import Callable
from html import escape

import numpy as np
import streamlit as st

from app import choices, figures, jobs, owners, panels, ranking, session, survey, watching, widgets, words
from app.numbers import significant
from app.plain import plain, quoted
from app.ranking import MEASURES, OWN, SCORES, Estimate, Outcome
from app.session import Checkpoint, Pick
from app.survey import Sketch, Survey
from vaecore.text import a, counted

GPVAE = "GPVAE"  # the recipe's label: the one whose encoder has an uncertainty of its own
FEWEST = 30  # images: under this many no correlation means anything
SHOWN = 24  # thumbnails in a strip
SCATTER_HEIGHT = 540


# ---- what is there, and what is not


def no_ranking(checkpoint: Checkpoint, found: dict[str, Checkpoint]) -> None:
    """Say that the ranking needs a GPVAE, and lead to one."""
    st.info(
        f"{plain(checkpoint.name)} is {plain(a(checkpoint.label))}: only a GPVAE ranks images by an "
        "uncertainty of its own. Shown is how far the plain measures go, which every VAE has."
    )
    others = [entry for entry in found.values() if entry.label == GPVAE and entry.latent == 2 and not entry.problem]
    with st.container(horizontal=True):
        for entry in others:
            st.page_link("views/unsure.py", label=f"Open {plain(entry.name)}", query_params={"checkpoint": entry.name})


def no_images(checkpoint: Checkpoint, sentence: str) -> None:
    said, way = st.columns([5, 1], vertical_alignment="center")
    said.info(f"{plain(session.absence(checkpoint))}: you see the numbers that are stored with the checkpoint, if any.")
    panels.get_images(way, checkpoint, sentence)


def analysis(checkpoint: Checkpoint, done: int, images: int) -> Callable[[], None] | None:
    """The analysis as it runs, or the offer to start it, or to go on after the first `done` of the images."""
    job = jobs.analysis_of(checkpoint.folder)
    if job and job.active:
        watching.follow(job.kind, job.target, f"Computing the exact posteriors of {plain(checkpoint.name)}")
        return None
    watching.ended(job)
    return offer(checkpoint, done, images) if done < images else None


def offer(checkpoint: Checkpoint, done: int, images: int) -> Callable[[], None]:
    """The button that starts the analysis, or goes on with it. What is returned adds how long that will take.

    That is measured, so it comes last: the page's pictures do not wait for it.
    """
    text, way = st.columns([5, 1], vertical_alignment="center")
    slot = text.empty()
    if done:
        said = (
            f"The exact posteriors of the first {done:,} of {counted(images, 'test image')} are known; what is shown "
            "is of these. The rest takes {}, in the background."
        )
    else:
        said = (
            f"The exact posteriors of the {counted(images, 'test image')} have not been computed yet. It takes {{}}, "
            "once for this checkpoint, in the background: you may leave the page, and stop it and go on later."
        )
    slot.info(said.format("some time"))
    if way.button("Go on" if done else "Compute", key="analyse", icon=":material/play_circle:", width="stretch"):
        try:
            jobs.analyse(checkpoint.folder, owners.me())
        except (ValueError, OSError) as error:
            st.error(plain(error))
        else:
            st.rerun()
    return lambda: slot.info(
        said.format(ranking.duration(survey.pace(checkpoint.digest, checkpoint) * (images - done)))
    )


def everything(checkpoint: Checkpoint, known: Survey, images: bool) -> None:
    score, measure, by_class = controls(known)
    shown = chosen_six(known, score)
    write_address(checkpoint, score, measure, by_class, shown)
    whole_set(checkpoint, known, score, measure, by_class, shown)
    if images:
        pictures(checkpoint, known, score, shown)
        extremes(checkpoint, known, score)


# ---- what is chosen


def controls(known: Survey) -> tuple[str, str, bool]:
    """The score, the measure, and whether dots are coloured by class."""
    scores, measures = survey.choices_of(known)
    default = "sum" if "sum" in scores else scores[0]
    choices.word("by", "by", scores, default)
    choices.word("measure", "measure", measures, measures[0])
    choices.word("colour", "colour", ["plain", "class"], "plain")
    across, up, colour = st.columns([1.3, 1.5, 0.8], vertical_alignment="bottom")
    kept = {"persist_state": "session"}
    score = across.selectbox("Rank the images by", scores, key="by", format_func=score_title, **kept)
    measure = up.segmented_control(
        "Hold it against the", measures, key="measure", required=True, format_func=measure_title, **kept
    )
    if known.labels is None:
        return score, measure, False
    options = ["plain", "class"]
    return score, measure, colour.segmented_control("Colours", options, key="colour", required=True, **kept) == "class"


def score_title(key: str) -> str:
    return f"{SCORES[key].name}: {SCORES[key].formula}"


def measure_title(key: str) -> str:
    return MEASURES[key].name


def chosen_six(known: Survey, score: str) -> list[int]:
    """The images of the row of pictures: those asked for, else one from each sixth of the ranking; by rising score."""
    state = st.session_state
    state.setdefault("six_draw", 0)
    read_images(known.images)
    wanted = state.get("six", [])
    if any(index >= known.images for index in wanted):
        wanted = state["six"] = []
    indices = wanted or survey.six(known, score, state["six_draw"])
    return sorted(indices, key=lambda index: known.scores[score][index])


def read_images(count: int) -> None:
    """Take the images, or the seed, that a link asks for."""
    text, seed, state = choices.news("images"), choices.news("draw"), st.session_state
    if text is not None:
        indices = parsed(text, count)
        if indices is None:
            st.warning(f"The link asks for the images {quoted(text, 40)}; {HOW_TO_NAME.format(count - 1)}")
        else:
            state["six"] = indices
    elif seed is not None:
        if seed.isascii() and seed.isdigit() and len(seed) < 10:
            state.update(six=[], six_draw=int(seed))
        else:
            st.warning(f"The link asks for the draw {quoted(seed, 20)}; a draw is a whole number from 0.")


HOW_TO_NAME = "name one to six test images by their numbers, from 0 to {}, with commas between."


def parsed(text: str, count: int) -> list[int] | None:
    """One to six numbers of images, or None if they are not."""
    parts = [part.strip() for part in text.split(",")] if len(text) < 100 else []
    if not 1 <= len(parts) <= 6 or not all(p.isascii() and p.isdigit() and int(p) < count for p in parts):
        return None
    return list(dict.fromkeys(map(int, parts)))


def write_address(checkpoint: Checkpoint, score: str, measure: str, by_class: bool, shown: list[int]) -> None:
    state = st.session_state
    six = {"images": ",".join(map(str, shown))} if state.get("six") else {"draw": str(state["six_draw"])}
    colour = {"colour": "class"} if by_class else {}
    choices.write_address(checkpoint=checkpoint.name, by=score, measure=measure, **colour, **six)


def clicked(index: object) -> None:
    """Remember whose posterior shall be opened: what comes from a browser is not trusted."""
    if isinstance(index, int) and index >= 0:
        st.session_state["opened"] = index


def dot_clicked() -> None:
    points = st.session_state["scatter"]["selection"]["points"]
    if points:
        data = points[0].get("customdata")
        clicked(data[0] if isinstance(data, list) and data else data)


def open_what_was_clicked(checkpoint: Checkpoint) -> None:
    index = st.session_state.pop("opened", None)
    if index is not None:
        st.switch_page("views/posterior.py", query_params={"checkpoint": checkpoint.name, "image": str(index)})


# ---- the whole test set


def whole_set(
    checkpoint: Checkpoint, known: Survey, score: str, measure: str, by_class: bool, shown: list[int]
) -> None:
    with st.spinner("Correlating"):
        outcome = survey.outcome(checkpoint, measure)
    told = ranking.verdict(outcome, score)
    extra = [ranking.size(survey.share(known))] if score == "sum" else []
    picture, said = st.columns([1.7, 1], gap="medium")
    x, y = known.scores[score][known.rows], known.measures[measure][known.rows]
    where = {int(index): place for place, index in enumerate(known.rows)}
    figure = figures.ranking_figure(
        x,
        y,
        known.rows,
        known.labels[known.rows] if by_class else None,
        (score_title(score), MEASURES[measure].axis),
        MEASURES[measure].counts,
        {number: where[index] for number, index in enumerate(shown, 1) if index in where},
    )
    picture.plotly_chart(
        figure,
        key="scatter",
        height=SCATTER_HEIGHT,
        config=panels.HIDE_BAR,
        on_select=dot_clicked,
        selection_mode="points",
        alt=f"{counted(len(x), 'test image')}, {SCORES[score].name} against {MEASURES[measure].name}. {told.headline}",
    )
    picture.caption(f"{counted(len(x), 'test image')}. Click a dot to open its posterior.{left_out(known)}")
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in [*told.sentences, *extra])
    said.html(
        f'{STYLE}<section class="verdict" data-score="{score}" data-measure="{measure}">'
        f"<h4>{escape(told.headline)}</h4>{sentences}{table(outcome, score)}</section>"
    )


def left_out(known: Survey) -> str:
    said = ""
    if known.exact < known.images:
        said += f" The exact results cover the first {known.exact:,} of {known.images:,}."
    if len(known.rows) < known.exact:
        said += f" Left out: {counted(known.exact - len(known.rows), 'image')} with numbers that are not finite."
    return said


def table(outcome: Outcome, score: str) -> str:
    """Each score's rank correlation with the measure, with its interval drawn on a scale from -1 to 1."""
    lines = []
    for key, estimate in outcome.alone.items():
        name = f"<b>{escape(SCORES[key].name)}</b>" if key == score else escape(SCORES[key].name)
        lines.append(line(name, estimate, figures.VERMILLION if key in OWN else figures.GREY))
        if key == score and key in outcome.given:
            lines.append(line("… with plain rivals fixed", outcome.given[key], figures.VERMILLION, "given"))
    return (
        f"<table><caption>Rank correlation with the {escape(MEASURES[outcome.measure].name)}, 95 % interval</caption>"
        f'<thead><tr><th></th><th class="scale"><span>−1</span><span>0</span><span>1</span></th><th></th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def line(name: str, estimate: Estimate, colour: str, kind: str = "") -> str:
    drawn = '<i class="zero"></i>'
    if estimate.known:
        left, right, at = (50 + 50 * value for value in (estimate.low, estimate.high, estimate.value))
        drawn += f'<i class="span" style="left:{left:.1f}%;width:{right - left:.1f}%;background:{colour}"></i>'
        drawn += f'<i class="dot" style="left:{at:.1f}%;background:{colour}"></i>'
    return f'<tr class="{kind}"><td>{name}</td><td class="scale">{drawn}</td><td>{escape(str(estimate))}</td></tr>'


# ---- six images


def pictures(checkpoint: Checkpoint, known: Survey, score: str, shown: list[int]) -> None:
    """The figure of the paper: six true posteriors in increasing uncertainty, the base encoder over them."""
    title, how = st.columns([2.2, 1.6], vertical_alignment="bottom")
    title.subheader(f"Six images, by rising {SCORES[score].name}", anchor=False)
    with how.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input(
            "Any six test images", key="six_text", placeholder="3, 14, 159", on_change=take_text, args=(known.images,)
        )
        st.button("Draw others", key="draw_six", on_click=draw_six)
    if text := st.session_state.pop("six_wrong", None):
        st.warning(f"{quoted(text, 40)} cannot be shown: {HOW_TO_NAME.format(known.images - 1)}")
    drawn = st.session_state["six_draw"]
    origin = f"one of each sixth of the ranking, seed {drawn}" if drawn else "the middle of each sixth of the ranking"
    st.html(f"{STYLE}{key_of(not is_plain(known), 'as you asked' if st.session_state.get('six') else origin)}")
    with st.container(horizontal=True, key="six"):
        for number, index in enumerate(shown, 1):
            with st.container(key=f"six{number}", gap="xsmall"):
                with st.spinner("Drawing"):
                    drawing = survey.sketch(checkpoint.digest, index, checkpoint)
                one(checkpoint, known, score, number, drawing)


def is_plain(known: Survey) -> bool:
    return not any(key in known.scores for key in OWN)


def one(checkpoint: Checkpoint, known: Survey, score: str, number: int, drawing: Sketch) -> None:
    what = f"Test image {drawing.index}" + (f", {a(drawing.label)}" if drawing.label is not None else "")
    st.html(f'<div class="one"><b><span>{number}</span> {escape(what)}</b></div>')
    outline = None if is_plain(known) else figures.encoder(drawing.q_loc, drawing.q_scale)
    numbers = numbers_of(known, score, drawing)
    said = ", ".join(f"{name} {value}" for name, value in numbers)
    st.plotly_chart(
        figures.sketch_figure(drawing.axes, drawing.log_density, drawing.dots, outline),
        key=f"sketch{number}",
        height=215,
        config={"staticPlot": True},
        alt=f"{what}: contours of its true posterior under samples of the encoder; {said}.",
    )
    pair = "".join(
        f'<img src="{figures.data_uri(x)}" alt="{name} of {escape(what.lower())}">'
        for name, x in (("input", drawing.original), ("reconstruction", drawing.reconstruction))
    )
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in numbers)
    st.html(f'<div class="one"><div class="pair">{pair}</div><dl data-image="{drawing.index}">{items}</dl></div>')
    address = {"checkpoint": checkpoint.name, "image": str(drawing.index)}
    st.page_link("views/posterior.py", label="Open its posterior", query_params=address)


def numbers_of(known: Survey, score: str, drawing: Sketch) -> list[tuple[str, str]]:
    """What is measured of one image, in words."""
    numbers = [
        (SCORES[score].formula if score in OWN else SCORES[score].name, significant(known.scores[score][drawing.index]))
    ]
    if drawing.index < known.exact:
        gap, shape, modes = (known.measures[key][drawing.index] for key in ("gap", "shape", "modes"))
        numbers += [("gap", f"{words.nats(gap)} nats"), ("non-Gaussianity", f"{words.nats(shape)} nats")]
        numbers += [("modes", str(int(modes)))]
    else:
        numbers += [("gap", "not computed yet")]
    if drawing.outside:
        numbers += [("encoder", "outside the picture")]
    return numbers


def take_text(count: int) -> None:
    state = st.session_state
    text = state["six_text"].strip()
    indices = parsed(text, count) if text else []
    if indices is None:
        state["six_wrong"] = text
    else:
        state["six"] = indices


def draw_six() -> None:
    state = st.session_state
    state.update(six=[], six_text="", six_draw=state["six_draw"] + 1)


def key_of(base: bool, origin: str) -> str:
    """What the small pictures show, in their own colours."""
    drops = "".join(f'<i style="background:{colour}">{drop}</i>' for drop, colour in figures.swatches())
    dot = figures.VERMILLION if base else figures.ORANGE
    name = "samples of the base encoder N(b, c²)" if base else "samples of the encoder q(z|x)"
    outline = f'<span><i class="ring" style="border-color:{figures.ORANGE}"></i>q(z|x) = N(m, v), 2 sd</span>'
    return (
        f'<div class="key"><span class="drops">{drops} p(z|x), drop from its peak in nats</span>'
        f'<span><i class="point" style="background:{dot}"></i>{name}</span>{outline if base else ""}'
        f"<span>below: input, reconstruction</span><em>{escape(origin)}</em></div>"
    )


# ---- the ends of the ranking


def extremes(checkpoint: Checkpoint, known: Survey, score: str) -> None:
    """The images with the greatest and the least score; a click opens their posterior."""
    order = np.argsort(known.scores[score], kind="stable")
    columns = st.columns(2, gap="medium")
    for column, name, indices in zip(columns, ("Most", "Least"), (order[::-1][:SHOWN], order[:SHOWN]), strict=True):
        with column:
            own = score in OWN
            st.subheader(f"{name} unsure" if own else f"{name} {SCORES[score].name}", anchor=False)
            of = counted(known.images, "test image")
            st.caption(f"of all {of}, by {SCORES[score].name}; click one to open its posterior")
            strip(checkpoint, known, indices.tolist(), f"strip_{name}")


def strip(checkpoint: Checkpoint, known: Survey, indices: list[int], key: str) -> None:
    labels = [None if known.labels is None else int(known.labels[index]) for index in indices]
    sprite = session.thumbnails(checkpoint.digest, "image", tuple(indices), checkpoint)
    widgets.strip(sprite, indices, labels, Pick("image", -1), clicked, key)


STYLE = """<style>
.verdict h4 { font-size: 1.1rem; font-weight: 600; line-height: 1.35; margin: 0 0 .5rem; padding: 0; }
.verdict p { margin: 0 0 .45rem; font-size: .92rem; line-height: 1.4; }
.verdict table { width: 100%; border-collapse: collapse; margin-top: .9rem; font-size: .82rem; }
.verdict caption { text-align: left; font-weight: 600; padding-bottom: .3rem; caption-side: top; color: inherit; }
.verdict td, .verdict th { border: 0; padding: .22rem .3rem .22rem 0; font-weight: 400; line-height: 1.2; }
.verdict td b { font-weight: 600; }
.verdict td:last-child { white-space: nowrap; text-align: right; font-variant-numeric: tabular-nums; padding-right: 0; }
.verdict tr.given td:first-child { padding-left: .7rem; opacity: .85; }
.verdict .scale { position: relative; width: 34%; min-width: 76px; }
.verdict th.scale { display: flex; width: 100%; justify-content: space-between; opacity: .7; font-size: .72rem; }
.verdict .scale i { position: absolute; top: 50%; }
.verdict .zero { left: 50%; width: 1px; height: 100%; transform: translateY(-50%); background: currentColor; }
.verdict .zero { opacity: .4; }
.verdict .span { height: 4px; margin-top: -2px; min-width: 2px; opacity: .55; border-radius: 2px; }
.verdict .dot { width: 8px; height: 8px; margin: -4px 0 0 -4px; border-radius: 50%; }
.key { display: flex; flex-wrap: wrap; gap: .3rem 1.3rem; align-items: center; font-size: .82rem; }
.key em { opacity: .75; font-style: normal; }
.key .drops { display: inline-flex; align-items: center; white-space: nowrap; gap: 0; }
.key .drops i { width: 24px; text-align: center; font-style: normal; font-size: .72rem; line-height: 1.25rem; }
.key .drops i:last-of-type { margin-right: .5rem; }
.key .point, .key .ring { display: inline-block; margin-right: .4rem; border-radius: 50%; }
.key .point { width: 8px; height: 8px; }
.key .ring { width: 14px; height: 9px; border: 2px solid; }
.one b { font-size: .88rem; font-weight: 600; }
.one b span { display: inline-block; width: 1.35em; border-radius: 50%; text-align: center; line-height: 1.35em;
  background: #0072B2; color: #fff; font-size: .8rem; }
.one .pair { display: flex; gap: .5rem; padding-left: 34px; margin-bottom: .35rem; }
.one img { width: 64px; height: 64px; image-rendering: pixelated; border-radius: 4px; background: #000; }
.one dl { display: grid; grid-template-columns: 1fr auto; gap: 0 .5rem; margin: 0 !important; padding-left: 34px;
  font-size: .8rem; line-height: 1.45; }
.one dt { opacity: .8; font-weight: 400; }
.one dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
@media (max-width: 640px) { .one .pair, .one dl { padding-left: 4px; } }
.st-key-six > div { flex: 1 1 168px !important; min-width: 160px; max-width: 270px; }
</style>"""
