"""What the latent pad needs of a checkpoint, and of an image, as a browser reads it. Beside session.py."""

import math
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app import figures, pad_decoder, session
from app.session import Checkpoint, Look, Pick

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributions import Distribution

SIDE = 201  # nodes a side of the table of a learned log p(z)
LONELY = 0.01  # the share of codes whose neighbours are so far away that the picture fades beyond
JUDGES = 1000  # codes by which that is measured
Place = tuple[float, float]
Entries = list[tuple[Checkpoint, Look]]


@st.cache_resource(max_entries=16, show_spinner=False)
def decoder(digest: str, _checkpoint: Checkpoint) -> tuple[dict | None, str]:
    """The decoder as decoder.js runs it, or None and why it stays on the server."""
    vae = session.model(digest, _checkpoint.folder)
    try:
        return pad_decoder.description(vae, _checkpoint.latent, _checkpoint.shape), ""
    except pad_decoder.Unfit as why:
        return None, str(why)


@st.cache_resource(max_entries=16, show_spinner=False)
def plane(digest: str, _checkpoint: Checkpoint) -> dict:
    """log p(z), and the codes whose mean density is log q(z), with what is low and what is usual among them."""
    import torch

    vae, codes = session.model(digest, _checkpoint.folder), session.prepared(_checkpoint)
    spread = None if codes.from_prior else widths(_checkpoint, len(codes.loc))
    with session.evaluating():
        prior = vae.prior()
        found = described(prior) or table(prior, torch.from_numpy(codes.loc))
        if spread is None or len(codes.loc) < 2:
            return {"prior": found, "aggregate": None}
        low, usual = nearness(torch.from_numpy(codes.loc), spread)
    packed = {"loc": figures.packed(codes.loc, "f4"), "scale": figures.packed(spread.numpy(), "f4")}
    return {"prior": found, "aggregate": {**packed, "low": low, "usual": usual}}


def widths(checkpoint: Checkpoint, count: int) -> "Tensor | None":
    """The standard deviations of q(z|x) of the test images, [N, 2]: those stored, else the encoder's own."""
    stored = session.analysis(checkpoint.digest, checkpoint.folder).get("test.scale")
    if stored is not None and tuple(stored.shape) == (count, 2) and bool((stored > 0).all()):
        return stored
    found, _ = session.images(checkpoint)
    return session.encoded(checkpoint.digest, checkpoint)[1] if found is not None and len(found) == count else None


def nearness(loc: "Tensor", scale: "Tensor") -> tuple[float, float]:
    """The lowest 1 % and the median of log q(z) at codes of the data, each left out of its own q(z): nats.

    With itself in the sum, no code would ever be far from the data, however narrow its posterior.
    """
    import torch

    from vaecore.aggregate import log_densities

    rows = torch.randperm(len(loc), generator=torch.Generator().manual_seed(0))[:JUDGES]
    found = []
    for part in rows.split(100):
        pairs = log_densities(loc[part], loc, scale)
        pairs[torch.arange(len(part)), part] = -torch.inf
        found.append(pairs.logsumexp(1) - math.log(len(loc) - 1))
    low, usual = torch.cat(found).quantile(torch.tensor([LONELY, 0.5], dtype=torch.float64)).tolist()
    return low, usual


def described(density: "Distribution") -> dict | None:
    """A density over the plane, batch_shape [] or [1], in numbers that give it anywhere; None where none do."""
    from torch.distributions import MixtureSameFamily, MultivariateNormal

    from vaecore.distributions import is_diagonal

    if is_diagonal(density):
        loc, scale = density.mean.reshape(2).tolist(), density.stddev.reshape(2).tolist()
        return {"kind": "gaussian", "loc": loc, "scale": scale}
    if isinstance(density, MixtureSameFamily) and is_diagonal(density.component_distribution):
        parts, weights = density.component_distribution, density.mixture_distribution.logits.log_softmax(-1)
        places = {"loc": parts.mean.reshape(-1, 2).tolist(), "scale": parts.stddev.reshape(-1, 2).tolist()}
        return {"kind": "mixture", "log_weights": weights.reshape(-1).tolist(), **places}
    if isinstance(density, MultivariateNormal):
        loc, precision = density.mean, density.precision_matrix.reshape(2, 2)
        peak = float(density.log_prob(loc).reshape(()))
        return {"kind": "full", "loc": loc.reshape(2).tolist(), "precision": precision.tolist(), "peak": peak}
    return None


def table(prior: "Distribution", loc: "Tensor") -> dict:
    """log p(z) on an even grid over the codes and N(0, I) to 4 standard deviations."""
    import torch

    low, high = loc.amin(0).clamp(max=-4), loc.amax(0).clamp(min=4)
    axes = [torch.linspace(a, b, SIDE) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    values = torch.cat([prior.log_prob(z) for z in torch.cartesian_prod(*axes).split(4096)])
    return tabled([axis.numpy() for axis in axes], values.numpy())


def tabled(axes: "list[np.ndarray] | tuple[np.ndarray, np.ndarray]", values: np.ndarray) -> dict:
    """A log density at the nodes of a grid, whose axes need not be even."""
    kept = np.nan_to_num(values, nan=-1e30, neginf=-1e30)
    return {
        "kind": "table",
        "axes": [figures.packed(axis, "f4") for axis in axes],
        "values": figures.packed(kept, "f4"),
    }


@st.cache_resource(max_entries=256, show_spinner=False)
def posterior(digest: str, pick: Pick, host: str, _checkpoint: Checkpoint, _look: Look) -> dict:  # noqa: ARG001
    """q(z|x) of the `host`'s image: in closed form where it has one, else the table that its outline is drawn from."""
    import torch

    with session.evaluating():
        q = described(session.model(digest, _checkpoint.folder).posterior(torch.from_numpy(_look.original)[None]))
    return q or tabled(_look.q.axes, _look.q.log_density)


def view(entries: Entries, names: dict[str, str] | None) -> dict:
    """What a pad shows of the first entry's image wherever it stands, with the q of all that share its decoder.

    `names`, the systems' by the checkpoints', is given where others are compared with the first; see `panels.picture`.
    """
    (host, look), styles = entries[0], [(figures.ORANGE, "solid")]
    if names:
        styles = figures.styles([entry.recipe for entry, _ in entries])
    densities = [posterior(entry.digest, look.pick, host.digest, entry, found) for entry, found in entries]
    labels = [names[entry.name] for entry, _ in entries] if names and entries[1:] else [""]
    return {
        "image": {"x": figures.packed(look.original, "f4"), "q": densities, "log_evidence": look.log_evidence},
        "rest": [float(v) for v in look.q.peak],
        "shape": list(host.shape),
        "colours": [figures.GREY, figures.BLUE],
        "systems": [[name, colour, figures.border(dash)] for name, (colour, dash) in zip(labels, styles, strict=True)],
    }


@st.cache_resource(max_entries=256, show_spinner=False)
def decoded(digest: str, z: Place, pick: Pick, _checkpoint: Checkpoint) -> dict:
    """The mean of p(x|z) and log p(x|z), where the browser cannot find them itself."""
    import torch

    vae, x, at = session.model(digest, _checkpoint.folder), session.image(_checkpoint, pick), torch.tensor([z])
    with session.evaluating():
        p = vae.likelihood(at)
        return {"z": list(z), "mean": figures.packed(p.mean[0].numpy(), "f4"), "likelihood": float(p.log_prob(x)[0])}
