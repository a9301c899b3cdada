"""omicsfm's loaders: rows of a store, or of an .h5ad as it lies."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants.measure import measure, run
from omicsfm.data.row_loader import make_row_loader


def contestant(task: dict[str, Any]) -> dict[str, Any]:
    loader = make_row_loader(_matrix(task), batch_size=task["batch"], seed=0)
    if task.get("check"):
        return _check(task, loader)

    largest = 0

    def epoch(number: int):  # type: ignore[no-untyped-def]
        nonlocal largest
        loader.sampler.set_epoch(number)
        for batch in loader:
            largest = max(largest, sum(tensor.nbytes for tensor in vars(batch).values()))
            yield len(batch.row), batch.values

    figures = measure(task, epoch)
    return {**figures, "read_ahead_mb": largest * (loader.ahead + 2) / 2**20}  # one more is read, one in use


def _matrix(task: dict[str, Any]) -> Any:
    if task["source"] == "h5ad":
        from omicsfm.data.h5ad_matrix import H5adMatrix

        return H5adMatrix(task["h5ad"])
    from omicsfm.data.stored_matrix import open_matrix

    return open_matrix(Path(task["store"]), task["modality"])


def _check(task: dict[str, Any], loader: Any) -> dict[str, Any]:
    """An epoch beside the source: every row once, its values equal, batches no nearer in the file than chance."""
    seen, equal, gaps = [], True, []
    sums = np.load(task["sums"])
    for batch in loader:
        rows, values = batch.row.numpy(), batch.values.numpy()
        if hasattr(batch, "offsets"):
            bounds = batch.offsets.numpy()
            weighted = values * (batch.feature_ids.numpy() + 1.0)
            found = np.add.reduceat(np.append(weighted, 0.0), bounds[:-1]) * (np.diff(bounds) > 0)
        else:
            found = (values * (np.arange(values.shape[1]) + 1.0)).sum(axis=1)
        equal &= bool(np.allclose(found, sums[rows], rtol=1e-9))
        seen.append(rows)
        gaps.append(np.abs(np.diff(rows)).mean())
    every = np.sort(np.concatenate(seen))
    return {
        "each_row_once": bool(len(every) == len(sums) and (every == np.arange(len(sums))).all()),
        "values_equal": equal,
        "mean_gap_over_chance": float(np.mean(gaps[:-1]) / (len(sums) / 3)),
    }


if __name__ == "__main__":
    run(contestant)
