"""What every import ends with: the claims are sifted, the VAE is tried, and it is kept as a checkpoint folder."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from vaecore import shelf
from vaecore.checkpoints import check_config, save
from vaecore.imports.claims import claims
from vaecore.safefiles import BadFile, Held, checked, read_json
from vaecore.vae import VAE

Files = dict[str, bytes]
LARGEST_CONFIG = 64 << 10
LONGEST_DATASET = 64
QUOTA = "VAESCOPE_BROUGHT_MB"  # how much may be kept of what was brought, in all
MEGABYTES = 2048


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
    """Write the checked VAE under `root`; `name`, or what it is, is made different from what is there.

    BadFile where `root` would then hold more than VAESCOPE_BROUGHT_MB megabytes, 2048 by default.
    """
    root = Path(root)
    shape = vae.config
    named = re.sub(r"[^A-Za-z0-9]+", "-", dataset or "").strip("-")[:30] or "brought"  # as a folder may be called
    usual = f"{named}-{shape['recipe']}-{shape['latent_dim']}d"
    wanted, most = shelf.check_name(name) if name else usual, quota()
    root.mkdir(parents=True, exist_ok=True)
    with alone(root):
        shelf.sweep(root)
        must_have_room(root, size_of(vae) * (2 if more.get("last") else 1), most)
        folder = root / shelf.free_name(root, wanted)
        return save(vae, folder, dataset=dataset, metrics={**found, "brought": True}, **more)


def quota() -> int:
    """How many bytes all that was brought may have."""
    text = os.environ.get(QUOTA) or str(MEGABYTES)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadFile(f"{QUOTA} is {text[:40]!r}; it must be a whole number of megabytes.")
    return int(text) * 10**6


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Of several who bring something at once each sees what the one before has kept."""
    handle = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def size_of(vae: VAE) -> int:
    """The bytes of its weights, or of the graphs that hold them."""
    if vae.config["recipe"] == "onnx":
        return sum(map(len, vae.encoder.runner.graphs))
    return sum(tensor.numel() * tensor.element_size() for tensor in vae.state_dict().values())


def must_have_room(root: Path, size: int, most: int) -> None:
    sizes = {folder.name: weight(folder) for folder in root.glob("[!.]*") if folder.is_dir()}
    if (used := sum(sizes.values())) + size <= most:
        return
    largest = sorted(sizes, key=sizes.get, reverse=True)[:3]
    named = ", ".join(f"{name} ({sizes[name] / 1e6:,.1f} MB)" for name in largest)
    advice = f"Delete one on the page of checkpoints; the largest are {named}." if named else "It is too large alone."
    raise BadFile(
        f"What was brought may take {most / 1e6:,.0f} MB in all ({QUOTA}). It takes {used / 1e6:,.1f}, and this VAE "
        f"would add {size / 1e6:,.1f}. {advice}"
    )


def weight(folder: Path) -> int:
    """The bytes of all that lies in a folder, what was computed for it later too."""
    return sum(file.stat().st_size for file in folder.rglob("[!.]*") if file.is_file() and not file.is_symlink())


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
