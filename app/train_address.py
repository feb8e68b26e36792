"""The form of a new run in the page's address: what is not as at first stands there, each under its own name."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from app import choices, session, training
from app.plain import plain, quoted
from vaecore.text import counted

if TYPE_CHECKING:
    from app.session import Checkpoint
    from app.training import Choice, Number

FROM = "from"


def key_of(recipe: str, dataset: str, name: str) -> str:
    """Where the session keeps a field: sizes and options that begin otherwise elsewhere have keys of their own."""
    if name == "net":
        return f"train_{recipe}_net_{default(dataset, training.options(recipe)['net'])}"
    owner = recipe if name in training.options(recipe) else dataset if name == "epochs" else "any"
    return f"train_{owner}_{name}"


def default(dataset: str, field: "Choice | Number") -> str | float | None:
    """What the form has at first; the networks that suit depend on the images' size."""
    if hasattr(field, "choices"):
        return field.default or training.default_net(dataset, field.choices)
    return None if field.name == "rate" else field.default


def starts(dataset: str, latent: int) -> "list[Checkpoint]":
    """The trained VAEs that a run may begin with."""
    entries = (entry for entry in session.checkpoints().values() if not entry.problem)
    return [entry for entry in entries if (entry.dataset, entry.latent, entry.recipe) == (dataset, latent, "vae")]


def start_key(dataset: str, latent: int) -> str:
    return f"train_from_{dataset}_{latent}"


def read(systems: list[str], sets: list[str]) -> None:
    """Take what a link says of the form; the options are then shown, if it speaks of one."""
    choices.word("system", "train_recipe", systems, systems[0])
    choices.word("data", "train_dataset", sets, sets[0])
    state = st.session_state
    state["train_first"] = (systems[0], sets[0])
    recipe, dataset = state["train_recipe"], state["train_dataset"]
    for name, field in training.fields(recipe, dataset).items():
        values = choices.all_news(name)
        if values and name not in training.SIZES:
            state["train_opened"] = True
        take(name, values, key_of(recipe, dataset, name), default(dataset, field), partial(checked, field))
    read_start(dataset, state[key_of(recipe, dataset, "latent")])


def read_start(dataset: str, latent: int) -> None:
    names, key = [entry.name for entry in starts(dataset, latent)], start_key(dataset, latent)

    def known(text: str) -> str:
        if text not in names:
            raise ValueError(f"it must be a VAE of {dataset} with {counted(latent, 'latent dimension')} that is here")
        return text

    values = choices.all_news(FROM)
    if values:
        st.session_state["train_opened"] = True
    take(FROM, values, key, "", known)
    if st.session_state[key] not in names:
        st.session_state[key] = ""


def take(name: str, values: list[str] | None, key: str, at_first: object, check: Callable[[str], object]) -> None:
    """Keep in the session what a link asks for, as `check` reads it; say so if that cannot be."""
    state = st.session_state
    if values:
        try:
            state[key] = check(values[-1])
        except ValueError as error:
            st.warning(f"The link asks for {name} {quoted(values[-1], 30)}; {plain(error)}.")
    elif values is not None:
        state[key] = at_first
    state.setdefault(key, at_first)


def checked(field: "Choice | Number", text: str) -> str | float:
    """The field's value that a link spells; ValueError says what it must be."""
    if not text.isascii() or len(text) > 40:
        raise ValueError("it has strange characters or too many")
    try:
        return field.check(text)
    except ValueError as error:
        raise ValueError(str(error).rpartition("; ")[2].rstrip(".")) from None


def written() -> dict[str, str]:
    """The form as the address holds it."""
    state = st.session_state
    recipe, dataset = chosen = state["train_recipe"], state["train_dataset"]
    said = dict(zip(("system", "data"), chosen, strict=True)) if chosen != state["train_first"] else {}
    for name, field in training.fields(recipe, dataset).items():
        value = state.get(key_of(recipe, dataset, name))
        if value is not None and value != default(dataset, field):
            said[name] = str(value)
    start = state.get(start_key(dataset, int(state[key_of(recipe, dataset, "latent")])))
    return said | ({FROM: start} if start else {})
