"""A strict floor under every test: its own seeded generator, few threads, and no folder of the user's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

torch.set_num_threads(2)


@pytest.fixture(autouse=True)
def _forked_generator() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For steps so small that waking a second one takes longer, and sums whose order must not change with the run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A small fresh VAE for 8 x 8 images, saved."""
    import vaecore

    vae = vaecore.build("vae", (1, 8, 8), latent_dim=2, net="small")
    return vaecore.save(vae, tmp_path / "checkpoint", dataset="digits")
