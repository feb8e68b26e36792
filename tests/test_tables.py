"""The learned prior's paper in small, on one seed."""

import pytest
import torch

import vaecore
from vaecore import tables
from vaecore.__main__ import main

SETS = tuple(vaecore.load_dataset("dynamic_digits", split) for split in ("train", "valid", "test"))


def test_joint_training_beats_iterative_post_hoc_and_none_on_digits() -> None:
    budget = tables.Budget(epochs=80, latent_dim=2, depth=3, samples=50, device="cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = tables.table("training", *SETS, budget)["rows"]
    finally:
        torch.set_num_threads(threads)
    nll = {row["system"]: row["NLL"] for row in rows}
    assert list(nll) == ["standard", "post-hoc", "iterative", "joint"]
    assert nll["joint"] < nll["iterative"] < nll["post-hoc"] < nll["standard"], nll
    for row in rows:
        assert row["NLL"] == pytest.approx(-row["lb"] - row["kl_z|x"], abs=1e-3)


def test_each_seed_has_a_column_and_says_whether_its_nll_falls() -> None:
    small = tuple(each.first(64) for each in SETS)
    budget = tables.Budget(epochs=2, latent_dim=2, net="small", depth=1, samples=4, seed=5, device="cpu")
    steps = []
    found = tables.over_seeds("training", small, budget, 2, say=steps.append)
    assert steps == [{"event": "step", "step": k, "steps": 2} for k in (1, 2)]
    assert "seeds 5, 6" in found["protocol"]
    alone = tables.table("training", *small, tables.Budget(**{**vars(budget), "seed": 6}))
    assert [row["seed 6"] for row in found["rows"]] == [row["NLL"] for row in alone["rows"]]
    for row in found["rows"]:
        assert row["mean"] == pytest.approx((row["seed 5"] + row["seed 6"]) / 2)
    for seed in (5, 6):
        values = [row[f"seed {seed}"] for row in found["rows"]]
        assert found["falls"][f"seed {seed}"] == all(a >= b for a, b in zip(values, values[1:], strict=False))


def test_seeds_of_a_table_without_systems_are_refused(capsys: pytest.CaptureFixture) -> None:
    assert main(["bench", "saturation", "--seeds", "2"]) == 1
    assert "--seeds belongs to" in capsys.readouterr().err
