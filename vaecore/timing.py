"""The papers' table of inference times: how long q(z|x) of a batch takes, as a ratio to the plain VAE's.

Beside the systems stand what they are measured against: GPVAE with a loop over the latent dimensions, as its paper has
it, and five encoders one after another.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import fmean, median

import torch
from torch import Tensor, nn

from vaecore.objectives import Batch
from vaecore.processes import marginal
from vaecore.recipes import RECIPES, build, label
from vaecore.vae import VAE

LATENT, BATCH, RANKED = 50, 128, 1024
CONV = "GPVAE Table 5, RME Table 4 (MNIST)"
DENSE = "GPVAE Table 11, RME Table 6 (MNIST, dense decoder)"
# Milliseconds for each batch on the papers' GPU (RTX 2080 Ti), D = 50, batch 128.
PAPER = {
    CONV: {
        "VAE": 3.6,
        **{f"SA({k})": ms for k, ms in ((1, 9.7), (2, 18.1), (4, 32.2), (8, 60.8))},
        **{f"IAF({k})": ms for k, ms in ((1, 4.8), (2, 5.9), (4, 6.2), (8, 7.7))},
        **{f"RME({m})": ms for m, ms in ((2, 4.7), (3, 4.9), (4, 4.6), (5, 4.8))},
        "GPVAE": 9.9,
    },
    DENSE: {f"Laplace VAE({k})": ms for k, ms in ((1, 12.9), (2, 13.4), (4, 17.8), (8, 30.8))},
}
LOOP = "GPVAE, a loop over dimensions"
SIZES = {"steps": (1, 2, 4, 8), "components": (2, 3, 4, 5)}


class LoopedTriangles(nn.Module):
    """D factors, each a full matrix of its own, and one product for each: the paper's implementation."""

    def __init__(self, latent_dim: int, features: int) -> None:
        super().__init__()
        self.raw = nn.ParameterList(torch.full((features, features), -6.0).tril() for _ in range(latent_dim))

    def factors(self) -> Iterator[Tensor]:
        for raw in self.raw:
            yield raw.tril(-1) + torch.diag_embed(raw.diagonal().exp())

    def forward(self, psi: Tensor) -> tuple[Tensor, Tensor]:
        squares, kl = [], 0.0
        for raw, factor in zip(self.raw, self.factors(), strict=True):
            squares.append((psi @ factor).square().sum(-1))
            kl = kl + 0.5 * (factor.square().sum() - len(factor)) - raw.diagonal().sum()
        return torch.stack(squares, -1), kl


def looped(vae: VAE) -> VAE:
    """A GPVAE with the paper's loop in place of the block products."""
    encoder = vae.encoder
    encoder.f, encoder.h = (LoopedTriangles(*encoder.mu.shape) for _ in range(2))
    encoder.at_once = lambda x: marginal(encoder.moments(x))  # the fast way needs all factors as one
    return vae


def sized(recipe: str) -> list[dict]:
    """The options at which the papers time a recipe."""
    names = {option.name for option in RECIPES[recipe].options}
    return [{name: value} for name, values in SIZES.items() if name in names for value in values] or [{}]


def contestants(data_shape: tuple[int, int, int]) -> dict[str, VAE]:
    """Every system of the papers' tables, by its label, with the networks that suit the images' shape."""
    found = {}
    for name in ("vae", "gpvae", "rme", "me", "iaf", "hf", "sa", "laplace-vae"):
        for size in sized(name):
            vae = build(name, data_shape, LATENT, **size)
            found[label(vae.config)] = vae.eval()
    return found


def clock(work: Callable[[Tensor], object], batches: list[Tensor], device: torch.device) -> list[float]:
    """Milliseconds for each batch, after one that does not count."""
    wait = partial(torch.cuda.synchronize, device) if device.type == "cuda" else int
    work(batches[0])
    taken = []
    for x in batches:
        wait()
        start = time.perf_counter()
        work(x)
        wait()
        taken.append(1e3 * (time.perf_counter() - start))
    return taken


