"""The form of the page "Train one": made from the recipe's own options, with what the training will take."""

from typing import TYPE_CHECKING

import streamlit as st

from app import panels, ranking, session, training

if TYPE_CHECKING:
    from app.training import Choice, Number

FIRST = {"digits": 100, "dynamic_digits": 100}  # epochs to begin with; others are larger
EPOCHS = 10


def form() -> None:
    """All that is asked of a run, and the button that begins it."""
    st.subheader("A new run", anchor=False)
    systems, sets = training.systems(), training.datasets()
    recipe = st.selectbox("System", list(systems), key="train_recipe", format_func=lambda name: systems[name].title)
    system = systems[recipe]
    st.caption(f"{system.paper}: {system.summary}.")
    dataset = st.selectbox("Data set", sets, key="train_dataset", help="those whose files are on this computer")
    asked = {"recipe": recipe, "dataset": dataset, **sizes(dataset)}
    with st.expander(f"Options of {system.title}", expanded=False):
        asked["options"] = {option.name: field(system.name, option, dataset) for option in system.options}
        asked |= more(dataset, asked["latent_dim"])
    name = st.text_input("Name", key=name_key(asked), value=training.free_name(wanted(asked)), max_chars=60)
    took = told(asked)
    if st.button("Start", type="primary", icon=":material/play_arrow:", key="train_start", width="stretch"):
        begin(name, asked)
    if took is not None:
        st.caption(took)


def sizes(dataset: str) -> dict:
    one, two, three = st.columns(3)
    latent = one.number_input("Latent size", 1, 1024, 2, key="train_latent", help="D; with 2 the posterior is exact")
    epochs = two.number_input("Epochs", 1, 100_000, FIRST.get(dataset, EPOCHS), key=f"train_epochs_{dataset}")
    seed = three.number_input("Seed", 0, 2**32 - 1, 0, key="train_seed")
    return {"latent_dim": int(latent), "epochs": int(epochs), "seed": int(seed)}


def field(recipe: str, option: "Choice | Number", dataset: str) -> str | float:
    """The widget of one option: its type, its range, its help."""
    name, key = option.name.replace("_", " "), f"train_{recipe}_{option.name}"
    if hasattr(option, "choices"):
        default = option.default or training.default_net(dataset, option.choices)
        # The networks that suit depend on the images' size.
        key = key if option.default else f"{key}_{default}"
        return st.selectbox(name, option.choices, option.choices.index(default), key=key, help=option.help)
    whole = isinstance(option.default, int)
    kind = int if whole else float
    low, high, value = kind(option.least), kind(option.most), option.default
    shown = "%d" if whole else "%g"
    step = 1 if whole else max(abs(value), 0.1) / 10 if value else 0.1
    return kind(st.number_input(name, low, high, value, step=step, format=shown, key=key, help=option.help))


def more(dataset: str, latent: int) -> dict:
    """What every recipe lets one choose."""
    batch = st.number_input("batch size", 1, 8192, 128, key="train_batch")
    rate = st.number_input(
        "learning rate", 0.0, 10.0, None, format="%g", key="train_rate", placeholder="the recipe's", help="at first"
    )
    entries = [
        entry
        for entry in session.checkpoints().values()
        if not entry.problem and (entry.dataset, entry.latent, entry.recipe) == (dataset, latent, "vae")
    ]
    start = st.selectbox(
        "begin with",
        [None, *(entry.name for entry in entries)],
        key=f"train_from_{dataset}_{latent}",
        format_func=lambda name: name or "nothing: from scratch",
        help="a trained VAE with the same networks, as several papers do",
    )
    folder = next((str(entry.folder.resolve()) for entry in entries if entry.name == start), None)
    return {"batch_size": int(batch), "learning_rate": rate or None, "start": folder}


def wanted(asked: dict) -> str:
    return f"{asked['dataset']}-{asked['recipe']}-{asked['latent_dim']}d".replace("_", "-")


def name_key(asked: dict) -> str:
    """A name belongs to what is asked, and to how many runs were begun from this form."""
    return f"train_name_{wanted(asked)}_{st.session_state.get('train_begun', 0)}"


def told(asked: dict) -> str | None:
    """How long it will take, said as the estimate that it is; a sentence where that cannot be known."""
    with panels.sentences(), st.spinner("Measuring a few steps"):
        seconds = training.estimate({**asked, "start": None, "seed": 0})
        return f"Estimate: {ranking.duration(1.1 * seconds)}, by a few steps measured now, if a core is free for it."
    return None


def begin(name: str, asked: dict) -> None:
    with panels.sentences():
        folder = training.begin(name.strip(), asked)
        st.session_state["train_run"] = folder.name
        st.session_state["train_begun"] = st.session_state.get("train_begun", 0) + 1
        st.rerun()
