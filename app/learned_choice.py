"""The maps of the page of codes: what is chosen about them, what has to be computed first, and the maps themselves."""

import streamlit as st

from app import (
    jobs,
    learned,
    learned_clusters,
    learned_colours,
    learned_map,
    owners,
    panels,
    ranking,
    session,
    watching,
)
from app.jobs import Job
from app.learned import SPLITS
from app.learned_colours import COLOURS, Colour, Painted
from app.learned_map import METHODS, POINTS, Map, Shown, View
from app.learned_selection import SEEDS
from app.plain import plain
from app.session import Checkpoint
from vaecore.text import counted

# CPU seconds of t-SNE and UMAP for so many points, roughly: the bar that follows knows better.
COST = {"tsne": {2000: 20, 5000: 80, 10_000: 220}, "umap": {2000: 8, 5000: 20, 10_000: 60}}
FIRST = 20  # seconds more: a process of its own begins, encodes and, for UMAP, compiles


def controls(checkpoints: list[Checkpoint]) -> None:
    """Which images, which map, which colour; of t-SNE and UMAP how many points, and the seed."""
    state, dataset = st.session_state, checkpoints[0].dataset
    labelled = learned.labels(dataset, learned.rows_of(dataset, "test")) is not None
    colours = [key for key in COLOURS if labelled or key in ("kl", "uncertainty")]
    if state["learned_colour"] not in colours:
        state["learned_colour"] = colours[0]
    tests, others = learned.sizes(dataset)
    counts = {"test": tests, "train": others, "all": tests + others}
    kept = {"persist_state": "session", "required": True}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.segmented_control(
            "Images", SPLITS, key="learned_split", format_func=lambda key: f"{SPLITS[key]} ({counts[key]:,})", **kept
        )
        if any(one.latent != 2 for one in checkpoints):
            st.segmented_control("Map", METHODS, key="learned_map", format_func=METHODS.get, **kept)
            if state["learned_map"] != "pca":
                st.selectbox(
                    "Points",
                    tuple(map(str, POINTS)),
                    key="learned_points",
                    persist_state="session",
                    format_func=lambda text: f"{int(text):,}",
                    width=110,
                )
                st.number_input("Seed", 0, SEEDS - 1, key="learned_seed", persist_state="session", width=120)
        st.segmented_control("Colour", colours, key="learned_colour", format_func=COLOURS.get, **kept)


def prepared(checkpoints: list[Checkpoint], view: View, colour: Colour) -> list[Checkpoint]:
    """Those whose codes and colours are there, with a bar while they are computed; the others are named."""
    slot, usable = st.empty(), []
    for one in checkpoints:
        said = f"Encoding the {SPLITS[view.split]} images with {plain(one.name)}, once"
        with panels.sentences():
            learned.prepare(one, view.split, lambda share, said=said: slot.progress(share, text=said))
            learned.coded(one, view.split)
            if colour.kind in ("cluster", "error"):
                learned_clusters.must_be_scorable(one)
            learned_colours.prepare(
                one,
                colour.kind,
                view.split,
                lambda share, one=one: slot.progress(share, text=f"{COLOURS[colour.kind]} of {plain(one.name)}, once"),
            )
            usable.append(one)
    slot.empty()
    return usable


def embedded(checkpoints: list[Checkpoint], view: View, these: Shown) -> dict[str, Map]:
    """The maps that are there, by checkpoint; what is not is offered to be computed, or followed while it is."""
    found = {one.name: learned_map.map_of(one, view, these) for one in checkpoints}
    absent = [one for one in checkpoints if found[one.name] is None and has_map(one, view, these)]
    if absent:
        offer(absent, view, len(these.rows))
    return {name: one for name, one in found.items() if one is not None}


def has_map(checkpoint: Checkpoint, view: View, these: Shown) -> bool:
    """Whether t-SNE or UMAP can be computed; where not, it is said why, and none is offered."""
    with panels.sentences():
        learned_map.must_have_map(checkpoint, view, these)
        return True
    return False


def offer(absent: list[Checkpoint], view: View, count: int) -> None:
    """The button that starts t-SNE or UMAP of these checkpoints in a process of its own, or its bar and stop."""
    names, target = ", ".join(one.name for one in absent), target_of(absent, view)
    job = jobs.find("embed", target)
    if job and job.active:
        codes = counted(count, "code")
        watching.follow("embed", target, f"{METHODS[view.method]} of {codes}, {plain(names)}")
        return
    watching.ended(job)
    if job and job.state == "stopped":
        st.caption("It was stopped; nothing of the map that it was at is kept.")
    text, way = st.columns([5, 1], vertical_alignment="center")
    text.info(
        f"{METHODS[view.method]} of {count:,} of the {SPLITS[view.split]} images, as many of each label, seed "
        f"{view.seed}, has not been computed for {plain(names)}. It takes "
        f"{ranking.duration(seconds(view, count, len(absent)))}, in the background, and is kept with the checkpoint. "
        "PCA of all is there at once."
    )
    if way.button("Compute", key="learned_embed", icon=":material/play_circle:", width="stretch"):
        with panels.sentences():
            start(absent, view, target)
            st.rerun()


def target_of(absent: list[Checkpoint], view: View) -> str:
    return "\n".join([*(str(one.folder.resolve()) for one in absent), *map(str, view)])


def start(absent: list[Checkpoint], view: View, target: str) -> Job:
    folders = [str(one.folder.resolve()) for one in absent]
    settings = ["--method", view.method, "--split", view.split, "--points", str(view.points), "--seed", str(view.seed)]
    return jobs.start("embed", target, ["embed", *folders, *settings], owners.me())


def seconds(view: View, count: int, checkpoints: int) -> float:
    """By the next larger number of points that was measured."""
    cost = COST[view.method]
    return FIRST + checkpoints * cost[min((points for points in cost if points >= count), default=max(cost))]


def panel(checkpoint: Checkpoint, name: str, own: Map, colour: Painted, what: str) -> dict:
    """One map, as the component takes it."""
    return {
        "title": name,
        "note": own.note,
        "alt": f"Map of {counted(len(own.places), 'code')} of {checkpoint.name}, coloured by {what}. {own.note}.",
        "places": own.name,
        "values": colour.name,
        "legend": colour.legend,
    }


def no_images(checkpoint: Checkpoint, sentence: str) -> None:
    st.info(f"{plain(session.absence(checkpoint))}: without them nothing can be encoded, and there is no map to draw.")
    st.markdown(plain(sentence))
    panels.download(checkpoint.dataset)
