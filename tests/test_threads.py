"""Small work has one thread, large work as many as there are, and nothing stays changed."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

import vaecore
from vaecore import evaluation, exact, threads


@pytest.fixture(autouse=True)
def two() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_size_of_the_work_decides_and_the_number_comes_back() -> None:
    net = nn.Linear(1000, 1000, bias=False)
    with threads.threads_for(net, 79):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with threads.threads_for(net, 80):
        assert torch.get_num_threads() == 2
    with pytest.raises(KeyError), threads.threads_for(net, 1):
        raise KeyError
    assert torch.get_num_threads() == 2


def test_one_who_asks_for_one_thread_never_gets_more() -> None:
    torch.set_num_threads(1)
    with threads.threads_for(nn.Linear(10_000, 1000), 10_000):
        assert torch.get_num_threads() == 1


def test_a_training_of_digits_has_one_thread_and_leaves_what_it_found() -> None:
    seen = set()
    vae = vaecore.build("vae", (1, 8, 8), 2, net="small")
    images = torch.rand(64, 1, 8, 8)
    vaecore.fit(vae, "vae", images, epochs=1, on_event=lambda event: seen.add(torch.get_num_threads()))
    assert seen == {1}
    assert torch.get_num_threads() == 2


def test_what_is_asked_of_a_small_vae_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, vae = set(), vaecore.build("vae", (1, 8, 8), 2, net="small")
    posterior = vaecore.VAE.posterior

    def watched(self: vaecore.VAE, x: torch.Tensor) -> torch.distributions.Distribution:
        seen.add(torch.get_num_threads())
        return posterior(self, x)

    monkeypatch.setattr(vaecore.VAE, "posterior", watched)
    evaluation.log_evidence(vae, torch.rand(4, 1, 8, 8), samples=2)
    evaluation.active_units(vae, torch.rand(4, 1, 8, 8))
    exact.split_gap(vae, torch.rand(2, 1, 8, 8))
    assert seen == {1}
    assert torch.get_num_threads() == 2


def test_waiting_is_passive_where_nobody_says_otherwise() -> None:
    own = {"OMP_WAIT_POLICY": "ACTIVE"}
    threads.wait_passively(own)
    assert own == {**threads.PASSIVE, "OMP_WAIT_POLICY": "ACTIVE"}
