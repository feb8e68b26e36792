"""The process that runs a stranger's two graphs: it has little memory, writes no file, and its death harms nobody.

It reads from stdin and writes to stdout, numbers in network order:

    at first   two graphs, each its length (8 bytes) and its bytes; the answer is b"k", or b"e" and a sentence
    then       which of the two (1 byte), the input's number of dimensions (1), each (4), float32s
    answers    b"k", the number of outputs (1), each like an input; or b"e" and a sentence (4 bytes of length)

Started as `python -m vaecore.onnx.worker MEGABYTES`, it ends when stdin does, in the midst of a computation too.
"""

import os
import resource
import select
import struct
import sys
import threading
from typing import BinaryIO

import numpy as np

LARGEST = 1 << 28  # bytes of one array
NICE = 5  # the pages of those who brought no pair come first


def bounded(megabytes: int) -> None:
    """No more memory than that, no file written, no core dumped."""
    for what, most in (
        (resource.RLIMIT_AS, megabytes << 20),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard < 0 else min(most, hard),) * 2)


def end_with(pipe: int) -> None:
    """End as soon as nobody holds the other end: an owner that was killed closes it, and asks for nothing more."""
    watched = select.poll()
    watched.register(pipe, 0)  # that it was hung up is told without being asked for
    watched.poll()
    os._exit(0)


def exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise SystemExit(0)
    return content


def read_array(stream: BinaryIO) -> np.ndarray:
    (ndim,) = exactly(stream, 1)
    shape = struct.unpack(f"!{ndim}I", exactly(stream, 4 * ndim))
    return np.frombuffer(exactly(stream, 4 * int(np.prod(shape))), "<f4").reshape(shape)


def packed(array: np.ndarray) -> bytes:
    array = np.ascontiguousarray(array, "<f4")
    if array.nbytes > LARGEST or array.ndim > 8:
        raise ValueError("its output is larger than any image")
    return struct.pack(f"!B{array.ndim}I", array.ndim, *array.shape) + array.tobytes()


def sessions(stream: BinaryIO) -> list:
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    graphs = [exactly(stream, *struct.unpack("!Q", exactly(stream, 8))) for _ in range(2)]
    return [onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"]) for graph in graphs]


def run(session: object, x: np.ndarray) -> bytes:
    (port,) = [given for given in session.get_inputs()]
    found = session.run(None, {port.name: x})
    return struct.pack("!B", len(found)) + b"".join(map(packed, found))


def answer(out: BinaryIO, content: bytes | Exception) -> None:
    if isinstance(content, Exception):
        said = (str(content) or type(content).__name__).encode(errors="replace")[:300]
        out.write(b"e" + struct.pack("!I", len(said)) + said)
    else:
        out.write(b"k" + content)
    out.flush()


def main() -> None:
    bounded(int(sys.argv[1]))
    os.nice(NICE)
    threading.Thread(target=end_with, args=(sys.stdin.fileno(),), daemon=True).start()
    stream, out = sys.stdin.buffer, sys.stdout.buffer
    # The runtime raises kinds of its own, and a graph can bring any of them about.
    try:
        pair = sessions(stream)
    except Exception as error:  # noqa: BLE001
        answer(out, error)
        return
    answer(out, b"")
    while which := stream.read(1):
        x = read_array(stream)
        try:
            answer(out, run(pair[which[0]], x))
        except Exception as error:  # noqa: BLE001
            answer(out, error)


if __name__ == "__main__":
    main()
