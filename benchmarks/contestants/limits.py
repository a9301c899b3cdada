"""What the machine allows: a bare compiled copy of random rows out of the same memory map, and nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from benchmarks.contestants.measure import measure, run


@njit(nogil=True, cache=True)
def gather(indptr, indices, data, rows, ids, values):  # type: ignore[no-untyped-def]
    place = 0
    for row in rows:
        start, stop = indptr[row], indptr[row + 1]
        ids[place : place + stop - start] = indices[start:stop]
        values[place : place + stop - start] = data[start:stop]
        place += stop - start
    return place


def contestant(task: dict[str, Any]) -> dict[str, Any]:
    folder = Path(task["store"]) / "modalities" / task["modality"]

    def mapped(name: str) -> np.ndarray:
        return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r"))

    rows, size = len(np.load(folder / "rows.npy")), task["batch"]
    if task["modality"] == "proteome":
        whole = mapped("values")

        def epoch(number: int):  # type: ignore[no-untyped-def]
            order = np.random.default_rng(number).permutation(rows)
            return ((size, whole[order[start : start + size]]) for start in range(0, rows - size, size))

        return measure(task, epoch)
    indptr, indices, data = mapped("indptr"), mapped("indices"), mapped("data")
    room = size * int(np.diff(indptr).max())
    ids, values = np.empty(room, np.int32), np.empty(room, np.float32)

    def epoch(number: int):  # type: ignore[no-untyped-def]
        order = np.random.default_rng(number).permutation(rows)
        for start in range(0, rows - size, size):
            yield size, values[: gather(indptr, indices, data, order[start : start + size], ids, values)]

    return measure(task, epoch)


if __name__ == "__main__":
    run(contestant)
