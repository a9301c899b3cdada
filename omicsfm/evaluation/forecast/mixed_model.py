"""A linear mixed model of a quantity over time, as most longitudinal studies are analysed (Laird and Ware 1982).

value = intercept + slope * years + covariates + own intercept of the participant + error. It is fitted by restricted
maximum likelihood on all visits of the training participants; somebody new is forecast with
the best linear unbiased predictor of the own intercept from the own past values.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from omicsfm.baselines.base import Predicted
from omicsfm.data.covariates import CLINICAL
from omicsfm.evaluation.forecast.baselines import OfForecasts
from omicsfm.evaluation.forecast.task import ForecastTask, as_forecast
from omicsfm.evaluation.methods import Test, Train
from omicsfm.evaluation.task import Task

DAYS_IN_YEAR = 365.25


@dataclass(frozen=True)
class MixedModel(OfForecasts):
    """Random intercepts of participants; time, and what clinicians know, as fixed effects."""

    name: str = "mixed_model"

    def fit_predict(self, task: Task, train: Train, test: Test, *, seed: int) -> Predicted:
        """Predictions of the test rows."""
        task = as_forecast(task)
        visits = task.store.visits
        allowed = task.readable(visits, np.unique(task.participant_ids[test]))
        trained = visits["participant_id"].astype(str).isin(task.participant_ids[train]).to_numpy()
        seen = np.flatnonzero(allowed & trained & ~np.isnan(task.known))
        years, covariates = task.histories.time_days / DAYS_IN_YEAR, _covariates(task, seen)
        fixed = np.column_stack([np.ones(len(visits)), years, covariates])
        asked = task.rows[test]  # covariates as they were when the forecast was made
        at = np.column_stack([np.ones(len(test)), years[task.later[test]], covariates[asked]])
        varies = np.append(True, np.ptp(fixed[seen], axis=0)[1:] > 1e-9)
        person = pd.factorize(visits["participant_id"].to_numpy()[seen])[0]
        coefficients, between, within = _fit(fixed[seen][:, varies], task.known[seen], person)
        rest = task.known - fixed[:, varies] @ coefficients
        own = np.array([_own_intercept(rest[_past(task, int(row))], between, within) for row in asked])
        return Predicted(at[:, varies] @ coefficients + own)


def _past(task: ForecastTask, row: int) -> Int[np.ndarray, " known"]:
    history = np.append(task.histories.before(row), row)
    return history[~np.isnan(task.known[history])]


def _covariates(task: ForecastTask, seen: Int[np.ndarray, " seen"]) -> Float[np.ndarray, "visits covariates"]:
    """Standardised on the training visits, gaps at their mean; without covariates no column."""
    matrix = task.store.inputs.get(CLINICAL)
    if matrix is None:
        return np.zeros((len(task.store), 0))
    values = matrix.read(np.arange(len(task.store)))[0].astype(np.float64)
    values = values[:, ~np.isnan(values[seen]).all(axis=0)]
    mean, spread = np.nanmean(values[seen], axis=0), np.nanstd(values[seen], axis=0)
    return np.nan_to_num((values - mean) / np.where(spread > 0, spread, 1.0))


def _own_intercept(rest: Float[np.ndarray, " known"], between: float, within: float) -> float:
    """Best linear unbiased predictor of an own intercept from what the fixed effects leave of the own values."""
    return float(rest.sum() * between / (within + len(rest) * between)) if len(rest) else 0.0


def _fit(
    fixed: Float[np.ndarray, "seen effects"], value: Float[np.ndarray, " seen"], person: Int[np.ndarray, " seen"]
) -> tuple[Float[np.ndarray, " effects"], float, float]:
    """Fixed effects, the variance between participants and the variance within, in squared units of the quantity."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    unit = value.std() or 1.0
    with warnings.catch_warnings():  # no variance between participants is a finding, not a failure
        warnings.simplefilter("ignore")
        try:
            fitted = MixedLM(value / unit, fixed, groups=person).fit(reml=True)
            between, within = float(fitted.cov_re[0, 0]), float(fitted.scale)
            coefficients = np.asarray(fitted.fe_params)
        except np.linalg.LinAlgError:  # singular: as many effects as visits; then without own intercepts
            coefficients, between, within = np.linalg.lstsq(fixed, value / unit, rcond=None)[0], 0.0, 1.0
    return coefficients * unit, between * unit**2, within * unit**2
