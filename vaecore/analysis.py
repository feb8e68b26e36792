"""What every visitor of a checkpoint asks of its test images, computed once and kept with it."""

from collections.abc import Callable

import torch
from torch import Tensor

from vaecore import exact
from vaecore.analysed import ROWS
from vaecore.eval_mode import in_eval_mode
from vaecore.evaluation import encode
from vaecore.processes import GaussianProcessEncoder
from vaecore.vae import VAE

PORTION = 50  # images whose posteriors are integrated together
Found = dict[str, Tensor]


@in_eval_mode
@torch.no_grad()
def analyse(
    vae: VAE,
    images: Tensor,
    labels: Tensor | None = None,
    exact_images: int | None = None,
    *,
    known: Found | None = None,
    on_event: Callable[[dict], None] | None = None,
    keep: Callable[[Found], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Found:
    """Codes and measures of all images, and for D = 2 the exact posterior's numbers of the first `exact_images`.

    Args:
        known: an earlier result for the same weights and images, whose exact rows are not computed again.
        on_event: called with {"event": "step", "step": k, "steps": n} after each portion.
        keep: called now and then with what is found so far.
        stop: asked after each portion; once it is true, what is found so far is returned.

    Returns:
        test.loc, test.scale [N, D], test.labels [N], test.reconstruction_error [N] (summed squares at the mean of q),
        test.encoder_variance [N] (summed over D; of GPVAE's base encoder); for GPVAE test.uncertainty_f and
        .uncertainty_h (traces of V[f] and V[h]) and .feature_norm (of psi^m), all [N]; exact.log_evidence,
        .approximation, .amortization, .error, .gap_error, .non_gaussianity (nats), .modes, .valleys [N],
        .best_loc, .best_scale [N, 2] and .frame [N, 4], the bulk's box.
    """
    found = measures(vae, images)
    if labels is not None:
        found["test.labels"] = labels.to(torch.uint8)
    if vae.prior().event_shape != (2,):
        return found
    overview, rows = exact.Overview(vae, found["test.loc"]), exact_rows(known or {})
    batches, done = images[:exact_images].split(PORTION), len(next(iter(rows.values()), ())) // PORTION
    rows = {name: row[: done * PORTION] for name, row in rows.items()}
    for step, x in enumerate(batches[done:], done + 1):
        new = exact_row(exact.split_gap(vae, x, overview))
        rows = {name: torch.cat([rows[name], part.cpu()]) if rows else part.cpu() for name, part in new.items()}
        found |= {f"exact.{name}": row for name, row in rows.items()}
        if on_event:
            on_event({"event": "step", "step": step, "steps": len(batches)})
        if stop():
            break
        if keep and step % 10 == 0:
            keep(found)
    return found | {f"exact.{name}": row for name, row in rows.items()}


def measures(vae: VAE, images: Tensor, chunk: int = 1024) -> Found:
    """Codes of all images, and the plain measures that a GPVAE's uncertainty is compared with."""
    loc, scale = encode(vae, images)
    pairs = zip(images.split(chunk), loc.to(vae.device).split(chunk), strict=True)
    errors = [(x.to(vae.device) - vae.likelihood(z).mean).flatten(1).square().sum(1).cpu() for x, z in pairs]
    found = {"test.loc": loc, "test.scale": scale, "test.reconstruction_error": torch.cat(errors)}
    encoder = vae.encoder
    if not isinstance(encoder, GaussianProcessEncoder):
        return found | {"test.encoder_variance": scale.square().sum(1)}
    f, h = encoder.uncertainty(images, chunk)
    parts = [x.to(vae.device) for x in images.split(chunk)]
    return found | {
        "test.uncertainty_f": f,
        "test.uncertainty_h": h,
        "test.encoder_variance": torch.cat([encoder.base(x).variance.sum(1).cpu() for x in parts]),
        "test.feature_norm": torch.cat([encoder.features(x)[1].norm(dim=1).cpu() for x in parts]),
    }


def exact_rows(known: Found) -> Found:
    """The exact rows of an earlier result; none if it lacks some of today's."""
    rows = {name.removeprefix("exact."): row for name, row in known.items() if name.startswith("exact.")}
    return rows if rows.keys() == ROWS else {}


def exact_row(gap: exact.Gap) -> Found:
    row = {name: getattr(gap, name).float() for name in NUMBERS}
    frames = [gap.posterior.frame(b) for b in range(len(gap.total))]
    counts = {"modes": gap.modes, "valleys": gap.posterior.valleys()}
    row |= {name: count.to(torch.uint8) for name, count in counts.items()} | {"frame": torch.tensor(frames)}
    row["non_gaussianity"] = gap.posterior.non_gaussianity.float()
    return row | {"best_loc": gap.best.mean.float(), "best_scale": gap.best.stddev.float()}


NUMBERS = ("log_evidence", "approximation", "amortization", "error", "gap_error")
