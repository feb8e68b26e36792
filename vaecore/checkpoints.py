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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from vaecore import hidden, recipes, shelf
from vaecore.analysed import checked_analysis
from vaecore.cards import Say, model_card
from vaecore.folders import Parts, read_whole
from vaecore.onnx.graph import read_graph
from vaecore.onnx.pair import PAIR, open_pair
from vaecore.safefiles import (
    BadFile,
    File,
    Held,
    cache,
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

T = TypeVar("T")
Check = Callable[..., dict[str, Tensor]]
FORMAT, LONGEST_NAME = 1, 200
CONFIG = {"format": int, "recipe": str, "data_shape": list, "latent_dim": int, "options": dict, "dataset": str | None}


class Replaced(BadFile):
    """A folder that holds another checkpoint than the one that was asked for."""


@dataclass(frozen=True)
class Contents:
    """What a checkpoint says of itself, all of it read at one moment."""

    config: dict
    metrics: dict
    digest: str


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
    shelf.sweep(folder.parent)
    with hidden.beside(folder) as beside:
        write_json(beside / "config.json", {"format": FORMAT, **vae.config, "dataset": dataset})
        if vae.config["recipe"] == "onnx":
            for name, content in zip(PAIR, vae.encoder.runner.graphs, strict=True):
                write_bytes(beside / name, content)
        else:
            write_tensors(beside / "model.safetensors", vae.state_dict())
        if last is not None:
            write_tensors(beside / "last.safetensors", last)
        for source in more:
            copy_into(beside, source)
        write_metrics(beside, metrics or {})
        beside.chmod(0o755)
        beside.rename(folder)
    sync(folder.parent)
    return folder


def copy_into(folder: Path, source: Path) -> None:
    """A file or a folder, but for what a writer that was killed has left in it."""
    if source.is_dir():
        shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns(".*"))
    else:
        shutil.copyfile(source, folder / source.name)


def must_be_savable(vae: VAE, folder: Path) -> None:
    """ValueError where `save` could not write `vae` as the new folder."""
    must_be_text(folder)
    if vae.config is None:
        raise ValueError("Only a VAE made by vaecore.build can be saved: its checkpoint names the recipe it came from.")
    if any(tensor.dtype != torch.float32 for tensor in vae.state_dict().values()):
        raise ValueError("Only weights of float32 can be saved: call vae.float() first.")
    if folder.exists():
        raise ValueError(f"{folder} exists already: name another folder, or remove it first.")


def whole(folder: str | Path, use: Callable[[Parts], T], *more: str, digest: str = "") -> T:
    """What `use` makes of the configuration, the weights and `more` files of a checkpoint, all of one moment.

    Raises Replaced where `digest` is given and is not theirs, BadFile where something is wrong with them.
    """

    def checked_use(parts: Parts) -> T:
        if digest and digest_of(parts) != digest:
            raise Replaced(f"{folder} holds another checkpoint than before: it was replaced meanwhile. Begin anew.")
        return use(parts)

    return read_whole(folder, ("config.json", "model.safetensors", *PAIR, *more), checked_use)


def load(folder: str | Path, device: str | torch.device = "cpu", which: str = "model", *, digest: str = "") -> VAE:
    """The VAE in a checkpoint folder, ready for evaluation; `which="last"` gives the last epoch's weights.

    Raises BadFile, a ValueError, with a sentence that says what is wrong with the folder; Replaced, which is one, where
    a `digest` is given and the folder holds another checkpoint.
    """
    if which not in ("model", "last"):
        raise ValueError(f"which is {which!r}; it must be 'model', the best weights, or 'last'.")
    return whole(folder, lambda parts: opened(parts, which), f"{which}.safetensors", digest=digest).to(device)


def load_known(folder: str | Path, device: str | torch.device = "cpu") -> tuple[VAE, Contents]:
    """The VAE, as `load` gives it, and what its folder says of this very VAE."""
    vae, contents = whole(folder, lambda parts: (opened(parts, "model"), contents_of(parts)), "metrics.json")
    return vae.to(device), contents


