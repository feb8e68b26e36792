"""The way with the least change of the decoded image."""

from collections.abc import Callable

import torch
from torch import Tensor

from vaecore.paths.passes import sines
from vaecore.paths.ways import STEPS, ends_of, energy, exact_ends, linear


@torch.no_grad()
def smoothest(decode: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, steps: int = STEPS) -> Tensor:
    """The path with the least sum_t |g(z_t+1) - g(z_t)|², as far as it was found: [steps, D].

    A geodesic of the decoder's surface in steps of equal change. L-BFGS from the straight line, never worse than it.

    Args:
        decode: g, the decoder's mean: z [T, D] to images [T, ...], such as `lambda z: vae.likelihood(z).mean`.
    """
    start, end = ends_of(start, end, steps)
    straight = linear(start, end, steps)
    if steps < 3 or torch.equal(start, end):
        return straight
    # The k-th sine is stretched k times, so that the energy is about as steep in each.
    waves = sines(steps, steps - 2).to(straight)
    span, before = (end - start).norm(), energy(decode(straight)).clamp_min(1e-30)
    share = torch.zeros(steps - 2, len(start)).to(straight).requires_grad_()
    best = [before, straight]
    search = torch.optim.LBFGS([share], max_iter=40, max_eval=60, history_size=20, line_search_fn="strong_wolfe")

    def changed() -> Tensor:
        with torch.enable_grad():
            path = straight + span * waves @ share
            found = energy(decode(path))
            (share.grad,) = torch.autograd.grad(found / before, share)
        if found < best[0]:
            best[:] = found.detach(), path.detach()
        return found.detach() / before

    search.step(changed)
    return exact_ends(best[1], start, end)
