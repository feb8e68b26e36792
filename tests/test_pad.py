"""The latent pad's server side: decoders as plain layers, densities as numbers, and the pinned z in the link."""

import base64
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from models import fresh
from pages import set_apart, visited
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

import vaecore
from app import pad, pad_decoder, pinned
from app.session import Checkpoint


def unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def test_the_description_names_layers_and_carries_every_weight() -> None:
    vae = vaecore.build("vae", (1, 28, 28), 2, net="conv")
    found = pad_decoder.description(vae, 2, (1, 28, 28))
    assert len(unpacked(found["weights"])) == sum(p.numel() for p in vae.decoder.net.parameters())
    ups = [layer for layer in found["layers"] if layer["kind"] == "transposed"]
    assert [layer["to"] for layer in ups] == [[7, 7], [14, 14], [28, 28]]
    assert found["products"] == 2 * 256 + 256 * 576 + 16 * (9 * 64 * 32 + 49 * 32 * 32 + 196 * 32)
    assert found["likelihood"] == {"kind": "gaussian", "scale": 1.0}


@pytest.mark.parametrize(
    ("name", "net", "shape"), [("vae", "deep-conv", (1, 28, 28)), ("pixelvae", "small", (1, 8, 8))]
)
def test_what_is_too_large_or_of_another_kind_stays_on_the_server(name: str, net: str, shape: tuple) -> None:
    vae = fresh(name, net, "bernoulli") if shape == (1, 8, 8) else vaecore.build(name, shape, 2, net=net)
    with pytest.raises(pad_decoder.Unfit, match="too many|more than one network"):
        pad_decoder.description(vae, 2, shape)


def test_a_foreign_layer_is_named() -> None:
    vae = vaecore.build("vae", (1, 8, 8), 2, net="small")
    vae.decoder.net[1] = torch.nn.GELU()
    with pytest.raises(pad_decoder.Unfit, match="GELU"):
        pad_decoder.description(vae, 2, (1, 8, 8))


def test_densities_are_described_by_the_numbers_that_make_them() -> None:
    parts = Independent(Normal(torch.randn(1, 3, 2), torch.rand(1, 3, 2) + 0.1), 1)
    mixture = MixtureSameFamily(Categorical(logits=torch.randn(1, 3)), parts)
    found = pad.described(mixture)
    z = torch.randn(2)
    terms = [
        w + sum(-0.5 * ((z[d] - m[d]) / s[d]) ** 2 - math.log(s[d] * math.sqrt(2 * math.pi)) for d in (0, 1))
        for w, m, s in zip(found["log_weights"], found["loc"], found["scale"], strict=True)
    ]
    assert math.log(sum(math.exp(t) for t in terms)) == pytest.approx(float(mixture.log_prob(z[None])[0]), rel=1e-5)
    full = MultivariateNormal(torch.randn(1, 2), torch.tensor([[[1.0, 0.4], [0.4, 0.5]]]))
    found = pad.described(full)
    away = z.numpy() - np.array(found["loc"])
    value = found["peak"] - 0.5 * away @ np.array(found["precision"]) @ away
    assert value == pytest.approx(float(full.log_prob(z[None])[0]), rel=1e-4)


def test_nearness_leaves_each_code_out_of_its_own_density() -> None:
    loc, scale = torch.randn(40, 2), torch.full((40, 2), 0.3)
    found = []
    for n in range(40):
        others = [m for m in range(40) if m != n]
        each = [float(Normal(loc[m], scale[m]).log_prob(loc[n]).double().sum().exp()) for m in others]
        found.append(math.log(sum(each) / 39))
    low, usual = pad.nearness(loc, scale)
    assert (low, usual) == pytest.approx(tuple(np.quantile(found, [0.01, 0.5])), abs=1e-3)


