"""ONNX files made for tests: dense networks, and graphs that do what no VAE's should."""

from collections.abc import Sequence

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

FLOAT = TensorProto.FLOAT
Size = int | str


def packed(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[tuple[str, Sequence[Size]]],
    outputs: Sequence[tuple[str, Sequence[Size]]],
    weights: Sequence[onnx.TensorProto] = (),
    kind: int = FLOAT,
) -> bytes:
    ports = [[helper.make_tensor_value_info(name, kind, shape) for name, shape in side] for side in (inputs, outputs)]
    graph = helper.make_graph(list(nodes), "net", *ports, list(weights))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return made.SerializeToString()


def dense(net: nn.Sequential, start: str, end: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The nodes and weights of a Sequential of Flatten, Linear, ReLU, Sigmoid and Unflatten."""
    nodes, weights, at = [], [], start
    for index, layer in enumerate(net):
        out = f"{end}_{index}"
        if isinstance(layer, nn.Linear):
            weights += [
                numpy_helper.from_array(part.detach().numpy(), f"{out}_{which}")
                for which, part in (("w", layer.weight), ("b", layer.bias))
            ]
            nodes.append(helper.make_node("Gemm", [at, f"{out}_w", f"{out}_b"], [out], transB=1))
        elif isinstance(layer, nn.Unflatten):
            shape = np.array([-1, *layer.unflattened_size], np.int64)
            weights.append(numpy_helper.from_array(shape, f"{out}_s"))
            nodes.append(helper.make_node("Reshape", [at, f"{out}_s"], [out]))
        else:
            kind = {nn.Flatten: "Flatten", nn.ReLU: "Relu", nn.Sigmoid: "Sigmoid"}[type(layer)]
            nodes.append(helper.make_node(kind, [at], [out]))
        at = out
    nodes[-1].output[0] = end
    return nodes, weights


def encoder(net: nn.Sequential, shape: Sequence[Size], latent: int, batch: Size = "N") -> bytes:
    """A network that ends in a Linear of 2 D outputs, m and log s², as a graph with two outputs."""
    nodes, weights = dense(net, "x", "both")
    nodes.append(helper.make_node("Split", ["both", "sizes"], ["mean", "log_var"], axis=1))
    weights.append(numpy_helper.from_array(np.array([latent, latent], np.int64), "sizes"))
    return packed(nodes, [("x", (batch, *shape))], [(name, (batch, latent)) for name in ("mean", "log_var")], weights)


def decoder(net: nn.Sequential, latent: int, shape: Sequence[Size], batch: Size = "N") -> bytes:
    nodes, weights = dense(net, "z", "x")
    return packed(nodes, [("z", (batch, latent))], [("x", (batch, *shape))], weights)


def single(operator: str, outputs: int = 1, weights: Sequence[onnx.TensorProto] = (), **attributes: object) -> bytes:
    """A decoder of one operator: z [N, 2] and the weights to outputs of some shape."""
    names = [f"y{n}" for n in range(outputs)]
    nodes = [helper.make_node(operator, ["z", *(w.name for w in weights)], names, **attributes)]
    return packed(nodes, [("z", ("N", 2))], [(name, ("N", 4)) for name in names], weights)


def weight(name: str, values: object, dtype: type = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def nets(shape: tuple[int, ...] = (1, 8, 8), latent: int = 2, width: int = 16) -> tuple[nn.Sequential, nn.Sequential]:
    """A small encoder's and a small decoder's network."""
    pixels = int(np.prod(shape))
    first = nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), nn.ReLU(), nn.Linear(width, 2 * latent))
    last = nn.Sequential(nn.Linear(latent, width), nn.ReLU(), nn.Linear(width, pixels), nn.Unflatten(-1, shape))
    with torch.no_grad():
        for net in (first, last):
            for part in net.parameters():
                part += 0.05 * torch.randn_like(part)
    return first, last


def small_pair(shape: tuple[int, ...] = (1, 8, 8), latent: int = 2) -> tuple[bytes, bytes]:
    first, last = nets(shape, latent)
    return encoder(first, shape, latent), decoder(last, latent, shape)


def endless() -> bytes:
    """A chain of large products: minutes of work in a small file."""
    nodes = [helper.make_node("MatMul", ["z", "w0"], ["h0"])]
    nodes += [helper.make_node("MatMul", [f"h{n}", "w1"], [f"h{n + 1}"]) for n in range(2000)]
    nodes.append(helper.make_node("ConstantOfShape", ["s"], ["w1"]))
    held = [weight("w0", np.ones((2, 1500))), weight("s", [1500, 1500], np.int64)]
    return packed(nodes[:1] + nodes[-1:] + nodes[1:-1], [("z", ("N", 2))], [("h2000", ("N", 1500))], held)


def growing() -> bytes:
    """A decoder that multiplies squares of the batch of z, 2,000 times: what it costs grows with the batch cubed."""
    squares = [helper.make_node("MatMul", ["z", "zt"], ["s0"]), helper.make_node("Transpose", ["z"], ["zt"])]
    chain = [helper.make_node("MatMul", [f"s{n}", "s0"], [f"p{n}"]) for n in range(2000)]
    tamed = [helper.make_node("Tanh", [f"p{n}"], [f"s{n + 1}"]) for n in range(2000)]
    end = [
        helper.make_node("ReduceMax", ["s2000"], ["m"], axes=[0, 1], keepdims=1),
        helper.make_node("Mul", ["m", "nothing"], ["o"]),
        helper.make_node("MatMul", ["z", "w"], ["y0"]),
        helper.make_node("Add", ["y0", "o"], ["y"]),
    ]
    nodes = [squares[1], squares[0], *(node for pair in zip(chain, tamed, strict=True) for node in pair), *end]
    held = [weight("w", np.ones((2, 64))), weight("nothing", np.zeros((1, 1)))]
    return packed(nodes, [("z", ("N", 2))], [("y", ("N", 64))], held)
