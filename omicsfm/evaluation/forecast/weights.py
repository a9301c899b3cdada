"""How much each member of a forecast counts, by what it said of training participants that all of it had not seen.

Members are made in steps: a line, then what the omics explain of what the line leaves. Their own held-out predictions
cannot weigh them: what the line left at the other rows was left by lines that knew this row, and the second step looks
worse than it is. So every member is made anew, all its steps, in folds of the training rows.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped
from scipy.optimize import minimize

from omicsfm.data.folds import make_split
from omicsfm.seeding import derive

FOLDS = 5
Rows = Int[np.ndarray, " rows"]
Members = Mapping[str, Float[np.ndarray, "rows ..."]]
"""What each member predicts of some rows."""


def held_out_members(
    groups: Shaped[np.ndarray, " train"], made: Callable[[Rows, Rows], Members], *, seed: int
) -> dict[str, Float[np.ndarray, "train ..."]]:
    """What each member predicts of training rows whose group it was not fitted to; ``made`` fits all members on the
    first places among the training rows and predicts the second.
    """
    people = pd.DataFrame({"participant_id": groups})
    folds = min(FOLDS, people["participant_id"].nunique())
    split = make_split(people, repeats=1, folds=folds, seed=derive(seed, "weights"))
    found: dict[str, np.ndarray] = {}
    for fold in range(folds):
        own, out = (np.flatnonzero(mask) for mask in split.masks(people, 0, fold))
        for name, predicted in made(own, out).items():
            found.setdefault(name, np.zeros((len(groups), *predicted.shape[1:])))[out] = predicted
    return found


def convex_weights(
    errors: Sequence[Float[np.ndarray, "rows ..."]],
    *,
    pull_rows: float,
    prior: Float[np.ndarray, " members"] | None = None,
) -> Float[np.ndarray, " members"]:
    """Weights that are not negative, sum to one, and give the least squared error where the truth is known (no NaN),
    with a pull towards the ``prior``, equal weights by default, that counts as so many rows.
    """
    members, rows = len(errors), max(len(errors[0]), 1)
    begun = np.full(members, 1.0 / members) if prior is None else prior
    known = np.stack([np.nan_to_num(error).ravel() for error in errors])
    products = known @ known.T
    products /= max(np.trace(products) / members, 1e-300)
    pull = pull_rows / rows

    def value(weights: np.ndarray) -> tuple[float, np.ndarray]:
        away = weights - begun
        slope = products @ weights
        return float(weights @ slope + pull * (away @ away)), 2 * (slope + pull * away)

    solved = minimize(
        value,
        begun,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * members,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones(members)},
        options={"ftol": 1e-12},
    ).x
    kept = np.clip(solved, 0.0, None)
    return kept / kept.sum()