def read(folder: str | Path) -> Contents:
    """Configuration, metrics and digest of a checkpoint."""
    return whole(folder, contents_of, "metrics.json")


def contents_of(parts: Parts) -> Contents:
    weights_in(parts)  # a damaged header is found here, for one entry, and not where all are listed
    return Contents(check_config(parts["config.json"]), checked_metrics(parts["metrics.json"]), digest_of(parts))


def opened(parts: Parts, which: str) -> VAE:
    config = check_config(parts["config.json"])
    if config["recipe"] != "onnx":
        return filled(config, parts[f"{which}.safetensors"])
    if which == "last":
        raise BadFile(f"{parts.folder} holds an ONNX pair, which has no last epoch.")
    return open_pair(config, *(parts[name] for name in PAIR))


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
    """The contents of config.json: its keys, their types, and that there is such a recipe with such options."""
    return read_whole(folder, ("config.json",), lambda parts: check_config(parts["config.json"]))


def check_config(file: File) -> dict:
    """The configuration in `file`, as `read_config` gives it."""
    config = read_json(file)
    if set(config) != set(CONFIG):
        raise BadFile(f"{file} must hold exactly the keys {', '.join(CONFIG)}.")
    for key, kind in CONFIG.items():
        if not isinstance(config[key], kind) or isinstance(config[key], bool):
            raise BadFile(f"{file}: {key} is {repr(config[key])[:80]}, which is not of the right type.")
    if not is_name(config["dataset"]):
        raise BadFile(f"{file}: dataset is {config['dataset'][:80]!r}, which cannot be a data set's name.")
    if config["format"] != FORMAT:
        raise BadFile(f"{file} has format {repr(config['format'])[:20]}; this version reads format {FORMAT}.")
    try:
        shape = recipes.check_shape(config["data_shape"])
        recipes.check_latent(config["latent_dim"])
        recipes.resolve_options(recipes.find_recipe(config["recipe"]), shape, config["options"])
    except ValueError as error:
        raise BadFile(f"{file}: {str(error)[:300]}") from None
    return config


def is_name(dataset: str | None) -> bool:
    return dataset is None or (len(dataset) <= LONGEST_NAME and dataset.replace("_", "").isalnum())


def read_metrics(folder: str | Path) -> dict:
    """The contents of metrics.json, every entry that has a meaning of its type."""
    return read_whole(folder, ("metrics.json",), lambda parts: checked_metrics(parts["metrics.json"]))


def checked_metrics(file: File) -> dict:
    from vaecore.metrics import read_metrics as read  # where nothing foreign is read pydantic may be absent

    return read(file)


def add_metrics(folder: str | Path, /, digest: str = "", **entries: Any) -> None:  # noqa: ANN401
    """Put entries into metrics.json and write the model card anew; Replaced where they are of another `digest`.

    Raises ValueError, and writes nothing, where metrics.json would no longer be read.
    """
    from vaecore.metrics import check_metrics

    found = whole(folder, lambda parts: checked_metrics(parts["metrics.json"]), "metrics.json", digest=digest)
    write_metrics(folder, check_metrics(found | entries))


def write_metrics(folder: str | Path, metrics: dict) -> None:
    """Write metrics.json, which a checked reader gave or which was measured here, and the model card."""
    text = whole(folder, lambda parts: card_of(parts, metrics))
    write_json(Path(folder) / "metrics.json", metrics)
    write_bytes(Path(folder) / "README.md", text.encode())


def write_card(folder: str | Path) -> None:
    """Write README.md anew, from what the folder says of itself."""
    write_bytes(Path(folder) / "README.md", card(folder).encode())


def card(folder: str | Path, say: Say = str) -> str:
    """The model card, from what the folder says of itself; see `model_card` for `say`."""
    return whole(folder, lambda parts: card_of(parts, checked_metrics(parts["metrics.json"]), say), "metrics.json")


