"""What the training visits say of which features go together: standardised values and their leading factors."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from omicsfm.data.collate import BatchReader

MOST_ROWS = 4096
"""Visits that factors are estimated from at most; more are sampled."""
FURTHEST = 5.0  # spreads from the centre at which a value is cut off

Values = Float[np.ndarray, "rows features"]


@dataclass(frozen=True)
class Standardised:
    """Values around 0 in units of their spread, cut off at ``FURTHEST``; one that is missing is 0."""

    center: Float[np.ndarray, " features"]
    spread: Float[np.ndarray, " features"]
    values: Values


def standardised(values: Values) -> Standardised:
    """Each feature by its own mean and standard deviation; NaN where not measured."""
    measured = ~np.isnan(values)
    counts = np.maximum(measured.sum(axis=0), 1)
    center = np.where(measured, values, 0.0).sum(axis=0, dtype=np.float64) / counts
    spread = np.sqrt((np.where(measured, values - center, 0.0) ** 2).sum(axis=0) / counts)
    spread = np.where(spread > 1e-6, spread, 1.0)
    known = np.where(measured, np.clip((values - center) / spread, -FURTHEST, FURTHEST), 0.0)
    return Standardised(center, spread, known)


def leading_factors(
    matrix: Values, *, rank: int, seed: int
) -> tuple[Float[np.ndarray, "features kept"], Float[np.ndarray, " kept"]]:
    """Right singular vectors and singular values, the largest first; fewer than ``rank`` where the matrix has fewer."""
    kept = min(rank, *matrix.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of the random sketch (Halko, Martinsson and Tropp 2011)
        _, singular, right = torch.svd_lowrank(
            torch.from_numpy(matrix.astype(np.float32)), q=min(kept + 16, *matrix.shape), niter=4
        )
    return right[:, :kept].double().numpy(), singular[:kept].double().numpy()


def all_values(reader: BatchReader, rows: Int[np.ndarray, " rows"]) -> Values:
    """Every modality's values side by side in the reader's order, in model scale, NaN where not measured."""
    return np.concatenate([reader.values(name, rows)[0] for name in reader.features], axis=1)


def sampled(rows: Int[np.ndarray, " rows"], *, seed: int) -> Int[np.ndarray, " sampled"]:
    """``rows``, or ``MOST_ROWS`` of them where there are more."""
    if len(rows) <= MOST_ROWS:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))
