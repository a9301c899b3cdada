"""What a simulated cohort lets a forecast of bmi reach: the error of one who knows how the cohort was made.

The oracle knows the loadings, the noise, the drift of the factors and the weights of the outcome, but sees the very
measurements that a method sees, with their noise and their gaps. It forecasts by the posterior mean of the factors,
from the last visit alone or from the last two. What is between the two is the margin that was planted.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.data.generative import AUTOCORRELATION

OUTCOME = "bmi"
MEAN, SPREAD = 26.0, 4.0
"""Of bmi in kg/m², see omicsfm/data/generative.py."""


def oracle_errors(path: Path, *, signal: float, momentum: float, first_visit: int) -> dict[str, float]:
    """Root mean squared errors of forecasts of the visits from ``first_visit`` on, from the last ``one`` or ``two``."""
    obs, assays, factors, predictors = _read(path)
    weight = np.linalg.lstsq(factors, predictors[OUTCOME].to_numpy(), rcond=None)[0]
    slope, noise = np.array([signal, 1.0]) * SPREAD / np.hypot(signal, 1.0)
    information, score = _of_assays(obs, assays, factors)
    value = obs[OUTCOME].to_numpy(dtype=np.float64)
    known = ~np.isnan(value)
    information[known] += np.outer(weight, weight) * (slope / noise) ** 2
    score[known] += ((value[known] - MEAN) * slope / noise**2)[:, None] * weight
    number = obs["visit"].astype(int).to_numpy() - 1
    between = drift_covariance(int(number.max()) + 1, momentum)
    errors: dict[str, list[float]] = {"one": [], "two": []}
    for _, own in obs.assign(row=np.arange(len(obs))).sort_values("time_days").groupby("participant_id", observed=True):
        rows = own["row"].to_numpy()
        for place in range(1, len(rows)):
            later = rows[place]
            if number[later] + 1 < first_visit or not known[later]:
                continue
            for name, count in (("one", 1), ("two", 2)):
                seen = rows[max(place - count, 0) : place]
                mean = _posterior(between, number[seen], number[later], information[seen], score[seen])
                errors[name].append(MEAN + slope * float(mean @ weight) - value[later])
    return {name: float(np.sqrt(np.mean(np.square(own)))) for name, own in errors.items()}


def drift_covariance(visits: int, momentum: float) -> np.ndarray:
    """Covariance of one factor between visits, as ``generative._drift`` draws it."""
    made = np.zeros((visits, visits))  # each visit's factor in terms of independent steps
    made[0, 0] = 1.0
    for visit in range(1, visits):
        going_on = momentum if visit > 1 else 0.0
        made[visit] = AUTOCORRELATION * (1 + going_on) * made[visit - 1]
        if visit > 1:
            made[visit] -= going_on * made[visit - 2]
        made[visit, visit] = np.sqrt((1 - AUTOCORRELATION**2) * (1 - going_on**2))
    return made @ made.T


def _posterior(
    between: np.ndarray, seen: np.ndarray, later: int, information: np.ndarray, score: np.ndarray
) -> np.ndarray:
    """Posterior mean of the factors at a later visit, from normal measurements of those at the seen ones."""
    size = score.shape[1]
    prior = np.linalg.inv(between[np.ix_(seen, seen)])
    precision = np.kron(prior, np.eye(size))
    for place, own in enumerate(information):
        at = slice(place * size, (place + 1) * size)
        precision[at, at] += own
    state = np.linalg.solve(precision, score.ravel()).reshape(len(seen), size)
    return np.asarray(between[later, seen] @ prior @ state)


def _of_assays(obs: pd.DataFrame, assays: Mapping[str, Any], factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The information that all assays of a visit hold on its factors, and the score at zero."""
    size = factors.shape[1]
    information, score = np.zeros((len(obs), size, size)), np.zeros((len(obs), size))
    place = {name: number for number, name in enumerate(obs.index)}
    for modality, assay in assays.items():
        rows = np.array([place[name] for name in assay.obs_names])
        loadings, values = np.asarray(assay.varm["true_loadings"]), _in_log2(modality, np.asarray(assay.X, np.float64))
        seen = ~np.isnan(values)
        if "below_limit" in assay.layers:
            seen &= ~np.asarray(assay.layers["below_limit"], dtype=bool)
        rest, variance = _without_nuisance(obs.iloc[rows], values, seen, factors[rows] @ loadings.T)
        weight = seen / variance
        information[rows] += np.einsum("vf,fk,fl->vkl", weight, loadings, loadings)
        score[rows] += (rest * weight) @ loadings
    return information, score


def _in_log2(modality: str, values: np.ndarray) -> np.ndarray:
    if modality == "transcriptome":
        return np.log2(values / values.sum(axis=1, keepdims=True) * 1e6 + 1)
    return np.log2(values) if modality == "metabolome" else values


def _without_nuisance(
    obs: pd.DataFrame, values: np.ndarray, seen: np.ndarray, signal: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values without level, age, sex and plate, which the oracle knows too (0 where not seen), and their noise."""
    plates = pd.get_dummies(obs["plate"], drop_first=True).to_numpy(dtype=np.float64)
    design = np.column_stack([np.ones(len(obs)), obs["age"], obs["sex"] == "male", plates]).astype(np.float64)
    rest, variance = np.zeros(values.shape), np.ones(values.shape[1])
    for feature in range(values.shape[1]):
        own = seen[:, feature]
        nuisance = np.linalg.lstsq(design[own], (values - signal)[own, feature], rcond=None)[0]
        rest[own, feature] = values[own, feature] - design[own] @ nuisance
        left = rest[own, feature] - signal[own, feature]
        variance[feature] = (left**2).sum() / max(own.sum() - design.shape[1], 1)
    return rest, variance


def _read(path: Path) -> tuple[pd.DataFrame, dict[str, Any], np.ndarray, pd.DataFrame]:
    import anndata
    import h5py

    with h5py.File(path) as file:
        read = anndata.io.read_elem
        truth = file["obsm"]
        return (
            read(file["obs"]),
            {name: read(file["mod"][name]) for name in file["mod"] if isinstance(file["mod"][name], h5py.Group)},
            np.asarray(read(truth["true_factors"])),
            read(truth["true_linear_predictors"]),
        )
