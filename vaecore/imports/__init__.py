"""VAEs that others bring: everything is untrusted, and checked in memory before anything is written.

    from_zip       a checkpoint folder as a zip: ours, an ONNX pair's, or pythae's
    from_files     model.safetensors and config.json
    from_onnx      encoder.onnx and decoder.onnx, with what the files do not say

Each gives the new checkpoint's folder, or raises BadFile, a ValueError, with a sentence that says what is wrong, and
leaves nothing on the disk. Memory is bounded: what comes packed has at most LARGEST_UPLOAD bytes, what it holds at most
LARGEST_UNPACKED, and an import holds at most MOST_COPIES times that.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "LARGEST_UPLOAD": "archive",
    "LARGEST_UNPACKED": "archive",
    "MOST_COPIES": "archive",
    "from_zip": "bring",
    "from_files": "bring",
    "from_onnx": "graphs",
    "onnx_sizes": "graphs",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Loaded when first used: the process that runs a stranger's graph must not wait for torch."""
    if name in _HOME:
        return getattr(import_module(f"vaecore.imports.{_HOME[name]}"), name)
    raise AttributeError(f"module 'vaecore.imports' has no attribute {name!r}")
