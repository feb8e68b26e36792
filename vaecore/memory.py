"""How this process holds its memory."""

import ctypes
from contextlib import suppress

LARGEST = 1 << 30  # bytes: blocks up to this size are kept, and as much at the end of the heap


def keep_freed_memory() -> None:
    """Let the C library keep large freed blocks for the next tensor, where it is glibc; elsewhere nothing happens.

    By default each activation of some megabytes is mapped anew and paid for page by page: a third of a decode's time.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        trim_threshold, mmap_threshold = -1, -3
        library.mallopt(trim_threshold, LARGEST)
        library.mallopt(mmap_threshold, LARGEST)
