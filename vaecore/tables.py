"""The learned prior's paper in small: its tables, each trained and measured by one call (Xu et al. 2019).

The paper's numbers are those of its ResnetVAE on MNIST, K = 20, 2400 epochs, three runs; ours are of whatever data,
networks and budget are asked for. What can be compared is the order within a column, not the numbers across.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean

import torch
from torch import Tensor

from vaecore import aggregate, evaluation
from vaecore.datasets import Dataset
from vaecore.recipes import build_with
from vaecore.text import counted
from vaecore.training import fit
from vaecore.vae import VAE

Event = Callable[[dict], None]


@dataclass(frozen=True)
class Budget:
    """How each row is trained and measured."""

    epochs: int = 60
    latent_dim: int = 8
    net: str | None = None
    depth: int = 10
    samples: int = 100
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True)
class Row:
    """A system: its options beside the budget's, whether it begins with the row before that is a plain VAE, and what
    the paper prints for it."""

    name: str
    recipe: str
    options: dict
    paper: dict
    begins: bool = False


STANDARD = Row(
    "standard", "rnvp-p", {"depth": 0}, {"NLL": 81.07, "lb": -84.62, "recons": -58.70, "kl": 25.92, "au": 25.3}
)
JOINT = Row("RNVP p(z)", "rnvp-p", {}, {"NLL": 78.58, "lb": -80.34, "recons": -53.64, "kl": 26.70})
DEPTHS = {0: 81.07, 1: 80.02, 2: 79.58, 5: 79.09, 10: 78.75, 20: 78.58}
REGULARISED = Row("regularised", "rnvp-p", {"regulariser": 1.0}, {"mean": 0.0, "variance": 0.98, "au": 40})
TABLES: dict[str, tuple[str, tuple[Row, ...]]] = {
    "both": (
        "Tables 1, 3, 7",
        (
            STANDARD,
            Row("RNVP q(z|x)", "rnvp-q", {}, {"NLL": 79.53}),
            JOINT,
            Row("both", "rnvp-both", {}, {"NLL": 78.56}),
        ),
    ),
    "depth": (
        "Table 2, Figures B.6, B.7",
        tuple(Row(f"K = {depth}", "rnvp-p", {"depth": depth}, {"NLL": nll}) for depth, nll in DEPTHS.items()),
    ),
    "training": (
        "Tables 4, 9",
        (
            STANDARD,
            Row(
                "post-hoc",
                "rnvp-p",
                {"training": "post-hoc"},
                {"NLL": 79.90, "recons": -58.7, "kl": 24.7, "au": 25.3},
                begins=True,
            ),
            Row(
                "iterative",
                "rnvp-p",
                {"training": "iterative", "rounds": 4},
                {"NLL": 79.61, "recons": -57.2, "kl": 25.1, "au": 40},
                begins=True,
            ),
            Row("joint", "rnvp-p", {}, {"NLL": 78.58}),
        ),
    ),
    "moments": (
        "Tables 8, B.1",
        (STANDARD, REGULARISED, Row("un-regularised", "rnvp-p", {}, {"mean": -0.06, "variance": 0.76})),
    ),
}
SATURATION = {1: 15.279, 2: 14.623, 3: 14.254, 5: 13.796, 8: 13.392}


def table(name: str, train: Dataset, valid: Dataset, test: Dataset, budget: Budget, say: Event | None = None) -> dict:
    """One of `TABLES`, trained row by row: a JSON-ready dict of its rows, each beside the paper's.

    Values are means over the test images in nats: NLL by IWAE(K), lb, recons and kl from the same draws; au counts
    active units; seconds are those of one epoch of training.
    """
    source, rows = TABLES[name]
    plain, found = None, []
    for number, row in enumerate(rows, 1):
        vae, seconds = trained(row, train, valid, budget, plain if row.begins else None)
        plain = vae if row is STANDARD else plain
        found.append({"system": row.name, **measured(vae, test.images, budget), "seconds an epoch": seconds})
        found[-1] |= {f"paper's {key}": value for key, value in row.paper.items()}
        if say:
            say({"event": "step", "step": number, "steps": len(rows)})
    return {"table": source, "protocol": protocol(train, test, budget), "rows": found}


def over_seeds(
    name: str, sets: tuple[Dataset, Dataset, Dataset], budget: Budget, seeds: int, say: Event | None = None
) -> dict:
    """The NLL of each row of one of `TABLES`, nats per image, for so many seeds from the budget's on, and their means.

    `sets` are train, valid and test. "falls" says of each seed whether its NLL falls from row to row, as the paper's
    does (Table 4).
    """
    source, rows = TABLES[name]
    runs: dict[int, list[float]] = {}
    for seed in range(budget.seed, budget.seed + seeds):
        found = table(name, *sets, replace(budget, seed=seed))
        runs[seed] = [row["NLL"] for row in found["rows"]]
        if say:
            say({"event": "step", "step": len(runs), "steps": seeds})
    of_systems = zip(rows, zip(*runs.values(), strict=True), strict=True)
    found = [
        {
            "system": row.name,
            **{f"seed {seed}": value for seed, value in zip(runs, values, strict=True)},
            "mean": fmean(values),
            "paper's": row.paper.get("NLL"),
        }
        for row, values in of_systems
    ]
    falls = {f"seed {seed}": values == sorted(values, reverse=True) for seed, values in runs.items()}
    about = protocol(sets[0], sets[2], budget).replace(f"seed {budget.seed}", f"seeds {', '.join(map(str, runs))}")
    return {"table": source, "protocol": f"NLL, {about}", "rows": found, "falls": falls}


def trained(row: Row, train: Dataset, valid: Dataset, budget: Budget, start: VAE | None) -> tuple[VAE, float]:
    """The row's VAE, and the seconds that one of its epochs took."""
    options = {"likelihood": "bernoulli", "depth": budget.depth, **row.options}
    if budget.net:
        options["net"] = budget.net
    torch.manual_seed(budget.seed)
    vae = build_with(row.recipe, tuple(train.images.shape[1:]), budget.latent_dim, options)
    settings = {"epochs": budget.epochs, "seed": budget.seed, "device": budget.device}
    history = fit(vae, row.recipe, train, valid, start=start, **settings)
    return vae, sorted(event["seconds"] for event in history)[len(history) // 2]


def measured(vae: VAE, images: Tensor, budget: Budget) -> dict[str, float]:
    found = [evaluation.bounds(vae, x.to(vae.device), budget.samples) for x in images.split(256)]
    reconstruction, kl, evidence = (float(torch.cat(part).mean()) for part in zip(*found, strict=True))
    mean, variance = evaluation.moments(*evaluation.encode(vae, images))
    return {
        "NLL": -evidence,
        "lb": reconstruction - kl,
        "recons": reconstruction,
        "kl": kl,
        "kl_z|x": evidence - reconstruction + kl,
        "au": int(evaluation.active_units(vae, images).sum()),
        "mean": float(mean.mean()),
        "variance": float(variance.mean()),
    }


def saturation(train: Dataset, valid: Dataset, budget: Budget, images: int = 500, say: Event | None = None) -> dict:
    """Table B.2: KL[q(z) || p(z)] by algorithm B.2 falls as n_x grows, because it cannot be under avg KL - log(N n_x).

    Each image's own posterior is among those that q(z) is a mean of; the printed floor explains the paper's "flaw".
    """
    vae, _ = trained(JOINT, train, valid, budget, None)
    found = []
    for number, (times, paper) in enumerate(SATURATION.items(), 1):
        drawn = [train.binarised(draw).images[:images].to(vae.device) for draw in range(times)]
        result = aggregate.marginal_kl(vae, drawn, n_z=4, seed=budget.seed)
        ours = {"avg KL": result.avg_kl, "KL[q(z) || p(z)]": result.kl, "its standard error": result.kl_error}
        ours |= {"the least it can be": result.floor, "mutual information": result.mutual_information}
        found.append({"n_x": times, **ours, "paper's KL[q(z) || p(z)]": paper})
        if say:
            say({"event": "step", "step": number, "steps": len(SATURATION)})
    return {
        "table": "Table B.2",
        "protocol": f"{protocol(train, train, budget)}; the first {counted(images, 'image')}",
        "rows": found,
    }


def protocol(train: Dataset, test: Dataset, budget: Budget) -> str:
    size = f"D = {budget.latent_dim}, net {budget.net or 'default'}, depth {budget.depth} where the row names none"
    return (
        f"trained on {counted(len(train), 'image')} of {train.name} for {counted(budget.epochs, 'epoch')}, "
        f"measured on {len(test):,} of its {test.split} split with K = {counted(budget.samples, 'draw')}; {size}, "
        f"seed {budget.seed}; nats per image. The paper's numbers: ResnetVAE on MNIST, D = 40, depth 20, 2400 epochs"
    )
