"""K-means and probes on the page of codes: controls, accuracies beside the paper's, clusters against labels."""

from html import escape

import numpy as np
import streamlit as st

from app import learned_chosen, learned_clusters, learned_later, learned_words, panels
from app.learned_clusters import PAPER_CLUSTERS, PAPER_DATA, PAPER_LABELS, PROBES, RULES, Clusters, Grouping
from app.learned_selection import SEEDS
from app.plain import plain
from app.session import Checkpoint


def clusters(checkpoints: list[Checkpoint], names: list[str]) -> None:
    """K-means with K and seed, how well its clusters name the test images, and what they hold."""
    st.subheader("Do clusters find the classes?", anchor=False)
    grouping = Grouping(st.session_state["learned_k"], st.session_state["learned_kseed"])
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        kept = {"persist_state": "session", "width": 150}
        st.number_input("Clusters K", learned_clusters.FEWEST, learned_clusters.MOST, key="learned_k", **kept)
        st.number_input("Seed of K-means", 0, SEEDS - 1, key="learned_kseed", **kept)
    works = {}
    for one, name in zip(checkpoints, names, strict=True):
        with panels.sentences():
            works[name] = learned_clusters.clusters(one, grouping)
    if not all(work.done for work in works.values()):
        learned_later.follow(list(works.values()), "Encoding the training images, once, and clustering their codes")
        return
    found = {name: work.value for name, work in works.items() if work.value}
    if found:
        clustered(checkpoints, found, grouping)


def clustered(checkpoints: list[Checkpoint], found: dict[str, Clusters], grouping: Grouping) -> None:
    in_paper = checkpoints[0].dataset in PAPER_DATA
    own = {name: each.accuracy for name, each in found.items()}
    st.markdown(f"**{plain(learned_words.clustered(own, grouping.clusters, in_paper))}**")
    st.html(f"{STYLE}<section class='scores'>{accuracies(own, grouping.clusters, in_paper)}</section>")
    st.caption(learned_words.CLUSTERS + (learned_words.PAPERS if in_paper else learned_words.NOT_PAPERS))
    for start in range(0, len(found), 2):
        group = list(found.items())[start : start + 2]
        for column, (name, each) in zip(st.columns(2, gap="medium"), group, strict=False):
            column.html(f"{STYLE}<section class='scores'>{heat(name, each)}</section>")


def accuracies(own: dict[str, dict[str, float]], clusters: int, in_paper: bool) -> str:
    heads = "".join(f"<th scope='col'>by {rule}</th>" for rule in RULES.values())
    lines = "".join(
        f"<tr data-name='{escape(name)}'><th scope='row'>{escape(name)}</th>"
        f"{''.join(f'<td>{100 * each[rule]:.1f}</td>' for rule in RULES)}</tr>"
        for name, each in own.items()
    )
    table = (
        f"<table><caption>Accuracy on the test images, %, K = {clusters}</caption><thead><tr><th></th>{heads}</tr>"
        f"</thead><tbody>{lines}</tbody></table>"
    )
    return f"<div>{table}{paper(0, PAPER_CLUSTERS, 'K = ', clusters) if in_paper else ''}</div>"


def paper(part: int, columns: tuple, unit: str, now: object) -> str:
    """K-means, KNN or the linear layer of the paper's Table 2, with the column in bold that compares."""
    tables = learned_clusters.paper_tables()
    table, start = (tables["clustering"], 0) if part == 0 else (tables["probes"], 3 * (part - 1))
    place = next((k for k, column in enumerate(columns) if column == now), -1)

    def cells(values: tuple, kind: str) -> str:
        return "".join(
            f"<{kind}{' class=now' if k == place else ''}>{value}</{kind}>" for k, value in enumerate(values)
        )

    lines = "".join(
        f"<tr><th scope='row'>{name}</th>{cells(row[start : start + 3], 'td')}</tr>" for name, row in table.items()
    )
    heads = cells(tuple(f"{unit}{column}" for column in columns), "th")
    what = ("K-means", "KNN, labels", "linear, labels")[part]
    return (
        f"<table class='paper'><caption>The paper's {what} (Table 2, MNIST, %)</caption>"
        f"<thead><tr><th></th>{heads}</tr></thead><tbody>{lines}</tbody></table>"
    )


def heat(name: str, found: Clusters) -> str:
    """How many test images of each label each cluster holds, the clusters by their labels."""
    label = found.labels["majority"]
    order = np.lexsort((-found.confusion.sum(1), label))
    heads = "".join(f"<th scope='col'>{k}</th>" for k in range(found.confusion.shape[1]))
    most = max(1, int(found.confusion.max()))
    lines = "".join(line(k, int(label[k]), found.confusion[k], most) for k in order)
    what = "test images of each label (across) in each cluster (down); outlined: the cluster's label, by majority"
    return (
        f"<table class='heat' data-clusters='{len(label)}'><caption>{escape(name)}: {what}</caption>"
        f"<thead><tr><th></th>{heads}</tr></thead><tbody>{lines}</tbody></table>"
    )


