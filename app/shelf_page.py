"""The parts of the page of checkpoints: the table, the card of one, and what can be done with it."""

import streamlit as st

from app import owners, shelf
from app.plain import plain
from app.session import Checkpoint

PAGES = {
    "views/posterior.py": "How wrong is the encoder?",
    "views/unsure.py": "Where is it unsure?",
    "views/learned.py": "What has it learned?",
    "views/between.py": "What lies between?",
    "views/prior.py": "Where is the prior wrong?",
    "views/health.py": "Is it healthy?",
}
NATS = "nats an image, of its own test images; compare within one data set"
HELP = {
    "D": "latent dimensions",
    "ELBO": f"the bound on log p(x): {NATS}",
    "NLL": f"the estimate of -log p(x) by importance sampling: {NATS}",
    "exact gap": f"KL(q(z|x) || p(z|x)), where D = 2: {NATS}",
    "active units": "latent dimensions that vary with the image",
    "minutes": "of training",
    "from": "shipped with VAEscope, trained here, brought here, or in a folder that others share",
}
WIDTHS = {"name": 250, "kind": 200, "data": 125}  # pixels, for the longest that ship
FORMATS = {"ELBO": "%.1f", "NLL": "%.1f", "exact gap": "%.2f", "minutes": "%.1f", "MB": "%.1f", "weights": "localized"}


def take_what_is_new() -> None:
    """Choose what the last run brought or renamed, and say so: before the choice is drawn."""
    state = st.session_state
    if name := state.pop("shelf_chosen", ""):
        state["checkpoint"] = name
    if said := state.pop("shelf_said", ""):
        st.success(plain(said))
    if problem := state.pop("shelf_problem", ""):
        st.error(plain(problem))


def table(entries: list[Checkpoint]) -> None:
    """All checkpoints, sorted by a click on a column's head; a click on a row's box chooses it."""
    columns = shelf.table(entries)
    config = {
        name: st.column_config.NumberColumn(help=HELP.get(name), format=FORMATS.get(name))
        if isinstance(next((value for value in values if value is not None), ""), int | float)
        else st.column_config.TextColumn(help=HELP.get(name), width=WIDTHS.get(name))
        for name, values in columns.items()
    }
    st.dataframe(
        columns,
        hide_index=True,
        column_config=config,
        key="shelf_table",
        on_select=lambda: chosen(entries),
        selection_mode="single-row",
        height=min(36 * (len(entries) + 1) + 2, 470),
        alt="All checkpoints with their kind, data set, size, measures and origin",
    )


def chosen(entries: list[Checkpoint]) -> None:
    rows = st.session_state["shelf_table"]["selection"]["rows"]
    if rows and rows[0] < len(entries):
        st.session_state["checkpoint"] = entries[rows[0]].name


def card(entry: Checkpoint) -> None:
    with st.container(border=True):
        st.markdown(shelf.card(entry))


def deeds(entry: Checkpoint) -> None:
    """Where to look at it, its zip, and, of what is ours, its name and its end."""
    with st.container(horizontal=True, gap="small"):
        for page, question in PAGES.items():
            st.page_link(page, label=question, query_params={"checkpoint": entry.name}, icon=":material/arrow_forward:")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.download_button(
            "Download as a zip",
            shelf.pack(entry),
            file_name=f"{entry.folder.name}.zip",
            mime="application/zip",
            icon=":material/download:",
            on_click="ignore",
            key="shelf_download",
        )
        if shelf.may_change(entry) and owners.owns(owners.owner_of(entry.folder)):
            changes(entry)
        elif shelf.may_change(entry):
            st.caption(f"It {owners.STRANGE}: it can be neither renamed nor deleted here.", width="content")
        else:
            st.caption("Neither trained nor brought here: it can be neither renamed nor deleted.", width="content")


def changes(entry: Checkpoint) -> None:
    with st.popover("Rename", icon=":material/edit:"):
        name = st.text_input("New name", value=entry.folder.name, key=f"shelf_name_{entry.name}", max_chars=64)
        st.button("Rename it", key="shelf_rename", on_click=act, args=(entry, name))
    with st.popover("Delete", icon=":material/delete:"):
        st.markdown(f"Delete **{plain(entry.name)}** for good? There is no way back.")
        st.button("Yes, delete it", key="shelf_delete", type="primary", on_click=act, args=(entry, ""))


def act(entry: Checkpoint, name: str) -> None:
    """Rename the checkpoint, or, without a name, delete it."""
    state = st.session_state
    try:
        if name:
            state["shelf_chosen"] = shelf.rename(entry, name)
            state["shelf_said"] = f"{entry.name} is called {state['shelf_chosen']} now."
        else:
            shelf.remove(entry)
            state.pop("checkpoint", None)
            state["shelf_said"] = f"{entry.name} is deleted."
    except (ValueError, OSError) as error:
        state["shelf_problem"] = str(error)
