"""The forms by which a visitor brings a VAE: a zip, two files, or an ONNX pair."""

from collections.abc import Callable
from math import isqrt

import streamlit as st

from app import choices, shelf
from app.plain import plain
from vaecore.text import counted

MEGABYTES = 64
WAYS = {
    "zip": "A folder as a zip",
    "files": "Weights and config.json",
    "onnx": "An ONNX pair",
}
UNKNOWN = "another one, or not known"
LIKELIHOODS = {"bernoulli": "Bernoulli", "gaussian": "Gaussian"}
OUTPUTS = {"logits": "logits", "mean": "means in [0, 1], or of the Gaussian"}
WORDS = {
    "zip": "The zip of a checkpoint folder: VAEscope's (config.json, model.safetensors), an ONNX pair's, or one that "
    "pythae wrote (model.pt, model_config.json). Pickled programs (.pkl) are refused.",
    "files": "The weights as safetensors, and the config.json that says of which recipe they are.",
    "onnx": "encoder.onnx takes images [N, C, H, W] and gives two outputs, the mean and the log-variance of q(z|x); "
    "decoder.onnx takes z [N, D] and gives logits or means. The prior is N(0, I). Such a pair gives values and no "
    "gradients: it can be looked at on every page, but not trained.",
}


def read_way() -> None:
    choices.word("bring", "bring_way", tuple(WAYS), "zip")


def is_open() -> bool:
    """Whether a way other than the first was chosen."""
    return st.session_state["bring_way"] != "zip"


def chosen() -> str:
    """The way as the address has it: nothing where it is the first."""
    return st.session_state["bring_way"] if is_open() else ""


def write_address(name: str) -> None:
    choices.write_address(checkpoint=name, bring=chosen())


@st.fragment
def bring(write: Callable[[str], None] = write_address) -> None:
    """The form of the chosen way; `write` writes the address of the page that it stands on."""
    way = st.segmented_control("What do you bring?", list(WAYS), format_func=WAYS.get, key="bring_way", required=True)
    if name := st.session_state.get("checkpoint", ""):
        write(name)
    st.caption(WORDS[way])
    {"zip": of_zip, "files": of_files, "onnx": of_pair}[way]()


def of_zip() -> None:
    content = upload("Zip file", "zip")
    dataset, name = asked("For pythae's folders, which do not say it")
    done("zip", content is not None, lambda: shelf.take_zip(content, name, dataset))


def of_files() -> None:
    weights, config = uploads({"model.safetensors": "weights", "config.json": "config"})
    name = named()
    done("files", None not in (weights, config), lambda: shelf.take_files(weights, config, name))


def of_pair() -> None:
    encoder, decoder = uploads({"encoder.onnx": "encoder", "decoder.onnx": "decoder"})
    if encoder is None or decoder is None:
        return
    try:
        sizes = shelf.sizes(encoder, decoder)
    except ValueError as error:
        st.error(plain(error))
        return
    said = details(sizes)
    dataset, name = asked("Whose test images the pages shall show")
    done("pair", True, lambda: shelf.take_pair(encoder, decoder, name, dataset=dataset, **said))


def details(sizes: "shelf.Sizes") -> dict:
    """The shapes, shown, and what the files do not say, asked for."""
    columns = {"file": [], "takes": [], "gives": []}
    for port in sizes.ports:
        for column, value in zip(columns.values(), port, strict=True):
            column.append(value)
    st.dataframe(columns, hide_index=True, alt="The inputs and outputs of the two files with their shapes")
    shape = sizes.data_shape
    st.caption(f"D = {sizes.latent_dim}; {counted(sizes.pixels, 'number')} an image. N stands for any number.")
    first, second, third = st.columns(3)
    likelihood = first.selectbox("Likelihood of a pixel", list(LIKELIHOODS), format_func=LIKELIHOODS.get, key="bring_p")
    output = second.selectbox("The decoder gives", list(OUTPUTS), format_func=OUTPUTS.get, key="bring_output")
    scale = third.number_input(
        "Standard deviation of a pixel",
        min_value=0.0001,
        max_value=10_000.0,
        value=1.0,
        format="%.4f",
        disabled=likelihood != "gaussian",
        key="bring_scale",
        help="Of a Gaussian likelihood. Mean squared error without a weight of its own means 1.",
    )
    return {"data_shape": shape or flat(sizes.pixels), "likelihood": likelihood, "output": output, "scale": scale}


def flat(pixels: int) -> tuple[int, int, int]:
    """The shape of images that the encoder takes as a row of numbers."""
    side = isqrt(pixels)
    usual = (1, side, side) if side * side == pixels else (1, 1, pixels)
    columns = st.columns(3)
    names = ("Channels", "Height", "Width")
    return tuple(
        int(column.number_input(name, min_value=1, max_value=256, value=min(size, 256), key=f"bring_{name.lower()}"))
        for column, name, size in zip(columns, names, usual, strict=True)
    )


def upload(label: str, key: str) -> bytes | None:
    """The file's content; a file that is too large is named."""
    turn = st.session_state.get("bring_turn", 0)
    file = st.file_uploader(label, key=f"bring_{key}_{turn}", max_upload_size=MEGABYTES)
    if file is None:
        return None
    if file.size > MEGABYTES << 20:
        st.error(f"{label} has {file.size / 1e6:,.0f} MB; at most {MEGABYTES} are taken.")
        return None
    return file.getvalue()


def uploads(keys: dict[str, str]) -> list[bytes | None]:
    """Files side by side, each by its label."""
    found = []
    for column, (label, key) in zip(st.columns(len(keys)), keys.items(), strict=True):
        with column:
            found.append(upload(label, key))
    return found


def asked(why: str) -> tuple[str | None, str]:
    """The data set and the name."""
    left, right = st.columns(2)
    dataset = left.selectbox("Trained on", [UNKNOWN, *shelf.datasets()], help=why, key="bring_dataset")
    with right:
        return None if dataset == UNKNOWN else dataset, named()


def named() -> str:
    return st.text_input(
        "Name",
        key="bring_name",
        max_chars=64,
        placeholder="by what it is",
        help="Letters, digits, dots, dashes, underscores",
    ).strip()


def done(key: str, ready: bool, take: Callable[[], str]) -> None:
    """The button that takes it in, and what became of it."""
    if not st.button(
        "Check it and take it in", key=f"bring_take_{key}", type="primary", disabled=not ready, icon=":material/upload:"
    ):
        return
    try:
        with st.spinner("Checking every file, and trying the VAE on an image", show_time=True):
            name = take()
    except (ValueError, OSError) as error:
        st.error(f"**Not taken.** {plain(error)} Nothing was kept.")
        return
    state = st.session_state
    state["shelf_chosen"], state["shelf_said"] = name, f"{name} is here, and chosen on all pages."
    state["bring_turn"] = state.get("bring_turn", 0) + 1
    st.rerun()
