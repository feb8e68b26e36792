"""An ONNX pair is the VAE of its three densities, without gradients; what is no pair is refused with a sentence."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import graphs
import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import vaecore
from vaecore import checkpoints, exact, imports, paths, shelf
from vaecore.decoders import BernoulliDecoder, GaussianDecoder
from vaecore.encoders import GaussianEncoder
from vaecore.onnx import runner
from vaecore.onnx.graph import read_graph
from vaecore.onnx.runner import Runner
from vaecore.priors import StandardNormal
from vaecore.safefiles import BadFile

SHAPE = (1, 8, 8)
BERNOULLI = {"likelihood": "bernoulli", "output": "logits"}


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Sequential, nn.Sequential, bytes, bytes]:
    torch.manual_seed(0)
    first, last = graphs.nets(SHAPE)
    return first, last, graphs.encoder(first, SHAPE, 2), graphs.decoder(last, 2, SHAPE)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "brought"


def opened(folder: Path) -> vaecore.VAE:
    return vaecore.load(folder)


def twin(first: nn.Sequential, last: nn.Sequential, likelihood: str, scale: float = 1.0) -> vaecore.VAE:
    """The same networks, run by torch."""
    decoder = BernoulliDecoder(last) if likelihood == "bernoulli" else GaussianDecoder(last)
    if likelihood == "gaussian":
        decoder.log_scale.data.fill_(np.log(scale))
    return vaecore.VAE(StandardNormal(2), GaussianEncoder(first), decoder).eval()


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_a_pair_says_what_its_networks_say(pair: tuple, root: Path, likelihood: str) -> None:
    first, last, encoder, decoder = pair
    options = BERNOULLI if likelihood == "bernoulli" else {"likelihood": "gaussian", "output": "mean", "scale": 0.3}
    folder = imports.from_onnx(encoder, decoder, root, dataset="digits", **options)
    vae, own, x = opened(folder), twin(first, last, likelihood, 0.3), torch.rand(5, *SHAPE)
    with torch.no_grad():
        z = torch.randn(5, 2)
        for found, wanted in (
            (vae.posterior(x).mean, own.posterior(x).mean),
            (vae.posterior(x).stddev, own.posterior(x).stddev),
            (vae.log_joint(x, z), own.log_joint(x, z)),
        ):
            assert torch.allclose(found, wanted, rtol=1e-5, atol=1e-4)
    assert not vae.differentiable
    assert own.differentiable


def test_its_exact_posterior_is_that_of_its_networks(pair: tuple, root: Path) -> None:
    vae, x = opened(imports.from_onnx(*pair[2:], root, **BERNOULLI)), torch.rand(1, *SHAPE)
    with torch.no_grad():
        found, wanted = (
            exact.split_gap(one, x, exact.Overview(one, size=60)) for one in (vae, twin(*pair[:2], "bernoulli"))
        )
    assert torch.allclose(found.log_evidence, wanted.log_evidence, atol=1e-3)
    assert torch.allclose(found.amortization, wanted.amortization, atol=1e-3)
    assert torch.allclose(found.best.mean, wanted.best.mean, atol=1e-2)


def test_logits_and_means_are_one_bernoulli(pair: tuple, root: Path) -> None:
    first, last, encoder, decoder = pair
    means = graphs.decoder(nn.Sequential(*last[:-1], nn.Sigmoid(), last[-1]), 2, SHAPE)
    a = opened(imports.from_onnx(encoder, decoder, root, **BERNOULLI))
    b = opened(imports.from_onnx(encoder, means, root, likelihood="bernoulli", output="mean"))
    x, z = torch.rand(3, *SHAPE), torch.randn(3, 2)
    assert torch.allclose(a.log_likelihood(x, z), b.log_likelihood(x, z), atol=1e-3)
    gaussian = opened(imports.from_onnx(encoder, decoder, root, likelihood="gaussian", output="logits", scale=2.0))
    wanted = torch.distributions.Normal(last(z).sigmoid(), 2.0).log_prob(x).flatten(1).sum(1)
    assert torch.allclose(gaussian.log_likelihood(x, z), wanted, atol=1e-3)


def test_the_folder_holds_the_two_files_and_comes_back_from_a_zip(pair: tuple, root: Path) -> None:
    _, _, encoder, decoder = pair
    folder = imports.from_onnx(encoder, decoder, root, dataset="digits", **BERNOULLI)
    names = {file.name for file in folder.iterdir()}
    assert names == {"config.json", "encoder.onnx", "decoder.onnx", "metrics.json", "README.md"}
    assert (folder / "encoder.onnx").read_bytes() == encoder
    assert folder.name == "digits-onnx-2d"
    assert "# ONNX pair of 2 latent dimensions on digits" in (folder / "README.md").read_text()
    again = imports.from_zip(shelf.pack(folder), root)
    assert checkpoints.digest(again) == checkpoints.digest(folder)
    assert checkpoints.count_weights(folder) == sum(p.numel() for net in pair[:2] for p in net.parameters()) + 2 + 4


def test_different_graphs_have_different_digests(root: Path) -> None:
    folders = [imports.from_onnx(*graphs.small_pair(), root, **BERNOULLI) for _ in range(2)]
    assert len({checkpoints.digest(folder) for folder in folders}) == 2
    assert len({repr(opened(folder).decoder) for folder in folders}) == 2


def test_what_needs_gradients_says_so(pair: tuple, root: Path) -> None:
    vae = opened(imports.from_onnx(*pair[2:], root, **BERNOULLI))
    ends = torch.tensor([[-1.0, 0.0], [1.0, 0.5]])
    with pytest.raises(ValueError, match="no gradients"):
        paths.smoothest(lambda z: vae.likelihood(z).mean, *ends)
    with pytest.raises(ValueError, match="no gradients"):
        vae.likelihood(ends.requires_grad_())
    with pytest.raises(ValueError, match="cannot be trained"):
        vaecore.fit(vae, "vae", torch.rand(8, *SHAPE), epochs=1)
    with pytest.raises(ValueError, match="is not built"):
        vaecore.build("onnx", SHAPE)
    with pytest.raises(ValueError, match="other parts"):
        vaecore.fit(vaecore.build("vae", SHAPE), "vae", torch.rand(8, *SHAPE), epochs=1, start=vae)
    with torch.no_grad():
        way = paths.highest_valley(vae.prior(), *ends.detach(), 5)
    assert way.shape == (5, 2)


@pytest.mark.parametrize("shape", [(64,), (8, 8)])
def test_flat_images_are_taken_where_their_shape_is_said(root: Path, shape: tuple) -> None:
    first, last = graphs.nets(SHAPE)
    flat = nn.Sequential(*last[:-1])
    encoder, decoder = graphs.encoder(first, shape, 2), graphs.decoder(flat, 2, (64,))
    sizes = imports.onnx_sizes(encoder, decoder)
    assert sizes.data_shape == (None if shape == (64,) else SHAPE)
    assert (sizes.pixels, sizes.latent_dim) == (64, 2)
    vae = opened(imports.from_onnx(encoder, decoder, root, data_shape=SHAPE, **BERNOULLI))
    x = torch.rand(3, *SHAPE)
    assert torch.allclose(vae.posterior(x).mean, first(x)[:, :2], atol=1e-5)
    assert vae.likelihood(torch.zeros(2, 2)).mean.shape == (2, *SHAPE)
    if shape == (64,):
        for wrong, sentence in ((None, "say what shape"), ((1, 7, 8), "do not have the 64 numbers")):
            with pytest.raises(BadFile, match=sentence):
                imports.from_onnx(encoder, decoder, root, data_shape=wrong, **BERNOULLI)


def test_a_batch_of_fixed_size_is_filled_up(root: Path) -> None:
    first, last = graphs.nets(SHAPE)
    pair = graphs.encoder(first, SHAPE, 2, batch=4), graphs.decoder(last, 2, SHAPE, batch=1)
    vae, x = opened(imports.from_onnx(*pair, root, **BERNOULLI)), torch.rand(6, *SHAPE)
    assert torch.allclose(vae.posterior(x).mean, first(x)[:, :2], atol=1e-5)
    assert torch.allclose(vae.decoder.output(torch.ones(3, 2)), last(torch.ones(3, 2)), atol=1e-5)


# ---- refused


def nan_weight() -> bytes:
    return graphs.single("Mul", weights=[graphs.weight("w", [1.0, np.nan])])


def in_another_file() -> bytes:
    held = graphs.weight("w", [1.0, 1.0])
    held.ClearField("raw_data")
    held.data_location = TensorProto.EXTERNAL
    held.external_data.add(key="location", value="/etc/passwd")
    return graphs.single("Mul", weights=[held])


def branch() -> bytes:
    inner = helper.make_graph([], "g", [], [])
    return graphs.single("If", then_branch=inner, else_branch=inner)


def hidden_branch() -> bytes:
    inner = helper.make_graph([], "g", [], [])
    node = helper.make_node("Loop", ["z"], ["y0"])
    node.attribute.append(helper.make_attribute("body", inner))
    return graphs.packed([node], [("z", ("N", 2))], [("y0", ("N", 4))])


def foreign() -> bytes:
    node = helper.make_node("Evil", ["z"], ["y"], domain="com.example")
    return graphs.packed([node], [("z", ("N", 2))], [("y", ("N", 64))])


def doubles() -> bytes:
    node = helper.make_node("Identity", ["z"], ["y"])
    return graphs.packed([node], [("z", ("N", 2))], [("y", ("N", 2))], kind=TensorProto.DOUBLE)


def absurd() -> bytes:
    held = graphs.weight("w", [1.0])
    held.dims[:] = [1 << 20, 1 << 20]
    return graphs.single("Mul", weights=[held])


def lying() -> bytes:
    held = graphs.weight("w", [1.0])
    held.dims[:] = [7]
    return graphs.single("Mul", weights=[held])


def wide() -> bytes:
    return graphs.single("Expand", weights=[graphs.weight("w", [64, 2], np.int64)])


def huge() -> bytes:
    """Expands z to 10^11 numbers."""
    return graphs.single("Expand", weights=[graphs.weight("w", [50_000, 1_000_000, 2], np.int64)])


def summed() -> bytes:
    """Every image is the sum over the whole batch."""
    held = [graphs.weight("w", np.ones((2, 64)))]
    nodes = [
        helper.make_node("ReduceSum", ["z", "axis"], ["s"], keepdims=1),
        helper.make_node("Add", ["z", "s"], ["t"]),
        helper.make_node("MatMul", ["t", "w"], ["y"]),
    ]
    held.append(numpy_helper.from_array(np.array([0], np.int64), "axis"))
    return graphs.packed(nodes, [("z", ("N", 2))], [("y", ("N", 64))], held)


def not_finite() -> bytes:
    held = [graphs.weight("w", np.ones((2, 64)))]
    nodes = [
        helper.make_node("MatMul", ["z", "w"], ["s"]),
        helper.make_node("Log", ["s"], ["t"]),
        helper.make_node("Neg", ["t"], ["y"]),
    ]
    return graphs.packed(nodes, [("z", ("N", 2))], [("y", ("N", 64))], held)


DECODERS = {
    "empty": (lambda: b"", "is not an ONNX file"),
    "noise": (lambda: b"\x07" * 500, "is not an ONNX file"),
    "NaN": (nan_weight, "not finite numbers"),
    "in another file": (in_another_file, "in a file beside it"),
    "branch": (branch, "loop or a branch"),
    "loop": (hidden_branch, "loop or a branch"),
    "random numbers": (lambda: graphs.single("RandomNormalLike"), "draws random numbers"),
    "foreign operator": (foreign, "only those of ONNX itself"),
    "doubles": (doubles, "another type than float32"),
    "absurd shape": (absurd, "absurd shape"),
    "another size than said": (lying, "do not have the size"),
    "two outputs": (lambda: graphs.single("Split", 2), "must take one input"),
    "unknown operator": (lambda: graphs.single("Nonsense"), "ONNX runtime says"),
    "another size": (lambda: graphs.single("Identity"), "must be .3, 64."),
    "rows lost": (wide, "could not be run|must have as many|ONNX runtime says"),
    "huge": (huge, "ONNX runtime says|could not be run"),
    "whole batch": (summed, "when it comes alone"),
    "not finite": (not_finite, "not finite"),
}


@pytest.mark.parametrize("harm", list(DECODERS))
def test_a_decoder_that_is_none_is_refused(harm: str, pair: tuple, root: Path) -> None:
    make, sentence = DECODERS[harm]
    with pytest.raises(BadFile, match=sentence) as caught:
        imports.from_onnx(pair[2], make(), root, **BERNOULLI)
    assert len(str(caught.value)) < 700
    assert not list(root.glob("*"))


def test_pairs_that_do_not_fit_are_refused(pair: tuple, root: Path) -> None:
    first, last, encoder, decoder = pair
    other = graphs.small_pair(SHAPE, latent=3)
    for files, options, sentence in (
        ((decoder, encoder), BERNOULLI, "encoder.onnx must take"),
        ((other[0], decoder), BERNOULLI, r"the mean that encoder.onnx gives has the shape \[3, 3\]"),
        ((encoder, decoder), BERNOULLI | {"output": "mean"}, "are they logits"),
        ((encoder, decoder), BERNOULLI | {"likelihood": "poisson"}, "Option likelihood"),
        ((encoder, decoder), {"likelihood": "gaussian", "scale": 0.0}, "Option scale"),
        ((graphs.encoder(first, ("A", 8, 8), 2), decoder), BERNOULLI, "all sizes but N fixed"),
    ):
        with pytest.raises(BadFile, match=sentence):
            imports.from_onnx(*files, root, **options)
    assert not list(root.glob("*"))


def test_a_zip_of_a_pair_must_say_that_it_is_one(pair: tuple, root: Path, checkpoint: Path) -> None:
    from vaecore.imports.bring import from_folder

    config = json.loads((checkpoint / "config.json").read_text())
    files = {"encoder.onnx": pair[2], "decoder.onnx": pair[3], "config.json": json.dumps(config).encode()}
    with pytest.raises(BadFile, match="says that this is a vae"):
        from_folder(files, root)
    config |= {"recipe": "onnx", "options": {"scale": "x"}}
    with pytest.raises(BadFile, match="Option scale"):
        from_folder(files | {"config.json": json.dumps(config).encode()}, root)


# ---- the process that runs it


def test_a_graph_that_takes_too_long_is_ended(pair: tuple) -> None:
    slow = Runner(pair[2], graphs.endless(), patience=2.0)
    start = time.monotonic()
    with pytest.raises(BadFile, match="took longer than 2 s"):
        slow(1, np.ones((256, 2), np.float32))
    assert time.monotonic() - start < 10
    assert slow.child is None


def test_the_process_is_started_anew_after_its_death_and_ends_with_its_runner(pair: tuple) -> None:
    run = Runner(*pair[2:])
    before = run(1, np.ones((1, 2), np.float32))[0]
    child = run.child
    os.kill(child.pid, signal.SIGKILL)  # as a system without memory does it: nobody here waits for its end
    end = time.monotonic() + 20
    while child.returncode is None:
        assert time.monotonic() < end, "a zombie"
        time.sleep(0.01)
    assert np.array_equal(run(1, np.ones((1, 2), np.float32))[0], before)
    pid = run.child.pid
    del run
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_without_the_runtime_a_sentence_says_what_to_install(pair: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadFile, match="pip install onnxruntime"):
        Runner(*pair[2:])(0, np.ones((1, *SHAPE), np.float32))


def mutate(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 2, 8))):
        at = rng.randrange(len(changed))
        act: Callable[[], object] = rng.choice(
            (
                lambda at=at: changed.__setitem__(at, rng.randrange(256)),
                lambda at=at: changed.__delitem__(slice(at, at + rng.choice((1, 4, 50)))),
                lambda at=at: changed.__setitem__(slice(at, at), rng.randbytes(rng.choice((1, 4)))),
            )
        )
        act()
        if not changed:
            break
    return bytes(changed)


def test_mutated_files_are_read_or_refused_and_the_survivors_harm_nobody(root: Path) -> None:
    rng, (encoder, decoder) = random.Random(0), graphs.small_pair((1, 2, 2))
    survivors = []
    for _ in range(3000):
        content = mutate(decoder, rng)
        try:
            read_graph(content, "decoder.onnx")
            survivors.append(content)
        except BadFile:
            pass
    assert 50 < len(survivors) < 2950
    for content in rng.sample(survivors, 6):
        try:
            shelf.remove(imports.from_onnx(encoder, content, root, **BERNOULLI))
        except BadFile as refusal:
            assert len(str(refusal)) < 700  # noqa: PT017
    assert not list(root.glob("*"))