def card_of(parts: Parts, metrics: dict, say: Say = str) -> str:
    """The model card; ValueError for metrics of another form than `fit`, `evaluate` and `learned` give."""
    config, size = check_config(parts["config.json"]), weights_in(parts)
    try:
        return model_card(config, metrics, size, say)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        said = f"{type(error).__name__}: {error}"[:200]
        raise ValueError(f"metrics does not have the form that fit, evaluate and learned give ({said}).") from None


def count_weights(folder: str | Path, *, digest: str = "") -> int:
    return whole(folder, weights_in, digest=digest)


def weights_in(parts: Parts) -> int:
    names = weight_files(check_config(parts["config.json"]))
    if len(names) > 1:
        return sum(read_graph(parts[name].content, name).weights for name in names)
    return sum(prod(shape) for _, shape in read_header(parts[names[0]])[0].values())


def weight_files(config: dict) -> tuple[str, ...]:
    """The name of the file, or of an ONNX pair of the two files, that a checkpoint's weights are in."""
    return PAIR if config["recipe"] == "onnx" else ("model.safetensors",)


def find(root: str | Path) -> list[Path]:
    """The checkpoint folders directly under `root`, by name."""
    return sorted(file.parent for file in Path(root).glob("[!.]*/config.json"))


def digest(folder: str | Path) -> str:
    """The SHA-256 of the weights and the configuration: what results computed from a checkpoint are keyed by.

    The weights alone do not say it: a VAE's are also those of the SA that begins with it.
    """
    return whole(folder, digest_of)


def digest_of(parts: Parts) -> str:
    config = check_config(parts["config.json"])
    found = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in weight_files(config):
        found.update(parts[name].content)
    return found.hexdigest()


def read_analysis(folder: str | Path, *, digest: str = "") -> dict[str, Tensor]:
    """What was computed once for these very weights, from the folder or the user's cache; {} if nothing was.

    `digest` says which weights, where they are known; else those that the folder holds.
    """
    return read_kept(folder, "analysis", checked_analysis, digest=digest)


def write_analysis(folder: str | Path, tensors: dict[str, Tensor], *, digest: str = "") -> Path:
    """Keep `tensors` beside the weights of `digest` that they were computed from; else in the user's cache.

    There they go where the folder is read-only, or holds others by now. Without `digest` it is what the folder holds.
    """
    return write_kept(folder, "analysis", tensors, digest=digest)


def read_kept(folder: str | Path, name: str, check: Check, *, digest: str = "") -> dict[str, Tensor]:
    """As `read_analysis`, of any results: `name` is that of their file, without its ending.

    `check` holds the tensors of a file against their form, with the D of the checkpoint that it lies with.
    """
    own = f"{name}.safetensors"
    if digest:
        key, beside, known = digest, *read_whole(folder, (own, "config.json"), lambda parts: with_size(parts, own))
    else:
        key, beside, known = whole(folder, lambda parts: (digest_of(parts), *with_size(parts, own)), own)
    for file, about in ((beside, known), (cached(key, name), {})):
        if file and file.is_file() and read_header(file)[1].get("digest") == key:
            return check(read_tensors(file), file, **about)
    return {}


def with_size(parts: Parts, name: str) -> tuple[Held | None, dict[str, int]]:
    """A file that lies with a configuration, and the D of that; of an ONNX pair too."""
    return parts.get(name), {"D": check_config(parts["config.json"])["latent_dim"]}


def write_kept(folder: str | Path, name: str, tensors: dict[str, Tensor], *, digest: str = "") -> Path:
    """As `write_analysis`, of any results: `name` is that of their file, without its ending."""
    there = whole(folder, digest_of)
    key = digest or there
    fits = key == there and is_writable(folder)
    file = Path(folder) / f"{name}.safetensors" if fits else cached(key, name)
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
