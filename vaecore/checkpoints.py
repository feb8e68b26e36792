"""A checkpoint is a folder, laid out as on the Hugging Face hub; it appears whole or not at all.

    config.json            recipe, sizes and options: what `build` needs
    model.safetensors      the best weights; last.safetensors those of the last epoch; of an ONNX pair instead
                           encoder.onnx and decoder.onnx
    metrics.json           training budget, history, evaluation
    README.md              the model card
    metrics.jsonl          the log of its training, and snapshots/ of its epochs, where `train` made it
    analysis.safetensors   codes, labels and exact results, which belong to one digest of weights and configuration
    embeddings/            maps of the codes by t-SNE and UMAP, each a file, which belong to one digest too

What is read may come from a stranger: the configuration is checked key by key, and the weights must match, name by
name, the VAE that it builds. Nothing on disk is executable.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaecore import recipes
from vaecore.cards import model_card
from vaecore.onnx.graph import read_graph
from vaecore.onnx.pair import PAIR, open_pair
from vaecore.safefiles import (
    LARGEST_TENSORS,
    BadFile,
    File,
    cache,
    checked,
    must_be_text,
    read_header,
    read_json,
    read_tensors,
    sync,
    write_bytes,
    write_json,
    write_tensors,
)
from vaecore.vae import VAE

FORMAT = 1
CONFIG = {"format": int, "recipe": str, "data_shape": list, "latent_dim": int, "options": dict, "dataset": str | None}


def save(
    vae: VAE,
    folder: str | Path,
    *,
    dataset: str | None = None,
    metrics: dict | None = None,
    last: dict[str, Tensor] | None = None,
    more: Iterable[Path] = (),
) -> Path:
    """Write `vae` as a new checkpoint folder; ValueError if the folder exists or the VAE was not made by `build`.

    Args:
        dataset: the name of the data set that it was trained on.
        metrics: what metrics.json shall hold; the model card is written from it.
        last: the last epoch's weights, where `vae` holds the best epoch's.
        more: files and folders to be copied into it, the log of its training say.
    """
    folder = Path(folder)
    must_be_savable(vae, folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        write_json(beside / "config.json", {"format": FORMAT, **vae.config, "dataset": dataset})
        if vae.config["recipe"] == "onnx":
            for name, content in zip(PAIR, vae.encoder.runner.graphs, strict=True):
                write_bytes(beside / name, content)
        else:
            write_tensors(beside / "model.safetensors", vae.state_dict())
        if last is not None:
            write_tensors(beside / "last.safetensors", last)
        for source in more:
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, beside / source.name)
        write_json(beside / "metrics.json", {})
        add_metrics(beside, **(metrics or {}))
        beside.chmod(0o755)
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    sync(folder.parent)
    return folder


def must_be_savable(vae: VAE, folder: Path) -> None:
    """ValueError where `save` could not write `vae` as the new folder."""
    must_be_text(folder)
    if vae.config is None:
        raise ValueError("Only a VAE made by vaecore.build can be saved: its checkpoint names the recipe it came from.")
    if any(tensor.dtype != torch.float32 for tensor in vae.state_dict().values()):
        raise ValueError("Only weights of float32 can be saved: call vae.float() first.")
    if folder.exists():
        raise ValueError(f"{folder} exists already: name another folder, or remove it first.")


def load(folder: str | Path, device: str | torch.device = "cpu", which: str = "model") -> VAE:
    """The VAE in a checkpoint folder, ready for evaluation; `which="last"` gives the last epoch's weights.

    Raises BadFile, a ValueError, with a sentence that says what is wrong with the folder.
    """
    if which not in ("model", "last"):
        raise ValueError(f"which is {which!r}; it must be 'model', the best weights, or 'last'.")
    config, folder = read_config(folder), Path(folder)
    if config["recipe"] != "onnx":
        return filled(config, folder / f"{which}.safetensors").to(device)
    if which == "last":
        raise BadFile(f"{folder} holds an ONNX pair, which has no last epoch.")
    return open_pair(config, *(folder / name for name in PAIR)).to(device)


def filled(config: dict, file: File) -> VAE:
    """The VAE of a checked configuration with the weights in `file`, ready for evaluation; BadFile if they differ."""
    # First without memory: a configuration cannot ask for more than the file holds.
    must_match(read_header(file)[0], shapes(json.dumps(config)), file)
    tensors = read_tensors(file)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise BadFile(f"{file}: the weights {name} hold values that are not finite numbers.")
    vae = rebuild(config)
    vae.load_state_dict(tensors)
    return vae.eval()


@lru_cache(maxsize=64)
def shapes(config: str) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the weights that a configuration, as JSON, asks for; BadFile if it cannot be built."""
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in rebuild(json.loads(config)).state_dict().items()}


def rebuild(config: dict) -> VAE:
    with torch.random.fork_rng(devices=[]):
        try:
            return recipes.build_with(config["recipe"], config["data_shape"], config["latent_dim"], config["options"])
        except ValueError as error:
            raise BadFile(f"config.json: {str(error)[:300]}") from None


