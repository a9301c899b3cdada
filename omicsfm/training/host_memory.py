"""Memory that a training step frees is kept for the next one."""

import contextlib
import ctypes
import gc
from collections.abc import Iterator

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt, as malloc.h numbers them."""
GIB, MIB = 1 << 30, 1 << 20
STOCK = 128 << 10
"""glibc's own thresholds, so that what is large is given back once it is freed."""


@contextlib.contextmanager
def kept_between_steps() -> Iterator[None]:
    """Within, freed memory stays with the process; outside of glibc nothing happens.

    glibc gives the large tensors of a step back to the system, which hands the pages out again one by one and zeroed:
    5 to 10 % of a step of 100 ms.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        yield
        return
    library.mallopt(MMAP_THRESHOLD, 32 * MIB)  # what every glibc takes; newer ones take more
    library.mallopt(MMAP_THRESHOLD, GIB)
    library.mallopt(TRIM_THRESHOLD, 2 * GIB - 1)
    try:
        yield
    finally:
        library.mallopt(MMAP_THRESHOLD, STOCK)
        library.mallopt(TRIM_THRESHOLD, STOCK)
        gc.collect()  # a trainer is a cycle, and holds what it trained
        library.malloc_trim(0)
