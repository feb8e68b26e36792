"""A stranger's files become a checkpoint folder, or a sentence."""

from pathlib import Path

from vaecore.checkpoints import filled
from vaecore.imports.archive import LARGEST_UPLOAD, unpacked
from vaecore.imports.graphs import adopt
from vaecore.imports.keeping import Files, brought_config, held, keep, metrics, must_work
from vaecore.imports.pythae import from_pythae
from vaecore.onnx.pair import PAIR
from vaecore.safefiles import BadFile
from vaecore.text import a, counted

PYTHAE = "model_config.json"
# What their readers would run as a program.
PROGRAMS = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".npy", ".npz", ".py", ".pyc", ".so", ".h5")


def from_zip(content: bytes, root: str | Path, name: str = "", dataset: str | None = None) -> Path:
    """The checkpoint that the zip of a folder holds, ours or pythae's, as a new folder under `root`.

    Args:
        name: what to call it; by default, and where that is taken, a name of what it is.
        dataset: what a folder of pythae's was trained on, which it does not say.
    """
    files = unpacked(content)
    return from_pythae(files, root, name, dataset) if PYTHAE in files else from_folder(files, root, name)


def from_files(weights: bytes, config: bytes, root: str | Path, name: str = "") -> Path:
    """The checkpoint of a model.safetensors and its config.json, as a new folder under `root`."""
    for what, content in (("weights", weights), ("configuration", config)):
        if len(content) > LARGEST_UPLOAD:
            size = counted(len(content), "byte")
            raise BadFile(f"The file of the {what} has {size}; at most {LARGEST_UPLOAD:,} are taken.")
    return from_folder({"model.safetensors": weights, "config.json": config}, root, name)


def from_folder(files: Files, root: str | Path, name: str = "") -> Path:
    """A checkpoint folder's files, by their names, as a new folder under `root`."""
    refuse_programs(files)
    names = PAIR if PAIR[0] in files else ("model.safetensors",)
    if missing := [part for part in ("config.json", *names) if part not in files]:
        there = ", ".join(sorted(files))[:200] or "nothing"
        raise BadFile(f"There is no {' and no '.join(missing)} among what was brought, which is: {there}.")
    config, said = brought_config(files["config.json"]), metrics(files)
    if (config["recipe"] == "onnx") != (names == PAIR):
        raise BadFile(
            f"config.json says that this is {a(config['recipe'][:60])}, and the files are {' and '.join(names)}."
        )
    if names == PAIR:
        return adopt(config, *(files[part] for part in PAIR), root, name, said)
    vae = filled(config, held("model.safetensors", files))
    must_work(vae)
    last = filled(config, held("last.safetensors", files)).state_dict() if "last.safetensors" in files else None
    return keep(vae, config["dataset"], root, name, said, last=last)


def refuse_programs(files: Files) -> None:
    for name in files:
        if name.lower().endswith(PROGRAMS):
            raise BadFile(
                f"{name[:80]} is refused: to read such a file can mean to run what it holds. Bring the weights as "
                "safetensors with a config.json, or as an ONNX pair."
            )
