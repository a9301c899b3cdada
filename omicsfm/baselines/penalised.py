"""Ridge-penalised linear models whose penalty is chosen by held-out loss: logistic, multinomial, linear and Cox.

One function, ``fit_penalised``, is every linear baseline and every linear probe on an embedding. How the penalty is
chosen matters more than anything else at 100 to 1,000 participants: one inner split scored by AUROC picks noise, log
loss over 3 x 5 inner folds does not. So the inner loss is the loss that is fitted: log loss, squared error, or the
cross-validated partial likelihood of Verweij and van Houwelingen (Statistics in Medicine 1993), summed over
participant-grouped folds.

The work happens in rotated coordinates, which have at most as many columns as there are rows (``rotation.py``). All
inner folds are solved together there, along a path of ever weaker penalties, each started from the one before
(Friedman, Hastie and Tibshirani, Journal of Statistical Software 2010).
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped
from scipy.special import expit, softmax

from omicsfm.baselines.descent import minimise, push
from omicsfm.baselines.losses import LinearLoss, loss_of
from omicsfm.baselines.rotation import Rotation
from omicsfm.contracts import OutcomeKind
from omicsfm.data.folds import make_split
from omicsfm.errors import InputError
from omicsfm.metrics.targets import ClassTarget, QuantityTarget, Target
from omicsfm.seeding import derive

INNER_REPEATS, INNER_FOLDS = 3, 5
PENALTIES_PER_FEATURE = tuple(10.0 ** np.linspace(-3.5, 2.5, 13))
"""Penalties tried, per feature: the leading eigenvalue of standardised features grows with their number."""
PENALTIES_BEYOND_LEAST = 3
"""The search goes from strong to weak penalties and ends after so many without a lesser held-out loss."""
SEARCH_ITERATIONS, SEARCH_TOLERANCE = 500, 1e-10  # stopping earlier flatters weak penalties: it regularises too
FINAL_ITERATIONS, FINAL_TOLERANCE = 5000, 1e-14


@dataclass(frozen=True)
class LinearFit:
    """A fitted linear model; coefficients belong to the features as they were handed in.

    ``coefficients`` and ``intercept`` have one output for a quantity, a survival outcome (log hazard relative to the
    mean participant) and two classes (the logit of the second), else one output a class (softmax).
    """

    kind: OutcomeKind
    coefficients: Float[np.ndarray, "features outputs"]
    intercept: Float[np.ndarray, " outputs"]
    penalty: float
    """Multiplier of half the squared coefficients of standardised features, against losses summed over rows."""
    held_out: Float[np.ndarray, "rows outputs"]
    """Linear predictor of each training row from inner folds that did not train on its participant, averaged over
    inner repeats, at the chosen penalty. NaN where no penalty was searched for."""
    by_stratum: Float[np.ndarray, "strata outputs"]
    """What is added to the intercept in each stratum; a single row of zeros where none were told apart."""

    def within(self, stratum: int) -> "LinearFit":
        """The model as it holds in a stratum."""
        return replace(self, intercept=self.intercept + self.by_stratum[stratum])

    def linear_predictor(self, features: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows outputs"]:
        """Logits, quantity or log hazard."""
        return features @ self.coefficients + self.intercept

    def predict(self, features: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "..."]:
        """Class probabilities [rows, classes], or the quantity or log hazard [rows]."""
        return to_prediction(self.kind, self.linear_predictor(features))


def to_prediction(kind: str, linear_predictor: Float[np.ndarray, "rows outputs"]) -> Float[np.ndarray, "..."]:
    """Class probabilities [rows, classes] from logits; quantities and log hazards lose their output axis, but for
    those of several causes.
    """
    if kind == "competing_risks":
        return linear_predictor
    if kind != "class":
        return linear_predictor[:, 0]
    if linear_predictor.shape[1] == 1:
        second = expit(linear_predictor[:, 0])
        return np.stack([1 - second, second], axis=1)
    return softmax(linear_predictor, axis=1)


def fit_penalised(
    features: Float[np.ndarray, "rows features"],
    target: Target,
    *,
    groups: Shaped[np.ndarray, " rows"],
    seed: int,
    standardise: bool = True,
    penalty: float | None = None,
    strata: Int[np.ndarray, " rows"] | None = None,
) -> LinearFit:
    """Fit a ridge-penalised linear model and choose its penalty, or use the one given.

    ``features`` hold no NaN. ``groups`` says whose row it is: a group is never on both sides of an inner fold. With
    ``standardise`` each feature is centred and scaled to unit variance on these rows before the penalty applies.
    The intercept is not penalised. ``strata`` (0, 1, ...) number groups of rows that share the coefficients but have
    an intercept each, or for survival a baseline hazard each.

    Raises:
        InputError: A feature is NaN or infinite, rows do not match, or there are fewer than two groups.
    """
    _check(features, target, groups)
    location, unit = _unit(target)
    if isinstance(target, QuantityTarget):
        target = QuantityTarget((target.value - location) / unit)
    strata = np.zeros(len(target), dtype=int) if strata is None else strata
    loss, order = loss_of(target, strata)
    rotation = Rotation(features, order=order, standardise=standardise)
    rank = rotation.rank
    levels = np.eye(strata.max() + 1)[strata[order]] if loss.has_intercept else np.empty((len(target), 0))
    design = np.concatenate([rotation.rotated, levels], axis=1) if loss.has_intercept else rotation.rotated
    ridge = (np.arange(design.shape[1]) < rank).astype(float)

    held_out = np.full((len(target), loss.outputs), np.nan)
    if penalty is None:
        grid = features.shape[1] * np.array(PENALTIES_PER_FEATURE)
        penalty, chosen = _search(loss, design, ridge, grid, target[order], groups[order], seed)
        held_out[order] = chosen
    everyone = np.ones((len(target), 1))
    solved = minimise(
        loss,
        design,
        penalty=penalty * ridge[:, None],
        weights=everyone,
        iterations=FINAL_ITERATIONS,
        tolerance=FINAL_TOLERANCE,
    )[:, 0]
    coefficients = unit * rotation.back(solved[:rank])
    by_stratum = np.zeros((strata.max() + 1, loss.outputs))
    by_stratum[: levels.shape[1]] = unit * solved[rank:]
    intercept = by_stratum.mean(axis=0) + location - rotation.mean @ coefficients
    by_stratum -= by_stratum.mean(axis=0)
    return LinearFit(target.kind, coefficients, intercept, float(penalty), unit * held_out + location, by_stratum)


def _check(features: np.ndarray, target: Target, groups: np.ndarray) -> None:
    if not len(features) == len(target) == len(groups):
        raise InputError(
            f"linear model: {len(features)} rows of features, {len(target)} outcomes and {len(groups)} participants; "
            "these must be the same rows."
        )
    broken = ~np.isfinite(features)
    if broken.any():
        raise InputError(
            f"linear model: {int(broken.sum()):,} of {features.size:,} feature values are NaN or infinite (first: row "
            f"{int(np.argwhere(broken)[0][0])}, feature {int(np.argwhere(broken)[0][1])}). Impute before fitting."
        )
    if len(np.unique(groups)) < 2:
        raise InputError("linear model: all training rows belong to one participant; at least two are needed.")


def _unit(target: Target) -> tuple[float, float]:
    """Location and scale of a quantity, so that the solver's tolerances mean the same in every unit."""
    if not isinstance(target, QuantityTarget):
        return 0.0, 1.0
    spread = float(target.value.std())
    return float(target.value.mean()), spread if spread > 0 else 1.0