def must_match(header: dict, expected: dict[str, tuple[int, ...]], file: File) -> None:
    """The file's tensors are the VAE's: the same names, types and shapes."""
    wanted = {name: ("F32", shape) for name, shape in expected.items()}
    for name in sorted(wanted.keys() | header.keys()):
        if header.get(name) != wanted.get(name):
            there, want = (str(found.get(name, "nothing"))[:80] for found in (header, wanted))
            raise BadFile(
                f"{file} does not fit its config.json: {name[:80]} is {there}, the configuration makes it {want}."
            )


def read_config(folder: str | Path) -> dict:
    """The contents of config.json, its keys and their types checked; `build` checks the values."""
    folder = Path(folder)
    if not folder.is_dir():
        raise BadFile(f"There is no checkpoint folder {folder}.")
    return check_config(folder / "config.json")


def check_config(file: File) -> dict:
    """The configuration in `file`, as `read_config` gives it."""
    config = read_json(file)
    if set(config) != set(CONFIG):
        raise BadFile(f"{file} must hold exactly the keys {', '.join(CONFIG)}.")
    for key, kind in CONFIG.items():
        if not isinstance(config[key], kind) or isinstance(config[key], bool):
            raise BadFile(f"{file}: {key} is {repr(config[key])[:80]}, which is not of the right type.")
    if config["dataset"] is not None and not config["dataset"].replace("_", "").isalnum():
        raise BadFile(f"{file}: dataset is {config['dataset'][:80]!r}, which cannot be a data set's name.")
    if config["format"] != FORMAT:
        raise BadFile(f"{file} has format {repr(config['format'])[:20]}; this version reads format {FORMAT}.")
    return config


def read_metrics(folder: str | Path) -> dict:
    """The contents of metrics.json."""
    return read_json(Path(folder) / "metrics.json")


def add_metrics(folder: str | Path, **entries: Any) -> None:  # noqa: ANN401
    """Put entries into metrics.json and write the model card anew."""
    folder = Path(folder)
    metrics = read_metrics(folder) | entries
    write_json(folder / "metrics.json", metrics)
    write_card(folder)


def write_card(folder: str | Path) -> None:
    """Write README.md anew, from what the folder says of itself."""
    folder = Path(folder)
    card = model_card(read_config(folder), read_metrics(folder), count_weights(folder))
    write_bytes(folder / "README.md", card.encode())


def count_weights(folder: str | Path) -> int:
    files = weight_files(folder)
    if len(files) > 1:
        return sum(read_graph(file.read_bytes(), file.name).weights for file in files)
    return sum(prod(shape) for _, shape in read_header(files[0])[0].values())


def weight_files(folder: str | Path) -> list[Path]:
    """The file, or of an ONNX pair the two files, that a checkpoint's weights are in."""
    names = PAIR if read_config(folder)["recipe"] == "onnx" else ("model.safetensors",)
    return [Path(folder) / name for name in names]


def find(root: str | Path) -> list[Path]:
    """The checkpoint folders directly under `root`, by name."""
    return sorted(file.parent for file in Path(root).glob("[!.]*/config.json"))


def digest(folder: str | Path) -> str:
    """The SHA-256 of the weights and the configuration: what results computed from a checkpoint are keyed by.

    The weights alone do not say it: a VAE's are also those of the SA that begins with it.
    """
    found = hashlib.sha256(json.dumps(read_config(folder), sort_keys=True).encode())
    for file in weight_files(folder):
        found.update(checked(file, LARGEST_TENSORS).read_bytes())
    return found.hexdigest()


def read_analysis(folder: str | Path) -> dict[str, Tensor]:
    """What was computed once for these very weights, from the folder or the user's cache; {} if nothing was."""
    return read_kept(folder, "analysis")


def write_analysis(folder: str | Path, tensors: dict[str, Tensor]) -> Path:
    """Keep `tensors` beside the weights that they were computed from, or in the user's cache if that is read-only."""
    return write_kept(folder, "analysis", tensors)


def read_kept(folder: str | Path, name: str) -> dict[str, Tensor]:
    """As `read_analysis`, of any results: `name` is that of their file, without its ending."""
    key = digest(folder)
    for file in (Path(folder) / f"{name}.safetensors", cached(key, name)):
        if file.exists() and read_header(file)[1].get("digest") == key:
            return read_tensors(file)
    return {}


def write_kept(folder: str | Path, name: str, tensors: dict[str, Tensor]) -> Path:
    """As `write_analysis`, of any results: `name` is that of their file, without its ending."""
    key = digest(folder)
    file = Path(folder) / f"{name}.safetensors" if is_writable(folder) else cached(key, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(file, tensors, {"digest": key})
    return file


def is_writable(folder: str | Path) -> bool:
    """Whether results may lie in it; root, whom nothing hinders, heeds the folder's mode too: it may be a copy."""
    return os.access(folder, os.W_OK) and bool(Path(folder).stat().st_mode & 0o222)


def cached_analysis(key: str) -> Path:
    return cached(key, "analysis")


def cached(key: str, name: str) -> Path:
    """Where results for the weights of that digest lie in the user's cache."""
    return cache() / name / f"{key}.safetensors"
