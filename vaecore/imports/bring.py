"""A stranger's files become a checkpoint folder, or a sentence."""

from pathlib import Path

import torch

from vaecore import shelf
from vaecore.checkpoints import check_config, filled, save
from vaecore.imports.archive import LARGEST_UPLOAD, unpacked
from vaecore.imports.claims import claims
from vaecore.safefiles import BadFile, Held, checked, read_json
from vaecore.vae import VAE

Files = dict[str, bytes]
LARGEST_CONFIG = 64 << 10
LONGEST_DATASET = 64
# What their readers would run as a program.
PROGRAMS = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".npy", ".npz", ".py", ".pyc", ".so", ".h5")


def from_zip(content: bytes, root: str | Path, name: str = "") -> Path:
    """The checkpoint that the zip of a folder holds, as a new folder under `root`.

    Args:
        name: what to call it; by default, and where that is taken, a name of what it is.
    """
    return from_folder(unpacked(content), root, name)


def from_files(weights: bytes, config: bytes, root: str | Path, name: str = "") -> Path:
    """The checkpoint of a model.safetensors and its config.json, as a new folder under `root`."""
    for what, held in (("weights", weights), ("configuration", config)):
        if len(held) > LARGEST_UPLOAD:
            raise BadFile(f"The file of the {what} has {len(held):,} bytes; at most {LARGEST_UPLOAD:,} are taken.")
    return from_folder({"model.safetensors": weights, "config.json": config}, root, name)


def from_folder(files: Files, root: str | Path, name: str = "") -> Path:
    """A checkpoint folder's files, by their names, as a new folder under `root`."""
    refuse_programs(files)
    if missing := [part for part in ("config.json", "model.safetensors") if part not in files]:
        there = ", ".join(sorted(files))[:200] or "nothing"
        raise BadFile(f"There is no {' and no '.join(missing)} among what was brought, which is: {there}.")
    config = brought_config(files["config.json"])
    said, vae = metrics(files), filled(config, held("model.safetensors", files))
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


def held(name: str, files: Files) -> Held:
    return Held(name, files[name])


def brought_config(content: bytes) -> dict:
    """The configuration, its keys and their types checked."""
    config = check_config(checked(Held("config.json", content), LARGEST_CONFIG))
    if len(config["dataset"] or "") > LONGEST_DATASET:
        raise BadFile("config.json: the data set's name is too long.")
    return config


def metrics(files: Files) -> dict:
    """What the files claim of training and evaluation."""
    return claims(read_json(held("metrics.json", files))) if "metrics.json" in files else {}


def keep(vae: VAE, dataset: str | None, root: str | Path, name: str, found: dict, **more: dict | None) -> Path:
    """Write the checked VAE under `root`; `name`, or what it is, is made different from what is there."""
    root = Path(root)
    shape = vae.config
    usual = f"{(dataset or 'brought').replace('_', '-')}-{shape['recipe']}-{shape['latent_dim']}d"
    root.mkdir(parents=True, exist_ok=True)
    folder = root / shelf.free_name(root, shelf.check_name(name) if name else usual)
    return save(vae, folder, dataset=dataset, metrics={**found, "brought": True}, **more)


@torch.no_grad()
def must_work(vae: VAE) -> None:
    """BadFile unless the three densities of a grey image are numbers: finite weights can still overflow."""
    x = torch.full((1, *vae.config["data_shape"]), 0.5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            q = vae.posterior(x)
            z = q.sample()
            values = [vae.prior().log_prob(z), q.log_prob(z), vae.likelihood(z).log_prob(x)]
        except (ValueError, RuntimeError):  # torch's own words for NaN as a parameter, or a matrix that has no root
            values = [torch.tensor(torch.nan)]
    if not all(bool(value.isfinite().all()) for value in values):
        raise BadFile("With these weights the densities of a plain grey image are not finite numbers.")