def bench_inference(
    images: Tensor,
    device: torch.device,
    repeats: int = 5,
    on_event: Callable[[dict], None] | None = None,
) -> dict:
    """Times of all systems on `images` [N, C, H, W], interleaved repeat by repeat, as a JSON-ready dict.

    Each repeat goes once through all batches of 128. The mean is the papers' measure; the ratios are of medians, which
    the interruptions of a shared machine do not move.
    """
    shape = tuple(images.shape[1:])
    systems = {name: vae.to(device) for name, vae in contestants(shape).items()}
    batches = [x.to(device) for x in images.split(BATCH)]
    loop = looped(build("gpvae", shape, LATENT)).to(device).eval()
    vae, gp, rme = systems["VAE"], systems["GPVAE"].encoder, systems["RME(5)"].encoder
    many = images[:RANKED].to(device)
    psi = gp.features(many)[1:].detach()
    work = {name: vae.posterior for name, vae in systems.items()}
    work |= {
        LOOP: loop.posterior,
        "five encoders, one by one": lambda x: [rme.component(x, m) for m in range(5)],
    }
    training = {name: trainer(systems[name]) for name in ("VAE", "GPVAE")}
    training[LOOP] = trainer(loop)
    # The paper's Adam stepped one parameter after another: the fused one came later.
    training[f"{LOOP}, plain Adam"] = trainer(loop, fused=False)
    names = (*work, *(f"train {name}" for name in training), "encoding many", "ranking many")
    times: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(repeats):
        with torch.no_grad():
            for name, posterior in work.items():
                times[name] += clock(posterior, batches, device)
            times["encoding many"] += clock(vae.encoder, [many] * 3, device)
            times["ranking many"] += clock(lambda x: gp.traces(psi), [many] * 3, device)  # noqa: ARG005
        for name, step in training.items():
            times[f"train {name}"] += clock(step, batches[:20], device)
        if on_event:
            on_event({"event": "step", "step": repeat + 1, "steps": repeats})
    typical = {name: median(taken) for name, taken in times.items()}
    rows = [row(name, fmean(times[name]), typical[name], typical["VAE"]) for name in work]
    return {"posterior": rows, "ratios": ratios(typical)}


def trainer(vae: VAE, fused: bool = True) -> Callable[[Tensor], None]:
    """One step of training by the recipe's own objective: all of it, Adam included."""
    recipe = RECIPES[vae.config["recipe"]]
    (phase,) = recipe.stages(vae)[0].phases
    adam = torch.optim.Adam(vae.parameters(), lr=1e-6, fused=fused)

    def step(x: Tensor) -> None:
        adam.zero_grad()
        (-phase.objective(vae, Batch(x))).backward()
        adam.step()

    return step


def row(name: str, mean: float, typical: float, vae: float) -> dict:
    found = {"system": name, "mean ms": mean, "median ms": typical, "ratio to VAE": typical / vae}
    for table, paper in PAPER.items():
        if name in paper:
            found |= {"paper's ms": paper[name], "paper's ratio": paper[name] / PAPER[CONV]["VAE"], "table": table}
    return found


def ratios(ms: dict[str, float]) -> dict[str, float]:
    return {
        "GPVAE's posterior to VAE's": ms["GPVAE"] / ms["VAE"],
        "the loop's posterior to GPVAE's": ms[LOOP] / ms["GPVAE"],
        "the loop's training step to GPVAE's": ms[f"train {LOOP}"] / ms["train GPVAE"],
        "the loop's training step with plain Adam to GPVAE's": ms[f"train {LOOP}, plain Adam"] / ms["train GPVAE"],
        "GPVAE's training step to VAE's": ms["train GPVAE"] / ms["train VAE"],
        "ranking by uncertainty, on top, to VAE's encoder": ms["ranking many"] / ms["encoding many"],
        "RME(5) to five encoders, one by one": ms["RME(5)"] / ms["five encoders, one by one"],
        "RME(5) to VAE": ms["RME(5)"] / ms["VAE"],
    }
