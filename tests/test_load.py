"""Many visitors at once: who waits for whom, what is looked at anew, and the bench that measures it."""

import argparse
import asyncio
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from models import BINARY, PIXELWISE, SMALL
from pages import set_apart, visited
from websockets.asyncio.client import connect

import vaecore
from app import holes, own_looks, session
from bench import load
from bench.serving import serving
from bench.visitor import Visitor
from vaecore import checkpoints as shelf_of

LIMIT = 60  # seconds in which what needs not wait has come


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    torch.manual_seed(0)
    for name in ("alpha", "beta"):
        vaecore.save(vaecore.build("vae", (1, 8, 8), 2, net="small"), folder / name, dataset="digits")
    return folder


@pytest.fixture(autouse=True)
def surroundings(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_apart(tmp_path, shelf, monkeypatch)


@contextmanager
def generator_held() -> Iterator[None]:
    """Another visitor draws random numbers, for long."""
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with session.computing():
            taken.set()
            done.wait()

    other = threading.Thread(target=hold)
    other.start()
    taken.wait()
    try:
        yield
    finally:
        done.set()
        other.join()


def in_time(work: Callable[[], object]) -> object:
    """What the work gives; fails where it waits for somebody."""
    found: list = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(LIMIT)
    assert found, "It waits."
    return found[0]


def together(work: Callable[[], object], many: int = 3) -> list:
    """What so many threads get that begin at one moment."""
    ready, found = threading.Barrier(many), []

    def visit() -> None:
        ready.wait()
        found.append(work())

    threads = [threading.Thread(target=visit) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == many
    return found


# ---- the generator


def test_a_page_that_was_seen_waits_for_nobody() -> None:
    address = {"checkpoint": "alpha", "image": "3"}
    visited("views/posterior.py", address)
    with generator_held():
        app = visited("views/posterior.py", address)
    assert not app.exception
    assert any('data-pick="image-3"' in element.proto.body for element in app.get("html"))


def test_what_draws_no_numbers_waits_for_nobody() -> None:
    checkpoint, pick = session.checkpoints()["beta"], session.Pick("image", 4)
    session.prepared(checkpoint)
    x = session.image(checkpoint, pick)
    with generator_held():
        assert in_time(lambda: session.computed_gap(checkpoint.digest, x, checkpoint))["modes"] >= 1
        assert in_time(lambda: own_looks.encoded(checkpoint.digest, pick, checkpoint))["here"]
        assert in_time(lambda: holes.problem(checkpoint)) == ""
        assert len(in_time(lambda: holes.codes(holes.entry(checkpoint)))[0]) > 1000


@pytest.mark.parametrize("name", [name for name in vaecore.RECIPES if name not in PIXELWISE])
def test_who_waits_for_nobody_draws_nothing(name: str) -> None:
    from vaecore.exact import Overview, split_gap

    vae = vaecore.build(name, (1, 8, 8), 2, **(SMALL[name] if name in BINARY else {})).eval()
    x = torch.rand(1, 1, 8, 8).round()
    before = torch.get_rng_state()
    with session.evaluating():
        q = vae.posterior(x)
        z = q.mean
        assert q.stddev.isfinite().all()
        assert vae.likelihood(z).mean.isfinite().all()
        overview = Overview(vae, torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
        assert split_gap(vae, x, overview).elbo.isfinite().all()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", PIXELWISE)
def test_a_mean_pixel_by_pixel_draws_from_a_generator_of_its_own(name: str) -> None:
    vae = vaecore.build(name, (1, 8, 8), 2, **SMALL[name]).eval()
    before = torch.get_rng_state()
    with session.evaluating():
        p = vae.likelihood(torch.zeros(1, 2))
        first = p.mean
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(p.mean, first)


def test_models_are_read_while_the_generator_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building draws weights; and who holds it asks for no model, which another may be reading who waits for it."""
    owned, asked = [], []
    load, model = shelf_of.load, session.model

    def watched(*args: object, **names: object) -> vaecore.VAE:
        owned.append(session._computing.mine)
        return load(*args, **names)

    monkeypatch.setattr(shelf_of, "load", watched)
    monkeypatch.setattr(session, "model", lambda *args: asked.append(session._computing.mine) or model(*args))
    for cache in (model, session.codes, session.overview, session.look, holes._problem):
        cache.clear()
    for address in ({"image": "5"}, {"sample": "6"}, {"prior": "7"}):
        app = visited("views/posterior.py", {"checkpoint": "alpha", **address})
        assert not app.exception
    assert owned == [True]
    assert asked
    assert not any(asked)


def test_visitors_at_once_get_the_same_and_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    from vaecore import evaluation, exact

    checkpoint, made, encoded = session.checkpoints()["alpha"], [], []
    entry, whole, encode = holes.entry(checkpoint), exact.Overview.__init__, evaluation.encode
    alone = session.look(checkpoint.digest, session.Pick("sample", 9), checkpoint).iwae
    monkeypatch.setattr(exact.Overview, "__init__", lambda *args, **named: made.append(1) or whole(*args, **named))
    monkeypatch.setattr(evaluation, "encode", lambda vae, x, **named: encoded.append(len(x)) or encode(vae, x, **named))
    for cache in (session.overview, session.look, holes._coded):
        cache.clear()
    looks = together(lambda: session.look(checkpoint.digest, session.Pick("sample", 9), checkpoint).iwae)
    codes = together(lambda: holes.codes(entry)[0])
    assert looks == [alone] * 3
    assert len(made) == 1
    assert sum(encoded) == len(codes[0])
    assert all(code is codes[0] for code in codes)


# ---- the listing


@pytest.fixture
def crowded(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """600 checkpoints, of one file each that all share."""
    for number in range(600):
        folder = tmp_path / "many" / f"number-{number}"
        folder.mkdir(parents=True)
        for file in (shelf / "alpha").iterdir():
            os.link(file, folder / file.name)
    monkeypatch.setenv("VAESCOPE_CHECKPOINTS", str(tmp_path / "many"))
    return tmp_path / "many"


def test_a_long_listing_is_looked_at_once_for_all(crowded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, looked = [], []
    read_one, stamps = shelf_of.read, session.folder_stamp
    monkeypatch.setattr(shelf_of, "read", lambda folder: read.append(folder) or read_one(folder))
    monkeypatch.setattr(session, "folder_stamp", lambda folder: looked.append(folder) or stamps(folder))
    monkeypatch.setattr(session, "LOOKED", 1e6)
    assert [len(found) for found in together(session.checkpoints)] == [600] * 3
    assert len(read) == len(looked) == 600
    session.checkpoints()
    assert len(looked) == 600
    monkeypatch.setattr(session, "LOOKED", -1.0)  # as after a while
    assert len(session.checkpoints()) == 600
    assert len(looked) == 1200
    assert len(read) == 600


def test_what_comes_and_goes_is_seen_at_once(shelf: Path, crowded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LOOKED", 1e6)
    assert "new" not in session.checkpoints()
    vaecore.save(vaecore.load(shelf / "beta"), crowded / "new", dataset="digits")
    assert session.checkpoints()["new"].label == "VAE"
    (crowded / "new").rename(crowded.parent / "away")
    assert "new" not in session.checkpoints()


def test_other_weights_in_a_folder_are_seen_after_a_while(
    shelf: Path, crowded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, weights = session.checkpoints(), crowded / "number-7" / "model.safetensors"
    monkeypatch.setattr(session, "LOOKED", -1.0)
    weights.unlink()
    weights.write_bytes((shelf / "beta" / "model.safetensors").read_bytes())
    assert session.checkpoints()["number-7"].digest == shelf_of.digest(shelf / "beta") != found["number-7"].digest


# ---- the nearest codes


@pytest.mark.parametrize("seed", range(20))
def test_the_closest_codes_are_those_of_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    loc = (rng.normal(size=(rng.integers(1, 400), 2)) * 10 ** rng.uniform(-3, 3)).astype(np.float32)
    loc = loc[rng.integers(len(loc), size=2 * len(loc))] + rng.choice([0.0, 100.0])  # many are equal
    itself = int(rng.integers(len(loc)))
    for at, left_out in ((loc[itself], itself), (loc.mean(0), None)):
        apart = np.linalg.norm(loc.astype(np.float64) - at.astype(np.float64), axis=1)
        if left_out is not None:
            apart[left_out] = np.inf
        order = np.argsort(apart, kind="stable")[: min(own_looks.NEAREST, len(loc) - (left_out is not None))]
        found, distances = own_looks.closest(loc, at, left_out)
        assert found.tolist() == order.tolist()
        assert distances == pytest.approx(apart[order])


# ---- the bench


async def each_deed(address: str) -> dict[str, float]:
    """Seconds of each kind of click on the page that has all widgets."""
    async with connect(address, subprotocols=["streamlit"], max_size=None) as socket:
        visitor, rng = Visitor(socket, LIMIT), random.Random(0)
        await visitor.open()
        await visitor.open("posterior", "checkpoint=digits-vae-2d&image=1")
        took = {kind: await deed(visitor, rng) for kind, deed in load.DEEDS.items()}
        await visitor.open("posterior", "checkpoint=digits-vae-2d&image=1")
        await load.chosen(visitor, "-map", 17)
        assert "image=17" in visitor.query
        return took


def test_two_visitors_without_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAESCOPE_CHECKPOINTS")
    monkeypatch.setattr(load, "CHECKPOINTS", ["digits-vae-2d", "digits-rme5-2d"])
    with serving() as server:
        address = f"{server.url.replace('http', 'ws')}/_stcore/stream"
        took = asyncio.run(each_deed(address))
        options = argparse.Namespace(minutes=0.05, think=0.2, seed=0)
        found = asyncio.run(load.crowd(address, server.pid, 2, options))
    assert took.keys() == load.DEEDS.keys()
    assert all(took.values())
    assert found["of which"] == {}
    assert found["runs"] >= 4
    assert found["seconds"]["p50"] <= found["seconds"]["p95"] <= found["seconds"]["most"]
    assert found["memory in MB by seconds"][0][1] > 20


@pytest.mark.parametrize("url", ["http://example.org", "http://10.0.0.1:8501", "https://127.0.0.1", "file:///etc"])
def test_other_computers_are_not_put_under_load(url: str) -> None:
    with pytest.raises(ValueError, match="only an app on this computer"):
        load.loopback(url)


def test_quantiles_are_values_that_were_seen() -> None:
    assert load.quantiles([3.0, 1.0, 2.0, 4.0]) == {"p50": 2.0, "p95": 4.0, "p99": 4.0, "most": 4.0}
    assert load.quantiles([]) == {}
