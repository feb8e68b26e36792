"""A pair of ONNX graphs, run in a process of its own that is started when it is first needed.

A stranger's graph may take for ever: every request has seconds that all of its calls share (`request`), over which, or
when nobody waits for it any more, the process is killed. Pairs wait for their own process and for one of few seats.
"""

import importlib.util
import os
import select
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vaecore.onnx.request import Request
from vaecore.safefiles import BadFile

MEGABYTES = 2048  # of address space that the process may have
PATIENCE = 60.0  # seconds for each call, its start among them, where nobody says how long a request may take
LARGEST = 1 << 28  # bytes of one answer

# How many pairs of this process work at once: more would only share the same cores, and each has its memory.
seats = threading.BoundedSemaphore(2)


class Runner:
    """Runs graph `which` (0, the encoder; 1, the decoder) of a pair; BadFile where it fails, stalls, or dies.

    `request` gives what the call that is made may cost: by itself, each call `patience` seconds.
    """

    def __init__(self, encoder: bytes, decoder: bytes, patience: float = PATIENCE) -> None:
        self.graphs, self.patience = (encoder, decoder), patience
        self.lock, self.child = threading.Lock(), None
        self.request: Callable[[], Request] = lambda: Request(patience)

    def __deepcopy__(self, memo: dict) -> "Runner":
        return Runner(*self.graphs, self.patience)

    def __reduce__(self) -> tuple[type, tuple]:
        return Runner, (*self.graphs, self.patience)

    def __call__(self, which: int, x: np.ndarray) -> list[np.ndarray]:
        """All outputs for the float32 input `x`."""
        request = struct.pack(f"!BB{x.ndim}I", which, x.ndim, *x.shape) + np.ascontiguousarray(x, "<f4").tobytes()
        asked = self.request()
        with asked.aside(), asked, self.turn(asked):
            try:
                if self.child is None or self.child.poll() is not None:
                    self.start(asked)
                return self.ask(request, asked)
            except BadFile:
                raise
            except TimeoutError:
                self.close()
                raise BadFile(f"The ONNX pair took longer than {asked.seconds:g} s, and was ended.") from None
            except (OSError, EOFError, ValueError, struct.error) as error:
                self.close()
                raise BadFile(f"The ONNX pair could not be run: {error}.") from None
            except BaseException:  # nobody waits any more: what it computes is no answer to the next request
                self.close()
                raise

    @contextmanager
    def turn(self, asked: Request) -> Iterator[None]:
        """This pair's process and a seat; BadFile where the request's time passes before both are free."""
        held = []
        try:
            for lock in (self.lock, seats):
                asked.wait(lambda seconds, lock=lock: lock.acquire(timeout=seconds))
                held.append(lock)
            yield
        except TimeoutError:
            raise BadFile(f"Other requests kept the ONNX pair waiting for {asked.seconds:g} s: try again.") from None
        finally:
            for lock in reversed(held):
                lock.release()

    def start(self, asked: Request) -> None:
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
            self.send(struct.pack("!Q", len(graph)) + graph, asked)
        self.status(asked)

    def ask(self, request: bytes, asked: Request) -> list[np.ndarray]:
        self.send(request, asked)
        self.status(asked)
        return [self.array(asked) for _ in range(self.read(1, asked)[0])]

    def send(self, content: bytes, asked: Request) -> None:
        """As much at once as the pipe takes: a process that stopped reading must not stop us."""
        pipe, view = self.child.stdin.fileno(), memoryview(content)
        while view:
            asked.wait(lambda seconds: select.select([], [pipe], [], seconds)[1])
            view = view[os.write(pipe, view[: 1 << 20]) :]

    def read(self, size: int, asked: Request) -> bytes:
        pipe, parts = self.child.stdout.fileno(), []
        while size:
            asked.wait(lambda seconds: select.select([pipe], [], [], seconds)[0])
            part = os.read(pipe, min(size, 1 << 20))
            if not part:
                raise EOFError(f"its process ended, perhaps for want of memory (it may have {MEGABYTES:,} MB)")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def status(self, asked: Request) -> None:
        if self.read(1, asked) != b"k":
            (length,) = struct.unpack("!I", self.read(4, asked))
            said = self.read(min(length, 300), asked).decode(errors="replace")
            raise BadFile(f"The ONNX runtime says: {said}")

    def array(self, asked: Request) -> np.ndarray:
        (ndim,) = self.read(1, asked)
        shape = struct.unpack(f"!{ndim}I", self.read(4 * ndim, asked))
        size = 4
        for side in shape:
            size *= side
        if size > LARGEST:
            raise ValueError("its output is larger than any image")
        return np.frombuffer(self.read(size, asked), "<f4").reshape(shape)

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
