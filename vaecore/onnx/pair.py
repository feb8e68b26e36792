"""An ONNX pair as a VAE: a standard normal prior, and an encoder and a decoder that another program runs.

Its densities have values and no gradients. Whatever needs values alone works as for any VAE: evidence, exact posterior,
best Gaussian, interpolation, maps. What needs a gradient through either network says that there is none.
"""

import hashlib
from collections.abc import Callable
from math import prod

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaecore import recipes
from vaecore.distributions import GreyBernoulli, diagonal
from vaecore.onnx.graph import FLOAT, LARGEST, Port, read_graph
from vaecore.onnx.runner import Runner
from vaecore.priors import StandardNormal
from vaecore.safefiles import BadFile, File, checked
from vaecore.text import counted
from vaecore.vae import VAE

NO_GRADIENT = "An ONNX pair gives values and no gradients: it can be looked at, not trained or followed downhill."
PAIR = ("encoder.onnx", "decoder.onnx")
ROWS, NUMBERS = 512, 1 << 19  # at once: the more, the faster; but what lies between a network's layers must fit too
CERTAIN = 1e-6  # a mean is no nearer to 0 or 1 than this, for its logit would be infinite


class OnnxNet(nn.Module):
    """One graph of a pair: rows [B, ...] to rows, portion by portion; `batch` is the only size it takes, if so."""

    differentiable = False

    def __init__(self, runner: Runner, which: int, shape: tuple[int, ...], batch: int | None = None) -> None:
        super().__init__()
        self.runner, self.which, self.shape, self.batch = runner, which, shape, batch
        self.digest = hashlib.sha256(runner.graphs[which]).hexdigest()

    def extra_repr(self) -> str:
        """The weights are in the file: two graphs must not look alike."""
        return f"{('encoder', 'decoder')[self.which]} {self.digest}"

    @property
    def rows(self) -> int:
        """How many are given to the graph at once."""
        return self.batch or max(1, min(ROWS, NUMBERS // max(1, prod(self.shape))))

    def run(self, rows: Tensor) -> list[Tensor]:
        """All outputs for rows [B, ...], each [B, ...]."""
        if torch.is_grad_enabled() and rows.requires_grad:
            raise ValueError(NO_GRADIENT)
        x = rows.detach().cpu().float().reshape(-1, *self.shape).numpy()
        size = self.rows
        pieces = [self.portion(x[start : start + size], size) for start in range(0, len(x), size)]
        return [torch.from_numpy(np.concatenate(piece)).to(rows) for piece in zip(*pieces, strict=True)]

    def portion(self, x: np.ndarray, size: int) -> list[np.ndarray]:
        if self.batch and len(x) < size:
            whole = np.concatenate([x, np.repeat(x[:1], size - len(x), 0)])
            return [found[: len(x)] for found in self.checked(whole)]
        return self.checked(x)

    def checked(self, x: np.ndarray) -> list[np.ndarray]:
        found = self.runner(self.which, x)
        if any(part.ndim == 0 or len(part) != len(x) for part in found):
            shapes = ", ".join(str(list(part.shape)) for part in found)
            raise BadFile(f"The ONNX graph gave {shapes} for {counted(len(x), 'row')}; each output must have as many.")
        return found


class OnnxEncoder(OnnxNet):
    """q(z|x) = N(z; m(x), diag s(x)²), where the graph gives m and log s²."""

    def forward(self, x: Tensor) -> Distribution:
        mean, log_variance = (part.flatten(1) for part in self.run(x))
        return diagonal(torch.cat([mean, log_variance], 1))


class OnnxDecoder(OnnxNet):
    """p(x|z), Bernoulli or Gaussian, of what the graph gives: `logits` or `mean`."""

    def __init__(self, likelihood: Callable[[Tensor], Distribution], data_shape: tuple[int, ...], *net: object) -> None:
        super().__init__(*net)
        self.likelihood, self.data_shape = likelihood, data_shape

    def output(self, z: Tensor) -> Tensor:
        """What the graph gives, as images [B, C, H, W]."""
        (found,) = self.run(z)
        return found.reshape(len(z), *self.data_shape)

    def forward(self, z: Tensor) -> Distribution:
        return Independent(self.likelihood(self.output(z)), 3)


def density(likelihood: str, output: str, scale: float) -> Callable[[Tensor], Distribution]:
    """p(pixel | what the decoder gives for it)."""
    if likelihood == "bernoulli":
        return lambda g: GreyBernoulli(logits=g if output == "logits" else torch.logit(g, CERTAIN))
    return lambda g: Normal(g if output == "mean" else g.sigmoid(), torch.full((), scale).to(g).expand_as(g))


def open_pair(config: dict, encoder: File, decoder: File) -> VAE:
    """The VAE of a configuration and the graphs in two ONNX files; BadFile if they are not harmless."""
    try:
        shape = recipes.check_shape(config["data_shape"])
        options = recipes.resolve_options(recipes.find_recipe("onnx"), shape, config["options"])
        recipes.check_latent(config["latent_dim"])
    except ValueError as error:
        raise BadFile(f"config.json: {str(error)[:300]}") from None
    graphs = [checked(file, LARGEST).read_bytes() for file in (encoder, decoder)]
    ports = [port_of(content, name).shape for content, name in zip(graphs, PAIR, strict=True)]
    runner = Runner(*graphs)
    nets = [(runner, which, row(port), fixed(port)) for which, port in enumerate(ports)]
    likelihood = density(options["likelihood"], options["output"], options["scale"])
    made = VAE(StandardNormal(config["latent_dim"]), OnnxEncoder(*nets[0]), OnnxDecoder(likelihood, shape, *nets[1]))
    made.config = {"recipe": "onnx", "data_shape": list(shape), "latent_dim": config["latent_dim"], "options": options}
    return made.eval()


def port_of(content: bytes, name: str) -> Port:
    """The one input of a graph that was found harmless; BadFile with a sentence otherwise."""
    found = read_graph(content, name)
    outputs, what = ENDS[name]
    if len(found.inputs) != 1 or len(found.outputs) != outputs:
        there = "; ".join(map(str, found.inputs[:8])), "; ".join(map(str, found.outputs[:8]))
        raise BadFile(f"{name} must take {what}. It takes {there[0] or 'nothing'} and gives {there[1] or 'nothing'}.")
    if any(port.kind != FLOAT for port in (*found.inputs, *found.outputs)):
        raise BadFile(f"{name} takes or gives numbers of another type than float32.")
    return found.inputs[0]


ENDS = {
    "encoder.onnx": (2, "one input, the images, and give two outputs, the mean and the log-variance of q(z|x)"),
    "decoder.onnx": (1, "one input, z, and give one output, the logits or the mean of the images"),
}


def row(shape: tuple[int | str, ...]) -> tuple[int, ...]:
    """What one row of an input looks like; sizes that are not fixed are laid flat."""
    return tuple(shape[1:]) if all(isinstance(side, int) for side in shape[1:]) else (-1,)


def fixed(shape: tuple[int | str, ...]) -> int | None:
    return shape[0] if shape and isinstance(shape[0], int) else None
