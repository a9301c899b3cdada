"""Ridge regression of many targets at once, some of their values missing, with one penalty for all.

The targets share the rotated features (``rotation.py``), so that thousands cost little more than one. The penalty has
the least squared error over participant-grouped inner folds, summed over targets (as ``penalised.py`` does for one).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from omicsfm.baselines.rotation import Rotation
from omicsfm.data.folds import make_split
from omicsfm.seeding import derive

PENALTIES_PER_FEATURE = tuple(10.0 ** np.linspace(-2, 3, 11))
INNER_FOLDS = 5


@dataclass(frozen=True)
class MultiRidge:
    """``predict`` of new rows, and what inner folds predicted of the training rows they had not seen."""

    mean: Float[np.ndarray, " features"]
    coefficients: Float[np.ndarray, "features targets"]
    intercept: Float[np.ndarray, " targets"]
    penalty: float
    held_out: Float[np.ndarray, "rows targets"]

    def predict(self, features: Float[np.ndarray, "new features"]) -> Float[np.ndarray, "new targets"]:
        """The targets of new rows."""
        return (features - self.mean) @ self.coefficients + self.intercept


def fit_multi_ridge(
    features: Float[np.ndarray, "rows features"],
    targets: Float[np.ndarray, "rows targets"],
    *,
    groups: Shaped[np.ndarray, " rows"],
    seed: int,
) -> MultiRidge:
    """Fit; a missing target counts as at its mean, which draws its coefficients to zero by the share that is missing.

    Features are on one scale already: they are centred, and not standardised each.
    """
    people = pd.DataFrame({"participant_id": groups})
    folds = min(INNER_FOLDS, people["participant_id"].nunique())
    split = make_split(people, repeats=1, folds=folds, seed=derive(seed, "inner folds"))
    rotation = Rotation(features, order=np.arange(len(features)), standardise=False)
    rotated = rotation.rotated
    grid = np.array(PENALTIES_PER_FEATURE) * max(rotated.var(axis=0).sum(), 1e-12)
    held_out = np.zeros((len(grid), *targets.shape))
    for fold in range(folds):
        train, test = split.masks(people, 0, fold)
        own = _Solver(rotated[train], targets[train])
        held_out[:, test] = [(rotated[test] - own.mean) @ own.coefficients(p) + own.intercept for p in grid]
    error = np.nansum((held_out - targets) ** 2, axis=(1, 2))
    best = int(np.flatnonzero(error == error.min())[-1])
    solved, penalty = _Solver(rotated, targets), float(grid[best])
    coefficients = rotation.back(solved.coefficients(penalty))
    return MultiRidge(rotation.mean, coefficients, solved.intercept, penalty, held_out[best])


class _Solver:
    """One decomposition of the training features serves all penalties."""

    def __init__(
        self, features: Float[np.ndarray, "rows features"], targets: Float[np.ndarray, "rows targets"]
    ) -> None:
        measured = ~np.isnan(targets)
        counts = np.maximum(measured.sum(axis=0), 1)
        self.intercept = np.where(measured, targets, 0.0).sum(axis=0) / counts
        self.mean = features.mean(axis=0)
        left, self._singular, self._right = np.linalg.svd(features - self.mean, full_matrices=False)
        self._loaded = left.T @ np.where(measured, targets - self.intercept, 0.0)

    def coefficients(self, penalty: float) -> Float[np.ndarray, "features targets"]:
        """The ridge solution."""
        return self._right.T @ ((self._singular / (self._singular**2 + penalty))[:, None] * self._loaded)
