"""What the person chose on the page of priors, kept in its address: checkpoint, others beside it, seed, map, z."""

import streamlit as st

from app import choices, holes
from app.holes import Entry
from app.plain import plain, quoted
from app.session import Checkpoint

MOST = 5  # checkpoints beside the first
NONE = "none"  # in a link: compared with nothing
At = tuple[str, object]  # ("low", rank) of a low posterior sample, or ("z", (z1, z2))


def preferred(found: dict[str, Checkpoint]) -> None:
    """Where nothing was chosen yet: the first standard VAE that has a learned prior beside it."""
    if "checkpoint" in st.session_state or "checkpoint" in st.query_params:
        return
    learned = [entry for entry in found.values() if sort(entry) in ("post-hoc", "joint")]
    for name, entry in found.items():
        if sort(entry) == "standard" and any(fits(other, entry) for other in learned):
            st.session_state["checkpoint"] = name
            return


def sort(entry: Checkpoint) -> str:
    """By its recipe and label alone: standard, post-hoc, joint, or something else."""
    return "standard" if entry.recipe == "vae" else entry.label.split(" ")[0] if entry.recipe == "rnvp-p" else "other"


def fits(entry: Checkpoint, host: Checkpoint) -> bool:
    """Whether they can stand side by side: one data set, one number of latent dimensions."""
    alike = (entry.dataset, entry.shape, entry.latent) == (host.dataset, host.shape, host.latent)
    return alike and bool(host.dataset) and not entry.problem and entry.name != host.name


def others(found: dict[str, Checkpoint], host: Checkpoint) -> list[Checkpoint]:
    """Let the person choose what stands beside `host`."""
    fitting, state = [name for name, entry in found.items() if fits(entry, host)], st.session_state
    asked = choices.all_news("with")
    kept = [name for name in state.get("prior_with", []) if name in fitting]
    if asked:
        kept = [name for name in dict.fromkeys(asked) if name in fitting][:MOST]
        if strange := [name for name in asked if name not in (*fitting, host.name, NONE)]:
            st.warning(f"The link asks to compare with {quoted(strange[0], 60)}, which is not here or does not fit.")
    elif state.get("prior_about") != (host.dataset, host.latent):
        kept = usual(found, host, fitting)
    state["prior_with"], state["prior_about"] = kept, (host.dataset, host.latent)
    chosen = st.multiselect(
        "Compare with",
        fitting,
        key="prior_with",
        persist_state="session",
        max_selections=MOST,
        disabled=not fitting,
        placeholder="other checkpoints of this data set" if fitting else "no other checkpoint of this data and size",
        format_func=lambda name: f"{name} ({found[name].label})",
    )
    return [found[name] for name in chosen]


def usual(found: dict[str, Checkpoint], host: Checkpoint, fitting: list[str]) -> list[str]:
    """A standard, a post-hoc and a joint one, as far as they are there and `host` is none of them."""
    kept = []
    for wanted in ("standard", "post-hoc", "joint"):
        named = [name for name in fitting if sort(found[name]) == wanted]
        if wanted == "post-hoc":  # the one that stands on this very VAE
            named.sort(key=lambda name: holes.body(found[name].digest, found[name]) != holes.body(host.digest, host))
        if named and sort(host) != wanted:
            kept.append(named[0])
    return kept


def read_seed() -> int:
    choices.number("seed", "prior_seed", 0, 10**6)
    return st.session_state["prior_seed"]


def read_pairs() -> None:
    """Whether a link asks for the closest pairs, which take long."""
    if (asked := choices.all_news("pairs")) is not None:
        st.session_state["prior_pairs"] = bool(asked)


def draw_others() -> None:
    st.session_state["prior_seed"] += 1


def read_place(latent: int) -> None:
    """Take the z that a link asks for: the number of a low posterior sample or, for D = 2, two coordinates."""
    text = choices.news("z")
    if text is None:
        return
    if text.isascii() and text.isdigit() and len(text) < 4 and int(text) < holes.KEEP:
        st.session_state["prior_place"] = ("low", int(text))
    elif latent == 2 and (z := coordinates(text)):
        st.session_state["prior_place"] = ("z", z)
    else:
        more = " or, as z1,z2, a place in the plane" if latent == 2 else ""
        st.warning(
            f"The link asks for z = {quoted(text, 30)}; it takes the number of a low posterior sample, 0 to "
            f"{holes.KEEP - 1}{more}."
        )


def coordinates(text: str) -> tuple[float, float] | None:
    try:
        z = tuple(float(part) for part in text.split(","))
    except ValueError:
        return None
    return z if len(z) == 2 and all(abs(part) < 1000 for part in z) else None


def place_now(shown: Entry | None) -> At:
    """What was chosen last; at first the greatest hole of the map or, where there is none, the lowest sample."""
    kind, value = st.session_state.get("prior_place", ("", None))
    if kind == "low" or (kind == "z" and shown):
        return kind, value
    return ("z", holes.deepest(shown)) if shown else ("low", 0)


def choose_low(rank: object) -> None:
    """A click on a tile; what comes from a browser is not trusted."""
    if isinstance(rank, int) and 0 <= rank < holes.KEEP:
        st.session_state["prior_place"] = ("low", rank)


def choose_z(z: object) -> None:
    """A click on the map."""
    if isinstance(z, list) and len(z) == 2 and all(isinstance(v, int | float) and abs(v) < 1000 for v in z):
        st.session_state["prior_place"] = ("z", (round(float(z[0]), 3), round(float(z[1]), 3)))


def shown_map(entries: list[Entry], names: dict[str, str]) -> Entry:
    """Let the person choose whose map is drawn."""
    keys = [entry.checkpoint.name for entry in entries]
    choices.word("map", "prior_map_of", keys, keys[0])
    if len(keys) == 1:
        return entries[0]
    name = st.segmented_control(
        "Map of",
        keys,
        key="prior_map_of",
        required=True,
        persist_state="session",
        format_func=lambda key: plain(names[key]),
    )
    return entries[keys.index(name)]


def write_address(entries: list[Checkpoint], shown: Entry | None, seed: int, at: At) -> None:
    """Make the address a link to what is on the screen."""
    kind, value = at
    choices.write_address(
        checkpoint=entries[0].name,
        **{"with": [entry.name for entry in entries[1:]] or NONE},
        map=shown.checkpoint.name if shown and shown.checkpoint != entries[0] else [],
        seed=str(seed),
        pairs="1" if st.session_state.get("prior_pairs") else [],
        z=str(value) if kind == "low" else ",".join(f"{part:g}" for part in value),
    )