def _search(
    loss: LinearLoss,
    design: Float[np.ndarray, "rows columns"],
    ridge: Float[np.ndarray, " columns"],
    grid: Float[np.ndarray, " penalties"],
    target: Target,
    groups: Shaped[np.ndarray, " rows"],
    seed: int,
) -> tuple[float, Float[np.ndarray, "rows outputs"]]:
    """The penalty with the least held-out loss, and the held-out linear predictor at that penalty."""
    people = pd.DataFrame({"participant_id": groups})
    folds = min(INNER_FOLDS, people["participant_id"].nunique())
    split = make_split(
        people, labels=target.stratum, repeats=INNER_REPEATS, folds=folds, seed=derive(seed, "inner folds")
    )
    masks = [split.masks(people, repeat, fold) for repeat in range(INNER_REPEATS) for fold in range(folds)]
    trained = np.stack([train for train, _ in masks], axis=1).astype(np.float64)  # a problem for each inner fold
    tested = np.stack([test for _, test in masks], axis=1)[:, :, None]
    scored = _scored(target, trained)
    start = np.zeros((design.shape[1], len(masks), loss.outputs))
    least, chosen, since, held_out = np.inf, grid[-1], 0, np.zeros((len(target), loss.outputs))
    for penalty in grid[::-1]:
        start = minimise(
            loss,
            design,
            penalty=np.outer(ridge, np.full(len(masks), penalty)),
            weights=trained,
            iterations=SEARCH_ITERATIONS,
            tolerance=SEARCH_TOLERANCE,
            start=start,
        )
        eta = push(design, start)
        excess = float((loss.value(eta, scored) - loss.value(eta, trained)).sum())
        if excess < least:  # of equals the strongest penalty
            least, chosen, since = excess, penalty, 0
            held_out = np.where(tested, eta, 0.0).sum(axis=1) / INNER_REPEATS
        else:
            since += 1
        if since == PENALTIES_BEYOND_LEAST:
            break
    return float(chosen), held_out


def _scored(target: Target, trained: Float[np.ndarray, "rows folds"]) -> Float[np.ndarray, "rows folds"]:
    """Rows that a fold is scored on, its training rows included: the loss over these minus that over the training rows
    is the held-out loss. Held-out rows of a class that the fold could not train on say nothing about a penalty.
    """
    scored = np.ones_like(trained)
    if isinstance(target, ClassTarget):
        for class_id in range(len(target.classes)):
            own = target.class_id == class_id
            absent = trained[own].sum(axis=0) == 0
            scored[np.ix_(own, absent)] = 0.0
    return scored
