"""A pair of ONNX graphs, run in a process of its own that is started when it is first needed."""

import importlib.util
import os
import select
import struct
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np

from vaecore.safefiles import BadFile

MEGABYTES = 2048  # of address space that the process may have
PATIENCE = 60.0  # seconds for its start, and for each portion of rows
LARGEST = 1 << 28  # bytes of one answer


class Runner:
    """Runs graph `which` (0, the encoder; 1, the decoder) of a pair; BadFile where it fails, stalls, or dies."""

    def __init__(self, encoder: bytes, decoder: bytes, patience: float = PATIENCE) -> None:
        self.graphs, self.patience = (encoder, decoder), patience
        self.lock, self.child = threading.Lock(), None

    def __deepcopy__(self, memo: dict) -> "Runner":
        return Runner(*self.graphs, self.patience)

    def __reduce__(self) -> tuple[type, tuple]:
        return Runner, (*self.graphs, self.patience)

    def __call__(self, which: int, x: np.ndarray) -> list[np.ndarray]:
        """All outputs for the float32 input `x`."""
        request = struct.pack(f"!BB{x.ndim}I", which, x.ndim, *x.shape) + np.ascontiguousarray(x, "<f4").tobytes()
        with self.lock:
            try:
                if self.child is None or self.child.poll() is not None:
                    self.start()
                return self.ask(request)
            except BadFile:
                raise
            except (OSError, EOFError, ValueError, struct.error) as error:
                self.close()
                raise BadFile(f"The ONNX pair could not be run: {error}.") from None

    def start(self) -> None:
        if importlib.util.find_spec("onnxruntime") is None:
            raise BadFile("ONNX files are run by onnxruntime, which is not installed here: pip install onnxruntime.")
        command = [sys.executable, "-m", "vaecore.onnx.worker", str(MEGABYTES)]
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).resolve().parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        os.set_blocking(self.child.stdin.fileno(), False)
        weakref.finalize(self, end, self.child)
        threading.Thread(target=self.child.wait, daemon=True, name="bury").start()  # one that was killed is no zombie
        for graph in self.graphs:
            self.send(struct.pack("!Q", len(graph)) + graph)
        self.status()

    def ask(self, request: bytes) -> list[np.ndarray]:
        self.send(request)
        self.status()
        return [self.array() for _ in range(self.read(1)[0])]

    def send(self, content: bytes) -> None:
        """As much at once as the pipe takes: a process that stopped reading must not stop us."""
        pipe, view = self.child.stdin.fileno(), memoryview(content)
        self.deadline = time.monotonic() + self.patience
        while view:
            if not select.select([], [pipe], [], max(0, self.deadline - time.monotonic()))[1]:
                raise EOFError(f"it took no input for {self.patience:g} s")
            view = view[os.write(pipe, view[: 1 << 20]) :]

    def read(self, size: int) -> bytes:
        pipe, parts = self.child.stdout.fileno(), []
        while size:
            if not select.select([pipe], [], [], max(0, self.deadline - time.monotonic()))[0]:
                raise EOFError(f"it took longer than {self.patience:g} s")
            part = os.read(pipe, min(size, 1 << 20))
            if not part:
                raise EOFError(f"its process ended, perhaps for want of memory (it may have {MEGABYTES:,} MB)")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def status(self) -> None:
        if self.read(1) != b"k":
            (length,) = struct.unpack("!I", self.read(4))
            raise BadFile(f"The ONNX runtime says: {self.read(min(length, 300)).decode(errors='replace')}")

    def array(self) -> np.ndarray:
        (ndim,) = self.read(1)
        shape = struct.unpack(f"!{ndim}I", self.read(4 * ndim))
        size = 4
        for side in shape:
            size *= side
        if size > LARGEST:
            raise ValueError("its output is larger than any image")
        return np.frombuffer(self.read(size), "<f4").reshape(shape)

    def close(self) -> None:
        if self.child is not None:
            end(self.child)
        self.child = None


def end(child: subprocess.Popen) -> None:
    """Nothing of its work is to be kept."""
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        pipe.close()
