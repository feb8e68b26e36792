"""A folder of pythae's becomes the same VAE; its pickles are refused or read in a process of their own."""

import io
import json
import pickle
import random
import re
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

import vaecore
from vaecore import checkpoints, imports
from vaecore.imports import pythae, unpickle
from vaecore.imports.pythae import from_pythae
from vaecore.safefiles import BadFile

SHAPE, LATENT = (1, 4, 4), 2
Files = dict[str, bytes]


class Theirs(nn.Module):
    """pythae 0.1.2's default networks, by the names of its state_dict."""

    def __init__(self, pixels: int = 16) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Module(), nn.Module()
        self.encoder.layers = nn.ModuleList([nn.Sequential(nn.Linear(pixels, 512), nn.ReLU())])
        self.encoder.embedding, self.encoder.log_var = nn.Linear(512, LATENT), nn.Linear(512, LATENT)
        self.decoder.layers = nn.ModuleList(
            [nn.Sequential(nn.Linear(LATENT, 512), nn.ReLU()), nn.Sequential(nn.Linear(512, pixels), nn.Sigmoid())]
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.encoder.layers[0](x.reshape(len(x), -1))
        return self.encoder.embedding(h), self.encoder.log_var(h)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder.layers[1](self.decoder.layers[0](z))


def about(**entries: object) -> bytes:
    usual = {"name": "VAEConfig", "input_dim": list(SHAPE), "latent_dim": LATENT, "reconstruction_loss": "bce"}
    return json.dumps(usual | {"uses_default_encoder": True, "uses_default_decoder": True} | entries).encode()


def saved(held: object) -> bytes:
    packed = io.BytesIO()
    torch.save(held, packed)
    return packed.getvalue()


@pytest.fixture(scope="module")
def theirs() -> Theirs:
    torch.manual_seed(0)
    return Theirs()


@pytest.fixture(scope="module")
def files(theirs: Theirs) -> Files:
    environment = json.dumps({"name": "EnvironmentConfig", "python_version": "3.8"}).encode()
    weights = saved({"model_state_dict": OrderedDict(theirs.state_dict())})
    return {"model.pt": weights, "model_config.json": about(), "environment.json": environment}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "brought"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, theirs: Theirs) -> None:
    """The weights as if read: what a process of its own reads has a test of its own."""
    monkeypatch.setattr(pythae, "read_weights", lambda content: dict(theirs.state_dict()))


def test_a_zip_becomes_the_vae_that_pythae_trained(files: Files, theirs: Theirs, root: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"final_model/{name}", content)
    folder = imports.from_zip(packed.getvalue(), root, dataset="digits")
    assert folder.name == "digits-pythae-2d"
    assert "model.pt" not in {file.name for file in folder.iterdir()}
    vae, x, z = vaecore.load(folder), torch.rand(3, *SHAPE), torch.randn(3, LATENT)
    mean, log_variance = theirs.encode(x)
    assert torch.allclose(vae.posterior(x).mean, mean, atol=1e-6)
    assert torch.allclose(vae.posterior(x).variance, log_variance.exp(), atol=1e-6)
    loss = nn.functional.binary_cross_entropy(theirs.decode(z), x.flatten(1), reduction="none").sum(1)
    assert torch.allclose(vae.log_likelihood(x, z), -loss, atol=1e-4)
    assert vaecore.recipes.label(vae.config) == "pythae VAE"
    assert checkpoints.read_metrics(folder)["training"]["note"] == "trained by pythae as VAE, Python 3.8"
    assert "pythae VAE" in (folder / "README.md").read_text()


@pytest.mark.usefixtures("quick")
def test_squared_errors_are_a_gaussian_of_variance_one(files: Files, theirs: Theirs, root: Path) -> None:
    config = about(name="BetaVAEConfig", beta=4.0, reconstruction_loss="mse", input_dim=[16])
    folder = from_pythae(files | {"model_config.json": config}, root)
    vae, x, z = vaecore.load(folder), torch.rand(3, *SHAPE), torch.randn(3, LATENT)
    wanted = torch.distributions.Normal(theirs.decode(z), 1.0).log_prob(x.flatten(1)).sum(1)
    assert torch.allclose(vae.log_likelihood(x, z), wanted, atol=1e-4)
    assert "BetaVAE with beta 4" in checkpoints.read_metrics(folder)["training"]["note"]


CONFIGS = {
    "another kind": (about(name="VQVAEConfig"), "'VQVAE' of pythae has a discrete latent space"),
    "no kind": (about(name=["x"]), "is not known here"),
    "a network of one's own": (about(uses_default_encoder=False), "an encoder of its own.*docs/bring.md"),
    "another loss": (about(reconstruction_loss="huber"), "must be bce or mse"),
    "no shape": (about(input_dim=None), "must be the shape of an image"),
    "a flat image that is no square": (about(input_dim=[15]), "must be the shape of an image"),
    "an absurd shape": (about(input_dim=[1, 2000, 2000]), "data_shape"),
    "an absurd latent space": (about(latent_dim=10**9), "latent_dim is 1000000000"),
    "another latent space": (about(latent_dim=3), "does not fit model_config.json"),
    "no JSON": (b"{", "valid JSON"),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("harm", list(CONFIGS))
def test_what_is_not_read_is_said(harm: str, files: Files, root: Path) -> None:
    config, sentence = CONFIGS[harm]
    with pytest.raises(BadFile, match=sentence):
        from_pythae(files | {"model_config.json": config}, root)
    assert not root.exists()


@pytest.mark.usefixtures("quick")
def test_a_pickled_network_is_refused_with_a_reason(files: Files, root: Path) -> None:
    with pytest.raises(BadFile, match="decoder.pkl is refused: pythae keeps a network of your own as a program"):
        from_pythae(files | {"decoder.pkl": b"x"}, root)
    with pytest.raises(BadFile, match="no model.pt"):
        from_pythae({"model_config.json": about()}, root)


def test_weights_of_other_networks_are_refused(theirs: Theirs) -> None:
    def mapped(**changes: Tensor | None) -> dict[str, Tensor]:
        tensors = {k: v for k, v in (theirs.state_dict() | changes).items() if v is not None}
        return pythae.renamed(tensors, SHAPE, LATENT, "bernoulli")

    assert mapped().keys() == mapped(**{"discriminator.a": torch.zeros(2)}).keys()
    bias = "encoder.embedding.bias"
    for changes, sentence in (
        ({bias: None}, "other networks"),
        ({"more": torch.zeros(1)}, "other networks"),
        ({bias: torch.zeros(3)}, "does not fit"),
        ({bias: torch.zeros(2).double()}, "does not fit"),
        ({bias: torch.full((2,), torch.nan)}, "not finite"),
    ):
        with pytest.raises(BadFile, match=sentence):
            mapped(**changes)


class Evil:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("/tmp/vaescope-was-run"),)


