"""The loop that every contestant is measured by: warm up, then count rows against the CPU time of the whole process."""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Batch = tuple[int, Any]
"""Rows in it, and its values, which are summed: a batch that nobody looked at does not count."""


def measure(task: dict[str, Any], epochs: Callable[[int], Iterable[Batch]]) -> dict[str, float]:
    """Rows per second and per CPU-second, CPU seconds to the first batch, and the peak of private memory.

    ``epochs`` gives the batches of an epoch by its number. CPU time is of all threads.
    """
    started = time.process_time()
    batches = _endless(epochs)
    rows, values = next(batches)
    _look_at(values)
    first = time.process_time() - started
    while time.process_time() - started < task["warm_up"] + first:
        _look_at(next(batches)[1])
    cpu, wall, count, peak = time.process_time(), time.perf_counter(), 0, private_memory()
    while time.process_time() - cpu < task["seconds"]:
        rows, values = next(batches)
        _look_at(values)
        count += rows
        if count // 20_000 != (count - rows) // 20_000:
            peak = max(peak, private_memory())
    spent, waited = time.process_time() - cpu, time.perf_counter() - wall
    return {
        "rows_per_cpu_second": count / spent,
        "rows_per_second": count / waited,
        "first_batch_cpu_seconds": first,
        "private_mb": max(peak, private_memory()) / 2**20,
        "peak_resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
    }


def private_memory() -> int:
    """Anonymous memory of this process in bytes: without the pages of mapped files, which the system may drop."""
    with open("/proc/self/status") as status:  # noqa: PTH123  a peer's Python may be any
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def run(contestant: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Measure what the first argument, a JSON object, asks for, and print the figures as one line of JSON."""
    print(json.dumps(contestant(json.loads(sys.argv[1]))))


def _endless(epochs: Callable[[int], Iterable[Batch]]) -> Iterator[Batch]:
    number = 0
    while True:
        yield from epochs(number)
        number += 1


def _look_at(values: Any) -> None:
    float(values.sum())
