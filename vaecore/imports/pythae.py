"""A folder that pythae 0.1.2 wrote: model.pt, model_config.json, environment.json.

Its standard kinds differ in what is maximised alone: all of them are N(0, I), a Gaussian encoder and a decoder that
ends in a sigmoid. Its reconstruction_loss "bce" is a Bernoulli of that mean, "mse" half the summed squares, which is
log N(x; mean, I) but for a constant.
"""

import subprocess
import sys
from math import isqrt, prod
from pathlib import Path

import torch
from torch import Tensor

from vaecore import recipes
from vaecore.checkpoints import rebuild
from vaecore.imports.keeping import Files, held, keep, must_work
from vaecore.recipes import PYTHAE_KINDS
from vaecore.safefiles import BadFile, Held, read_json, read_tensors
from vaecore.text import counted

MEGABYTES, PATIENCE = 1024, 90.0
LARGEST = 64 << 20
# Kinds whose densities are others, and why they are not read.
OTHERS = {
    "AE": "has no densities",
    "RAE_L2": "has no densities",
    "RAE_GP": "has no densities",
    "WAE_MMD": "has no densities",
    "Adversarial_AE": "has no likelihood",
    "VAEGAN": "has no likelihood of the pixels",
    "MSSSIM_VAE": "has no likelihood of the pixels",
    "VQVAE": "has a discrete latent space",
    "HVAE": "has an encoder that follows the decoder's gradients",
    "RHVAE": "has a curved latent space",
    "SVAE": "has a latent space on a sphere",
    "PoincareVAE": "has a curved latent space",
    "PoincareDiskVAE": "has a curved latent space",
    "VAE_IAF": "has a flow of its own form in its encoder",
    "VAE_LinNF": "has a flow of its own form in its encoder",
    "VAMP": "has a prior of pseudo-inputs of its own form",
}
AN = {"encoder": "an encoder", "decoder": "a decoder"}
INSTEAD = (
    "What is read are VAEs of pythae's default networks (one hidden layer of 512); convolutional ones, its benchmarks' "
    "say, come as an ONNX pair: docs/bring.md has the lines that export one."
)
NAMES = {
    "encoder.layers.0.0": "encoder.net.1",
    "encoder.embedding": "mean",
    "encoder.log_var": "log_variance",
    "decoder.layers.0.0": "decoder.net.0",
    "decoder.layers.1.0": "decoder.net.2",
}


def from_pythae(files: Files, root: str | Path, name: str = "", dataset: str | None = None) -> Path:
    """The checkpoint of pythae's files, as a new folder under `root`; pythae does not say the data set."""
    if program := next((name for name in files if name.lower().endswith((".pkl", ".pickle"))), None):
        raise BadFile(
            f"{program[:80]} is refused: pythae keeps a network of your own as a program, and to read it is to run it. "
            f"{INSTEAD}"
        )
    if "model.pt" not in files:
        raise BadFile("There is a model_config.json of pythae's, and no model.pt with the weights.")
    kind, shape, latent, likelihood, said = read_about(files)
    config = {"recipe": "pythae", "data_shape": list(shape), "latent_dim": latent}
    vae = rebuild(config | {"options": {"kind": kind, "likelihood": likelihood}})
    vae.load_state_dict(renamed(read_weights(files["model.pt"]), shape, latent, likelihood))
    vae.eval()
    must_work(vae)
    return keep(vae, dataset, root, name, {"training": {"note": said}})