def views() -> dict[str, Tensor]:
    """10^10 numbers that are one."""
    return {"a": torch.zeros(1).expand(100_000, 100_000)}


PICKLES = {
    "a program": (lambda: pickle.dumps(Evil()), "damaged, or holds more than plain weights"),
    "a program as weights": (lambda: saved({"model_state_dict": Evil()}), "more than plain weights"),
    "noise": (lambda: random.Random(0).randbytes(1000), "damaged"),
    "no weights": (lambda: saved({"a": 1}), "no weights under the name"),
    "no tensors": (lambda: saved({"model_state_dict": {"a": 1}}), "more than plain weights"),
    "one number many times": (lambda: saved({"model_state_dict": views()}), "numbers"),
}


@pytest.mark.parametrize("harm", list(PICKLES))
def test_a_hostile_pickle_harms_nobody(harm: str) -> None:
    make, sentence = PICKLES[harm]
    with pytest.raises(ValueError, match=sentence):
        unpickle.weights(make())
    assert not Path("/tmp/vaescope-was-run").exists()


def test_the_process_says_what_is_wrong() -> None:
    with pytest.raises(BadFile, match="damaged, or holds more than plain weights"):
        pythae.read_weights(pickle.dumps(Evil()))
    assert not Path("/tmp/vaescope-was-run").exists()


def test_a_pickle_that_unpacks_to_too_much_meets_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pythae, "MEGABYTES", 64)
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved({"model_state_dict": {"a": torch.zeros(8)}}))) as archive:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
            for info in archive.infolist():
                content = archive.read(info)
                if info.filename.endswith("data/0"):
                    with made.open(info.filename, "w", force_zip64=True) as file:
                        for _ in range(100):
                            file.write(bytes(1 << 20))
                else:
                    made.writestr(info.filename, content)
    with pytest.raises(BadFile, match=r"model\.pt"):
        pythae.read_weights(packed.getvalue())


def test_a_reading_that_takes_too_long_is_ended(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pythae, "PATIENCE", 0.05)
    with pytest.raises(BadFile, match="within 0.05 s"):
        pythae.read_weights(files["model.pt"])
    with pytest.raises(BadFile, match="at most"):
        pythae.read_weights(bytes(pythae.LARGEST + 1))


class Convolutional(nn.Module):
    """As pythae's benchmark networks: convolutions with batch norms, whose answers are dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.model_config = SimpleNamespace(input_dim=(1, 8, 8), latent_dim=LATENT)
        self.encoder = Answering(
            nn.Sequential(nn.Conv2d(1, 8, 4, 2, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()),
            embedding=nn.Linear(128, LATENT),
            log_covariance=nn.Linear(128, LATENT),
        )
        spread = (nn.Unflatten(1, (8, 4, 4)), nn.ConvTranspose2d(8, 1, 4, 2, padding=1), nn.Sigmoid())
        self.decoder = Answering(nn.Linear(LATENT, 128), reconstruction=nn.Sequential(*spread))


class Answering(nn.Module):
    def __init__(self, body: nn.Module, **heads: nn.Module) -> None:
        super().__init__()
        self.body, self.heads = body, nn.ModuleDict(heads)

    def forward(self, x: Tensor) -> OrderedDict:
        return OrderedDict((name, head(self.body(x))) for name, head in self.heads.items())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_lines_of_the_documentation_export_a_pair_that_is_the_same_vae(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model, text = Convolutional(), (Path(__file__).parents[1] / "docs" / "bring.md").read_text()
    for _ in range(20):
        model.encoder(torch.randn(32, 1, 8, 8))  # so that the batch norm has statistics of its own
    (lines,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(lines, {"model": model})
    both = [(tmp_path / f"{part}.onnx").read_bytes() for part in ("encoder", "decoder")]
    folder = imports.from_onnx(*both, tmp_path / "brought", likelihood="bernoulli", output="mean")
    vae, x, z = vaecore.load(folder), torch.rand(5, 1, 8, 8), torch.randn(5, LATENT)
    model.eval()  # the exporter gave it back as a net in training
    said, q = model.encoder(x), vae.posterior(x)
    torch.testing.assert_close(q.mean, said["embedding"], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(q.variance.log(), said["log_covariance"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(vae.likelihood(z).mean, model.decoder(z)["reconstruction"], atol=1e-5, rtol=1e-4)
    assert all(kind in text for kind in pythae.PYTHAE_KINDS)
