"""One model on several processes, as torchrun starts them: each takes its share of a batch, and gradients are summed.

PyTorch's own engine, torch.distributed, without a wrapper around the model: after each phase's backward pass the
gradients of that phase's parameters are laid end to end, summed over all processes and put back, whatever the phase
trains. gloo on CPUs, nccl on GPUs. Without torchrun (no WORLD_SIZE) there is one process and nothing is sent.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as engine
from torch import Tensor, nn

APART = 7_919_000_003  # between the seeds of the processes' noise


@dataclass(frozen=True)
class Workers:
    """Which of how many processes this is."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """This process' part of the rows, which all of them know."""
        return rows[self.rank :: self.size]

    def scatter_noise(self, seed: int) -> None:
        """From here on every process draws its own random numbers; the first goes on with those that it has."""
        if self.rank:
            torch.manual_seed((seed + self.rank * APART) % 2**63)

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            engine.all_reduce(tensor)
        return tensor

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether it holds in any process: all of them learn it at the same step."""
        return flag if self.size == 1 else bool(self.sum(torch.tensor(float(flag), device=device)))

    def sum_gradients(self, parameters: list[nn.Parameter]) -> None:
        """All processes must have gradients of the same parameters."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.size == 1 or not gradients:
            return
        flat = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, summed in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))

    @torch.no_grad()
    def agree(self, tensors: Iterable[Tensor]) -> None:
        """Let all processes have the first one's values."""
        if self.size > 1:
            for tensor in tensors:
                values = tensor.detach().clone().contiguous()
                engine.broadcast(values, 0)
                tensor.copy_(values)


def current() -> Workers:
    """The processes that train together: this one alone unless `joined`."""
    return Workers(engine.get_rank(), engine.get_world_size()) if engine.is_initialized() else Workers()


def started_together() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Within it the processes that torchrun started train as one; gives the device of this one."""
    if started_together() == 1:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    store, rank, size = next(engine.rendezvous("env://"))
    engine.init_process_group("nccl" if device.type == "cuda" else "gloo", store=store, rank=rank, world_size=size)
    try:
        yield device
        # Nobody takes the group down while another still sends through it. After an error nobody would come.
        current().any(False, device)
    except BaseException:
        engine.destroy_process_group()
        raise
    engine.destroy_process_group()
    leave(store, rank, size)


def leave(store: engine.Store, rank: int, size: int) -> None:
    """Return when all have left the group: the first process keeps their store, and may end no sooner than they."""
    if store.add("left", 1) == size:
        store.set("all have left", "")
    store.wait(["all have left"])
    # Who is told so still reads the store; the first waits until the others have read it.
    if store.add("told", 1) == size:
        store.set("all are told", "")
    if rank == 0:
        store.wait(["all are told"])