def line(cluster: int, label: int, counts: np.ndarray, most: int) -> str:
    shades = 0.75 * (counts / most) ** 0.6
    cells = "".join(
        f"<td{' class=own' if k == label else ''} style='background:rgba(0,114,178,{shade:.2f})'>{count or ''}</td>"
        for k, (count, shade) in enumerate(zip(counts.tolist(), shades.tolist(), strict=True))
    )
    return f"<tr><th scope='row'>cluster {cluster}</th>{cells}</tr>"


# ---- probes


@st.fragment
def probes(checkpoints: list[Checkpoint], names: list[str]) -> None:
    """KNN and a linear layer, trained on the spot with the chosen number of labels."""
    state = st.session_state
    st.subheader("How few labels does it need?", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.segmented_control(
            "Labels",
            learned_chosen.WORDS["labels"],
            key="learned_labels",
            required=True,
            persist_state="session",
            format_func=lambda text: text if text == "all" else f"{int(text):,}",
        )
        st.number_input("Seed of the labels", 0, SEEDS - 1, key="learned_lseed", persist_state="session", width=150)
        st.button(
            "Train KNN and a linear layer",
            key="learned_train",
            icon=":material/school:",
            on_click=lambda: state.update(learned_probe=True),
        )
    learned_chosen.write_address(checkpoints)
    if not state.get("learned_probe"):
        st.caption("Two simple classifiers learn from the codes and so many labels, and are tested on all test codes.")
        return
    text, works = state["learned_labels"], {}
    count = None if text == "all" else int(text)
    for one, name in zip(checkpoints, names, strict=True):
        with panels.sentences():
            works[name] = learned_clusters.probed(one, count, state["learned_lseed"])
    if not all(work.done for work in works.values()):
        learned_later.follow(list(works.values()), f"Training with {learned_words.labels(text)}")
        return
    found = {name: work.value for name, work in works.items() if work.value}
    if found:
        in_paper = checkpoints[0].dataset in PAPER_DATA
        st.markdown(f"**{plain(learned_words.probed(found, text))}**")
        tables = results(found, text) + (papers(text) if in_paper else "")
        st.html(f"{STYLE}<section class='scores'><div>{tables}</div></section>")
        st.caption(learned_words.PROBED)


def results(found: dict[str, dict[str, float]], text: str) -> str:
    heads = "".join(f"<th scope='col'>{name}</th>" for name in PROBES.values())
    lines = "".join(
        f"<tr data-name='{escape(name)}'><th scope='row'>{escape(name)}</th>"
        f"{''.join(f'<td>{100 * each[kind]:.1f}</td>' for kind in PROBES)}</tr>"
        for name, each in found.items()
    )
    return (
        f"<table class='probes'><caption>Accuracy on the test images, %, {learned_words.labels(text)}</caption>"
        f"<thead><tr><th></th>{heads}</tr></thead><tbody>{lines}</tbody></table>"
    )


def papers(text: str) -> str:
    return paper(1, PAPER_LABELS, "", text) + paper(2, PAPER_LABELS, "", text)


STYLE = """<style>
.scores > div { display: flex; flex-wrap: wrap; gap: 1rem 2.2rem; align-items: flex-start; }
.scores { overflow-x: auto; }
.scores table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
.scores caption { caption-side: top; text-align: left; font-weight: 600; font-size: .85rem; padding-bottom: .2rem; }
.scores th, .scores td { padding: .2rem .6rem; border-bottom: 1px solid rgba(128, 140, 150, .35); text-align: right; }
.scores th { font-weight: 600; }
.scores th:first-child { text-align: left; padding-left: 0; }
.scores .paper { opacity: .85; font-size: .8rem; }
.scores .paper .now { font-weight: 700; background: rgba(128, 140, 150, .18); }
.scores .paper td, .scores .paper th { font-weight: 400; padding: .12rem .5rem; }
.scores .heat { font-size: .75rem; width: 100%; max-width: 640px; }
.scores .heat caption { font-weight: 400; font-size: .8rem; }
.scores .heat td, .scores .heat th { padding: .1rem .25rem; text-align: center; border: 0; }
.scores .heat th:first-child { white-space: nowrap; }
.scores .heat .own { outline: 1.5px solid currentColor; outline-offset: -2px; }
</style>"""
