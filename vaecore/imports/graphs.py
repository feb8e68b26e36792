"""Two ONNX files become a checkpoint folder, or a sentence: what they do not say is asked for, the rest is tried."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from vaecore import recipes
from vaecore.imports.keeping import keep, must_work
from vaecore.onnx.graph import read_graph
from vaecore.onnx.pair import PAIR, OnnxNet, open_pair, port_of
from vaecore.onnx.request import Request
from vaecore.safefiles import BadFile, Held
from vaecore.text import counted
from vaecore.vae import VAE

TRIED = 3  # images at once, to see whether the rows of a batch are told apart
TRIAL = 30.0  # seconds that all of the trial may take
ROUNDING = 1e-3  # by which the same image may differ, relative to the largest number
LARGEST_LOG_VARIANCE = 60.0


@dataclass(frozen=True)
class Sizes:
    """What a pair's files say: the images' shape where it is known, D, and each file's ports as text."""

    data_shape: tuple[int, int, int] | None
    pixels: int
    latent_dim: int
    ports: tuple[tuple[str, str, str], ...]  # file, what it takes, what it gives


def onnx_sizes(encoder: bytes, decoder: bytes) -> Sizes:
    """The shapes of a pair, by its files and by a trial where they leave sizes open; BadFile if they do not fit."""
    graphs = (encoder, decoder)
    found = [read_graph(content, name) for content, name in zip(graphs, PAIR, strict=True)]
    images, codes = (port_of(content, name).shape for content, name in zip(graphs, PAIR, strict=True))
    shape, pixels = image_shape(images)
    if len(codes) != 2 or not isinstance(codes[1], int):
        raise BadFile(f"decoder.onnx takes {found[1].inputs[0]}; it must take z as [N, D], with a fixed D.")
    ports = tuple(
        (name, "; ".join(map(str, graph.inputs)), "; ".join(map(str, graph.outputs)))
        for name, graph in zip(PAIR, found, strict=True)
    )
    return Sizes(shape, pixels, codes[1], ports)


def image_shape(port: tuple[int | str, ...]) -> tuple[tuple[int, int, int] | None, int]:
    """(C, H, W) where an encoder's input says it, and how many numbers an image has."""
    known = all(isinstance(side, int) for side in port[1:])
    if not known or len(port) not in (2, 3, 4):
        raise BadFile(
            "encoder.onnx must take images as [N, C, H, W], [N, H, W] or [N, pixels], with all sizes but N fixed; "
            f"it takes [{', '.join(map(str, port))}]."
        )
    pixels = prod(port[1:])
    return {4: tuple(port[1:]), 3: (1, *port[1:])}.get(len(port)), pixels


def from_onnx(
    encoder: bytes,
    decoder: bytes,
    root: str | Path,
    name: str = "",
    *,
    data_shape: tuple[int, int, int] | None = None,
    dataset: str | None = None,
    **options: str | float,
) -> Path:
    """The checkpoint of an ONNX pair, as a new folder under `root`.

    Args:
        encoder: takes images [N, C, H, W] or flat ones, gives the mean and the log-variance of q(z|x), each [N, D].
        decoder: takes z [N, D], gives the logits or the mean of p(x|z), of as many numbers as an image has.
        data_shape: (C, H, W), where the encoder takes flat images.
        options: likelihood "bernoulli" or "gaussian"; output "logits" or "mean"; scale, a Gaussian pixel's.
    """
    sizes = onnx_sizes(encoder, decoder)
    shape = sizes.data_shape or data_shape
    if shape is None:
        taken = counted(sizes.pixels, "number")
        raise BadFile(f"encoder.onnx takes {taken} an image: say what shape they have (C, H, W).")
    config = {"recipe": "onnx", "data_shape": list(shape), "latent_dim": sizes.latent_dim, "options": options}
    config["dataset"] = dataset
    if prod(recipes.check_shape(shape)) != sizes.pixels:
        raise BadFile(
            f"Images of {' x '.join(map(str, shape))} do not have the "
            f"{counted(sizes.pixels, 'number')} of encoder.onnx."
        )
    return adopt(config, encoder, decoder, root, name)


def adopt(config: dict, encoder: bytes, decoder: bytes, root: str | Path, name: str, said: dict | None = None) -> Path:
    """Try the pair of a checked configuration, and keep it where it works."""
    vae, trial = open_pair(config, Held(PAIR[0], encoder), Held(PAIR[1], decoder)), Request(TRIAL)
    vae.encoder.runner.request = lambda: trial
    try:
        must_fit(vae)
        must_work(vae)
        must_bear_many(vae.encoder, torch.full((1, *vae.config["data_shape"]), 0.5))
        must_bear_many(vae.decoder, torch.zeros(1, vae.config["latent_dim"]))
        return keep(vae, config["dataset"], root, name, said or {})
    finally:
        vae.encoder.runner.close()


@torch.no_grad()
def must_fit(vae: VAE) -> None:
    """BadFile unless the graphs, run, give what a VAE's networks give, and the same for an image in any company."""
    shape, latent = vae.config["data_shape"], vae.config["latent_dim"]
    x = torch.rand(TRIED, *shape, generator=torch.Generator().manual_seed(0))
    outputs = vae.encoder.run(x)
    for what, part in zip(("mean", "log-variance"), outputs, strict=True):
        must_be(f"the {what} that encoder.onnx gives", part, latent)
    if float(outputs[1].max()) > LARGEST_LOG_VARIANCE:
        raise BadFile(f"The log-variance that encoder.onnx gives reaches {float(outputs[1].max()):.3g}; is it one?")
    z = torch.randn(TRIED, latent, generator=torch.Generator().manual_seed(0))
    (pixels,) = vae.decoder.run(z)
    must_be("what decoder.onnx gives", pixels, prod(shape))
    low, high = float(pixels.min()), float(pixels.max())
    if vae.config["options"]["output"] == "mean" and vae.config["options"]["likelihood"] == "bernoulli":
        if low < -ROUNDING or high > 1 + ROUNDING:
            raise BadFile(
                f"decoder.onnx gives numbers from {low:.3g} to {high:.3g}, which are no means: are they logits?"
            )
    for net, given, whole in ((vae.encoder, x, outputs), (vae.decoder, z, [pixels])):
        must_be_itself(PAIR[net.which], net.run(given[1:2]), [part[1:2] for part in whole])


def must_bear_many(net: OnnxNet, one: Tensor) -> None:
    """BadFile where as many rows as are given at once take too long, or too much memory: some cost grows with them."""
    net.run(one.expand(net.rows, *one.shape[1:]))


def must_be(what: str, found: Tensor, width: int) -> None:
    if found.flatten(1).shape[1] != width:
        rows, shape = counted(TRIED, "row"), list(found.shape)
        raise BadFile(f"For {rows} {what} has the shape {shape}; it must be {[TRIED, width]}.")
    if not found.isfinite().all():
        raise BadFile(f"For plain images {what} is not finite.")


def must_be_itself(name: str, alone: list[Tensor], among: list[Tensor]) -> None:
    for one, other in zip(alone, among, strict=True):
        if float((one - other).abs().max()) > ROUNDING * (1 + float(other.abs().max())):
            raise BadFile(
                f"{name} gives an image another answer when it comes alone: it draws random numbers, or looks at the "
                "whole batch. Export it in evaluation mode (model.eval())."
            )