def test_a_table_meets_the_flow_between_its_nodes() -> None:
    """Stated tolerance: 0.05 nats within 3 sd for a fresh Real NVP prior, moved off its start."""
    vae = fresh("rnvp-p", "small", "bernoulli")
    with torch.no_grad():
        for parameter in vae.prior.parameters():
            parameter += 0.03 * torch.randn_like(parameter)
        prior = vae.eval().prior()
        found = pad.table(prior, torch.zeros(1, 2))
        axes, values = [unpacked(a) for a in found["axes"]], unpacked(found["values"]).reshape(pad.SIDE, pad.SIDE)
        z = torch.rand(300, 2) * 6 - 3
        exact = prior.log_prob(z).numpy()
    i, j = (np.searchsorted(axis, z[:, d].numpy()) - 1 for d, axis in enumerate(axes))
    s = (z[:, 0].numpy() - axes[0][i]) / np.diff(axes[0])[i]
    t = (z[:, 1].numpy() - axes[1][j]) / np.diff(axes[1])[j]
    low, high = ((1 - t) * values[k, j] + t * values[k, j + 1] for k in (i, i + 1))
    assert (1 - s) * low + s * high == pytest.approx(exact, abs=0.05)


@pytest.mark.parametrize("bad", ["nan,1", "inf,0", "1", "1,2,3", "a,b", "1e9,0"])
def test_a_bad_z_is_no_place(bad: str) -> None:
    assert pinned.pair(bad.split(",")) is None
    assert pinned.pair({"z": 1}) is None


def test_a_place_survives_its_own_text() -> None:
    for z in ((1.2345, -0.5), (0.0, 3.0), (-0.0001, 999.9999)):
        assert pinned.pair(pinned.text(z).split(",")) == z


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, recipe in (("alpha", "vae"), ("flowing", "iaf"), ("pixelwise", "pixelvae")):
        vaecore.save(fresh(recipe, "small", "bernoulli"), tmp_path / "shelf" / name, dataset="digits")
    set_apart(tmp_path, tmp_path / "shelf", monkeypatch)
    return tmp_path / "shelf"


def test_the_page_pins_the_z_of_a_link_and_says_when_it_is_none(shelf: Path) -> None:
    page = visited("views/posterior.py", {"checkpoint": "alpha", "image": "0", "z": "1.25,-0.5"})
    assert not page.exception
    assert page.session_state["z"][1] == (1.25, -0.5)
    page = visited("views/posterior.py", {"checkpoint": "alpha", "image": "0", "z": "1.25;DROP"})
    assert not page.exception
    assert any("pins z" in warning.value for warning in page.warning)
    assert page.session_state["z"] is None


def test_guests_that_share_the_decoder_bring_their_own_q(shelf: Path) -> None:
    from app import session

    host, guest = vaecore.load(shelf / "alpha"), fresh("me", "small", "bernoulli")
    guest.decoder.load_state_dict(host.decoder.state_dict())
    vaecore.save(guest, shelf / "mixed", dataset="digits")
    guest, pick = vaecore.load(shelf / "mixed"), session.Pick("image", 5)
    owner, other = (session.checkpoints()[name] for name in ("alpha", "mixed"))
    entries = [(owner, session.look(owner.digest, pick, owner)), (other, session.guest(other, pick, owner))]
    seen = pad.view(entries, {"alpha": "VAE", "mixed": "ME(5)"})
    assert [name for name, *_ in seen["systems"]] == ["VAE", "ME(5)"]
    assert len({tuple(line) for _, *line in seen["systems"]}) == 2
    single, mixture = seen["image"]["q"]
    z, x = torch.tensor([0.3, -0.2]), session.image(owner, pick)
    normal = Normal(torch.tensor(single["loc"]), torch.tensor(single["scale"])).log_prob(z).sum()
    parts = Normal(torch.tensor(mixture["loc"]), torch.tensor(mixture["scale"])).log_prob(z).sum(-1)
    mixed = (torch.tensor(mixture["log_weights"]) + parts).logsumexp(0)
    with torch.no_grad():
        exact = [float(vae.posterior(x).log_prob(z)) for vae in (host, guest)]
    assert [float(normal), float(mixed)] == pytest.approx(exact, rel=1e-4)
    assert exact[0] != pytest.approx(exact[1], abs=0.01)


def test_a_flow_is_tabled_and_a_pixelcnn_decodes_on_the_server(shelf: Path) -> None:
    from app import session

    flow, pixelwise = (session.checkpoints()[name] for name in ("flowing", "pixelwise"))
    look = session.look(flow.digest, session.Pick("image", 0), flow)
    assert [q["kind"] for q in pad.view([(flow, look)], None)["image"]["q"]] == ["table"]
    decoder, why = pad.decoder(pixelwise.digest, pixelwise)
    assert decoder is None
    assert "likelihood" in why
    assert isinstance(flow, Checkpoint)
