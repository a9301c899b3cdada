"""How far a stack is believed beyond the member that it begins at."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from omicsfm.baselines.stack import stack
from omicsfm.data.folds import make_split
from omicsfm.metrics.targets import QuantityTarget
from omicsfm.seeding import derive

FOLDS = 5


def cross_stacked(
    held_out: Float[np.ndarray, "members rows 1"],
    target: QuantityTarget,
    groups: Shaped[np.ndarray, " rows"],
    *,
    seed: int,
    pull: float,
) -> Float[np.ndarray, " rows"]:
    """What a stack of held-out predictions says of each group when its weights are chosen without it."""
    people = pd.DataFrame({"participant_id": groups})
    folds = min(FOLDS, people["participant_id"].nunique())
    split = make_split(people, repeats=1, folds=folds, seed=derive(seed, "weights"))
    said = np.zeros(len(target))
    for fold in range(folds):
        chosen, out = split.masks(people, 0, fold)
        weighed = stack(held_out[:, chosen], target[np.flatnonzero(chosen)], pull=pull)
        said[out] = weighed.combine(held_out[:, out])[:, 0]
    return said


def belief(
    correction: Float[np.ndarray, " rows"], rest: Float[np.ndarray, " rows"], groups: Shaped[np.ndarray, " rows"]
) -> float:
    """The share of a correction, from 0 to 1, that is applied, where ``rest`` is what there was to correct.

    The slope b of the rest on the correction through the origin, shrunk as James and Stein's positive-part estimator:
    b * max(0, 1 - (se / b)**2), with the standard error from whole groups. A correction that helps by no more than
    chance is left out.
    """
    _, group = np.unique(groups, return_inverse=True)
    products, squares = np.bincount(group, correction * rest), np.bincount(group, correction**2)
    whole = squares.sum()
    if whole <= 0 or products.sum() <= 0:
        return 0.0
    slope = products.sum() / whole
    error = np.sqrt(((products - slope * squares) ** 2).sum()) / whole
    return float(np.clip(slope * (1.0 - (error / slope) ** 2), 0.0, 1.0))
