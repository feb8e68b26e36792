"""What every import ends with: the claims are sifted, the VAE is tried, and it is kept as a checkpoint folder."""

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
