"""The form of the page "Train one": made from the recipe's own options, with what the training will take."""

import streamlit as st

from app import panels, ranking, train_address, training
from app.plain import plain


def form() -> None:
    """All that is asked of a run, and the button that begins it."""
    st.subheader("A new run", anchor=False)
    systems, sets = training.systems(), training.datasets()
    recipe = st.selectbox(
        "System",
        list(systems),
        key="train_recipe",
        persist_state="session",
        format_func=lambda name: systems[name].title,
    )
    system = systems[recipe]
    st.caption(plain(f"{system.paper}: {system.summary}."))
    about = "those whose files are on this computer"
    dataset = st.selectbox("Data set", sets, key="train_dataset", persist_state="session", help=about)
    asked = {"recipe": recipe, "dataset": dataset, **sizes(recipe, dataset)}
    with st.expander(f"Options of {plain(system.title)}", expanded=st.session_state.get("train_opened", False)):
        options = training.options(recipe)
        asked["options"] = {name: field(recipe, dataset, name, name.replace("_", " ")) for name in options}
        asked |= more(recipe, dataset, asked["latent_dim"])
    name = st.text_input("Name", key=name_key(asked), value=training.free_name(wanted(asked)), max_chars=60)
    took = told(asked)
    if st.button("Start", type="primary", icon=":material/play_arrow:", key="train_start", width="stretch"):
        begin(name, asked)
    if took is not None:
        st.caption(took)


def sizes(recipe: str, dataset: str) -> dict:
    titles = {"latent": "Latent size", "epochs": "Epochs", "seed": "Seed"}
    columns = st.columns(len(titles))
    found = {}
    for column, (name, title) in zip(columns, titles.items(), strict=True):
        with column:
            found[name] = field(recipe, dataset, name, title)
    return {"latent_dim": found.pop("latent"), **found}


def field(recipe: str, dataset: str, name: str, title: str) -> str | float | None:
    """The widget of one field: its type, its range, its help; its value lies in the session already."""
    asked = training.fields(recipe, dataset)[name]
    key, first = train_address.key_of(recipe, dataset, name), train_address.default(dataset, asked)
    about = {"key": key, "help": asked.help or None, "persist_state": "session"}
    if hasattr(asked, "choices"):
        return st.selectbox(title, asked.choices, **about)
    whole = isinstance(asked.default, int)
    kind = int if whole else float
    low, high, value = kind(asked.least), kind(asked.most), asked.default
    step = 1 if whole else max(abs(value), 0.1) / 10 if value else 0.1
    if first is None:
        about |= {"value": None, "placeholder": "the recipe's"}
    found = st.number_input(title, low, high, step=step, format="%d" if whole else "%g", **about)
    return None if found is None else kind(found)


def more(recipe: str, dataset: str, latent: int) -> dict:
    """What every recipe lets one choose."""
    batch, rate = (field(recipe, dataset, name, title) for name, title in MORE.items())
    entries = {entry.name: entry for entry in train_address.starts(dataset, latent)}
    start = st.selectbox(
        "begin with",
        ["", *entries],
        key=train_address.start_key(dataset, latent),
        persist_state="session",
        format_func=lambda name: name or "nothing: from scratch",
        help="a trained VAE with the same networks, as several papers do",
    )
    folder = str(entries[start].folder.resolve()) if start else None
    return {"batch_size": batch, "learning_rate": rate, "start": folder}


MORE = {"batch": "batch size", "rate": "learning rate"}


def wanted(asked: dict) -> str:
    return f"{asked['dataset']}-{asked['recipe']}-{asked['latent_dim']}d".replace("_", "-")


def name_key(asked: dict) -> str:
    """A name belongs to what is asked, and to how many runs were begun from this form."""
    return f"train_name_{wanted(asked)}_{st.session_state.get('train_begun', 0)}"


def told(asked: dict) -> str | None:
    """How long it will take, said as the estimate that it is; a sentence where that cannot be known."""
    with panels.sentences(), st.spinner("Measuring a few steps"):
        seconds = training.estimate(asked)
        return f"Estimate: {ranking.duration(1.1 * seconds)}, by a few steps measured now, if a core is free for it."
    return None


def begin(name: str, asked: dict) -> None:
    with panels.sentences():
        folder = training.begin(name.strip(), asked)
        st.session_state["train_run"] = folder.name
        st.session_state["train_begun"] = st.session_state.get("train_begun", 0) + 1
        st.rerun()
