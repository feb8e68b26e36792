"""The process that reads a stranger's model.pt, the one pickle that is read at all.

`python -m vaecore.imports.unpickle MEGABYTES` takes the file on stdin and gives its tensors as safetensors on stdout,
or one sentence on stderr. torch.load(weights_only=True) runs none of the file's code; that it should ever fail to, or
be made to fill the memory, ends here: no more memory than that beyond what torch itself takes, 60 s of work, no file
written.
"""

import io
import resource
import sys
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from vaecore.text import counted

SECONDS = 60
MOST_TENSORS, MOST_NUMBERS = 4096, 1 << 25


def bounded(megabytes: int) -> None:
    (pages,) = Path("/proc/self/statm").read_text().split()[:1] if Path("/proc/self/statm").exists() else ("0",)
    taken = int(pages) * resource.getpagesize()
    limits = {resource.RLIMIT_CPU: SECONDS, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}
    if taken:
        limits[resource.RLIMIT_AS] = taken + (megabytes << 20)
    for what, most in limits.items():
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard < 0 else min(most, hard),) * 2)


def weights(content: bytes) -> dict[str, Tensor]:
    """The plain tensors of a file written by torch.save({"model_state_dict": ...})."""
    try:
        held = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # A pickle can bring about errors of any kind, of which torch's own say how to read it unsafely.
    except Exception:  # noqa: BLE001
        raise ValueError("model.pt is damaged, or holds more than plain weights, which is not read.") from None
    state = held.get("model_state_dict") if isinstance(held, dict) else None
    if not isinstance(state, dict) or not 0 < len(state) <= MOST_TENSORS:
        raise ValueError("model.pt holds no weights under the name model_state_dict, as pythae writes them.")
    plain, count = {}, 0
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
            raise ValueError("model.pt holds more than plain weights, which is not read.")
        # A view can show few numbers many times over.
        count += tensor.numel()
        if count > MOST_NUMBERS or tensor.is_meta or tensor.is_quantized:
            most = counted(MOST_NUMBERS, "number")
            raise ValueError(f"model.pt has more than {most}, or numbers of an unusual kind.")
        plain[name] = tensor.detach().clone().contiguous()
    return plain


def main() -> None:
    torch.set_num_threads(1)
    bounded(int(sys.argv[1]))
    try:
        found = save(weights(sys.stdin.buffer.read()))
    except ValueError as error:
        sys.exit(str(error))
    except MemoryError:
        sys.exit("model.pt takes more memory than any VAE's weights.")
    sys.stdout.buffer.write(found)


if __name__ == "__main__":
    main()
