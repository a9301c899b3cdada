"""Gradient-boosted trees (LightGBM) for classes, quantities and survival; the number of rounds by held-out loss."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from omicsfm.baselines.base import OmicsTable, Predicted
from omicsfm.baselines.partial_likelihood import cox_loss
from omicsfm.baselines.preprocess import to_matrices
from omicsfm.data.folds import make_split
from omicsfm.errors import InputError
from omicsfm.metrics.targets import ClassTarget, CompetingTarget, QuantityTarget, SurvivalTarget, Target
from omicsfm.seeding import derive

Matrix = Float[np.ndarray, "rows features"]
Margin = Float[np.ndarray, " rows"]


@dataclass(frozen=True)
class Boosting:
    """Shallow trees on the concatenated modalities; Cox's partial likelihood as the objective for survival."""

    most_rounds: int = 200
    learning_rate: float = 0.07
    leaves: int = 8
    feature_share: float = 0.1
    row_share: float = 0.8
    smallest_leaf: int = 5
    inner_folds: int = 5

    def fit_predict(self, train: OmicsTable, target: Target, test: OmicsTable, *, seed: int) -> Predicted:
        """Predictions of the test rows."""
        matrices = to_matrices(train, test)
        if matrices.train.shape[1] == 0:  # LightGBM refuses a table without columns
            matrices = type(matrices)(np.zeros((len(train), 1)), np.zeros((len(test), 1)))
        rounds, held_out = self._search(matrices.train, target, train.groups, seed)
        booster = self._train(matrices.train, target, rounds, seed)
        return Predicted(_predict(booster, matrices.test, target, rounds), held_out)

    def _search(
        self, x: Matrix, target: Target, groups: Shaped[np.ndarray, " rows"], seed: int
    ) -> tuple[int, Margin | None]:
        """Rounds with the least held-out loss over participant-grouped folds, and survival's held-out log hazards."""
        people = pd.DataFrame({"participant_id": groups})
        folds = min(self.inner_folds, people["participant_id"].nunique())
        split = make_split(people, labels=target.stratum, repeats=1, folds=folds, seed=derive(seed, "boosting rounds"))
        total = np.zeros(self.most_rounds)
        boosters = []
        for _, fold in split.folds():
            fitted, held = (np.flatnonzero(mask) for mask in split.masks(people, 0, fold))
            history: list[float] = []
            booster = self._train(x[fitted], target[fitted], self.most_rounds, seed, (x, target, fitted, held, history))
            total += np.array(history)
            boosters.append((booster, held))
        rounds = int(np.argmin(total)) + 1
        if not isinstance(target, SurvivalTarget):
            return rounds, None
        held_out = np.full(len(target), np.nan)
        for booster, held in boosters:
            held_out[held] = _predict(booster, x[held], target, rounds)
        return rounds, held_out

    def _train(self, x: Matrix, target: Target, rounds: int, seed: int, watched: Any = None) -> Any:
        import lightgbm

        parameters: dict[str, Any] = {
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "feature_fraction": self.feature_share,
            "bagging_fraction": self.row_share,
            "bagging_freq": 1,
            "min_data_in_leaf": self.smallest_leaf,
            "seed": seed % 2**31,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
            "metric": "None",
            "feature_pre_filter": False,
            **_objective(target),
        }
        data = lightgbm.Dataset(x, _label(target), free_raw_data=False)
        if watched is None:
            return lightgbm.train(parameters, data, rounds)
        everything, everyone, fitted, held, history = watched
        # survival's held-out loss needs the training rows too: Verweij and van Houwelingen's partial likelihood
        rows = np.arange(len(everyone)) if isinstance(target, SurvivalTarget) else held
        watch = lightgbm.Dataset(everything[rows], _label(everyone[rows]), reference=data)
        score = _held_out_loss(everyone, fitted, held)

        def evaluate(prediction: np.ndarray, _: Any) -> tuple[str, float, bool]:
            history.append(score(prediction))
            return "held_out", history[-1], False

        return lightgbm.train(parameters, data, rounds, valid_sets=[watch], feval=evaluate)


def _objective(target: Target) -> dict[str, Any]:
    if isinstance(target, QuantityTarget):
        return {"objective": "regression"}
    if isinstance(target, ClassTarget):
        if len(target.classes) == 2:
            return {"objective": "binary"}
        return {"objective": "multiclass", "num_class": len(target.classes)}
    if isinstance(target, CompetingTarget):
        raise InputError("boosting: of competing risks it knows none. Leave it out of --methods.")
    # a leaf of early deaths has a large gradient and hardly any curvature: unbounded, its Newton step is absurd
    return {"objective": _cox_objective(target), "min_sum_hessian_in_leaf": 1.0, "lambda_l2": 1.0}


def _cox_objective(target: SurvivalTarget) -> Callable[[np.ndarray, Any], tuple[np.ndarray, np.ndarray]]:
    """Gradient and diagonal second derivative of the negative log partial likelihood, Breslow ties."""
    loss, order = cox_loss(target)
    everyone = np.ones((len(target), 1))
    counted = loss.event.astype(float)

    def objective(margin: np.ndarray, _: Any) -> tuple[np.ndarray, np.ndarray]:
        log_hazard = np.asarray(margin, dtype=np.float64)[order]
        gradient = loss.gradient(log_hazard[:, None, None], everyone)[:, 0, 0]
        hazard = np.exp(np.maximum(log_hazard - log_hazard.max(), -200.0))  # its square must not underflow
        at_risk = np.cumsum(hazard[::-1])[::-1][loss.first_tied]
        first = np.cumsum(counted / at_risk)[loss.last_tied]
        second = np.cumsum(counted / at_risk**2)[loss.last_tied]
        bend = hazard * first - hazard**2 * second
        out = np.empty((2, len(order)))
        out[:, order] = gradient, np.maximum(bend, 1e-6)
        return out[0], out[1]

    return objective


def _held_out_loss(target: Target, fitted: np.ndarray, held: np.ndarray) -> Callable[[np.ndarray], float]:
    if isinstance(target, SurvivalTarget):
        loss, order = cox_loss(target)
        weights = np.ones((len(target), 2))
        weights[held, 1] = 0.0
        weights = weights[order]

        def partial_likelihood(margin: np.ndarray) -> float:
            eta = np.repeat(np.asarray(margin, dtype=np.float64)[order][:, None, None], 2, axis=1)
            everyone, trained = loss.value(eta, weights)
            return float(everyone - trained)

        return partial_likelihood
    own = target[held]
    if isinstance(own, QuantityTarget):
        return lambda prediction: float(((prediction - own.value) ** 2).sum())
    assert isinstance(own, ClassTarget)
    truth = own.class_id

    def log_loss(prediction: np.ndarray) -> float:
        if prediction.ndim == 1:
            prediction = np.stack([1 - prediction, prediction], axis=1)
        return float(-np.log(np.clip(prediction[np.arange(len(truth)), truth], 1e-15, 1.0)).sum())

    return log_loss


def _label(target: Target) -> np.ndarray:
    if isinstance(target, ClassTarget):
        return target.class_id.astype(float)
    return target.value if isinstance(target, QuantityTarget) else target.event.astype(float)


def _predict(booster: Any, x: Matrix, target: Target, rounds: int) -> np.ndarray:
    prediction = np.asarray(booster.predict(x, num_iteration=rounds), dtype=np.float64)
    if isinstance(target, ClassTarget) and prediction.ndim == 1:
        return np.stack([1 - prediction, prediction], axis=1)
    return prediction