def read_about(files: Files) -> tuple[str, tuple[int, int, int], int, str, str]:
    """The kind, the images' shape, D, the likelihood, and in words what else model_config.json says."""
    about = read_json(held("model_config.json", files))
    kind = str(about.get("name"))[:60].removesuffix("Config").removesuffix("_")
    if kind not in PYTHAE_KINDS:
        why = OTHERS.get(kind, "is not known here")
        raise BadFile(f"The kind {kind!r} of pythae {why}; what is read: {', '.join(PYTHAE_KINDS)}.")
    for part in AN:
        if about.get(f"uses_default_{part}") is not True:
            raise BadFile(f"This VAE has {AN[part]} of its own, which pythae keeps as a program. {INSTEAD}")
    shape, latent, loss = image_shape(about.get("input_dim")), about.get("latent_dim"), about.get("reconstruction_loss")
    if loss not in ("bce", "mse"):
        raise BadFile(f"model_config.json: reconstruction_loss is {str(loss)[:40]!r}; it must be bce or mse.")
    weights = [f"{key} {about[key]:g}" for key in ("beta", "alpha", "gamma", "lbd", "C") if is_number(about.get(key))]
    extra = f" with {', '.join(weights)}" if weights else ""
    python = read_json(held("environment.json", files)).get("python_version") if "environment.json" in files else None
    by = f", Python {python}" if isinstance(python, str) and python.replace(".", "").isdigit() else ""
    return kind, shape, latent, {"bce": "bernoulli", "mse": "gaussian"}[loss], f"trained by pythae as {kind}{extra}{by}"


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def image_shape(given: object) -> tuple[int, int, int]:
    """(C, H, W) of pythae's input_dim; a flat image is taken for a square one."""
    fits = isinstance(given, list) and 1 <= len(given) <= 3 and all(type(n) is int and 0 < n < 1 << 20 for n in given)
    side = isqrt(given[0]) if fits and len(given) == 1 else 0
    if not fits or (side and side * side != given[0]):
        raise BadFile(
            f"model_config.json: input_dim is {str(given)[:60]}; it must be the shape of an image, [C, H, W]."
        )
    shape = {1: (1, side, side), 2: (1, *given), 3: tuple(given)}[len(given)]
    try:
        return recipes.check_shape(shape)
    except ValueError as error:
        raise BadFile(f"model_config.json: {error}") from None


def read_weights(content: bytes) -> dict[str, Tensor]:
    """The tensors of model.pt, read in a process of its own."""
    if len(content) > LARGEST:
        raise BadFile(f"model.pt has {counted(len(content), 'byte')}; at most {LARGEST:,} are read.")
    command = [sys.executable, "-m", "vaecore.imports.unpickle", str(MEGABYTES)]
    place = Path(__file__).resolve().parents[2]
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=PATIENCE, cwd=place, check=False)
    except subprocess.TimeoutExpired:
        raise BadFile(f"model.pt could not be read within {PATIENCE:g} s.") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        known = said.startswith("model.pt ")
        raise BadFile(
            said[:300] if known else "model.pt could not be read: its process ended, perhaps for want of memory."
        )
    return read_tensors(Held("model.pt", done.stdout))


def renamed(tensors: dict[str, Tensor], shape: tuple[int, int, int], latent: int, likelihood: str) -> dict[str, Tensor]:
    """pythae's weights under our names; a discriminator that only training needed is left out."""
    found = {}
    for theirs, ours in NAMES.items():
        for part in ("weight", "bias"):
            found[f"{ours}.{part}"] = tensors.pop(f"{theirs}.{part}", None)
    strange = [key for key in tensors if not key.startswith("discriminator.")]
    if strange or any(tensor is None for tensor in found.values()):
        raise BadFile("model.pt holds the weights of other networks than pythae's default ones.")
    pixels, width = prod(shape), recipes.PYTHAE_WIDTH
    sizes = {"encoder.net.1": (width, pixels), "mean": (latent, width), "log_variance": (latent, width)}
    sizes |= {"decoder.net.0": (width, latent), "decoder.net.2": (pixels, width)}
    for key, tensor in found.items():
        layer, _, part = key.rpartition(".")
        wanted = sizes[layer] if part == "weight" else sizes[layer][:1]
        if tuple(tensor.shape) != wanted or tensor.dtype != torch.float32:
            there = f"{str(tuple(tensor.shape))[:60]} of {tensor.dtype}"
            raise BadFile(f"model.pt does not fit model_config.json: {key} is {there}; it must be {wanted} of float32.")
        if not tensor.isfinite().all():
            raise BadFile(f"model.pt: the weights {key} hold values that are not finite numbers.")
    for part in ("weight", "bias"):
        both = [found.pop(f"{which}.{part}") for which in ("mean", "log_variance")]
        found[f"encoder.net.3.{part}"] = torch.cat(both)
    return found | ({"decoder.log_scale": torch.zeros(())} if likelihood == "gaussian" else {})
