"""Forecasts of every feature on shared folds, scored feature by feature against the last observation carried forward.

features.parquet    modality, feature, values: how many later values were forecast; rmse_<method>: in robust standard
                    deviations of the training visits
metrics.json        for each modality, and all together: the median over features of the error's ratio to that of the
                    last observation, with an interval that resamples participants, and the share of features below 1
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from omicsfm.data.splits import Split
from omicsfm.evaluation.benchmark import provenance, write_json
from omicsfm.evaluation.forecast.encoders import unseen
from omicsfm.evaluation.forecast.features import LAST, FeatureForecast, forecast_features
from omicsfm.evaluation.forecast.task import ForecastTask
from omicsfm.evaluation.predictions import write_parquet
from omicsfm.evaluation.pretrained import NAME, Encoders
from omicsfm.metrics.bootstrap import draw_resamples, percentile_interval
from omicsfm.seeding import derive

log = logging.getLogger(__name__)
ALL = "all"
FEWEST_VALUES = 10
"""A feature with fewer later values, over all folds of a repeat, is not scored."""


class Errors:
    """Squared errors summed by participant and feature."""

    def __init__(self, task: ForecastTask) -> None:
        self.people, self._person = np.unique(task.participant_ids, return_inverse=True)
        self.counts: dict[str, Float[np.ndarray, "people features"]] = {}
        self.squares: dict[str, dict[str, Float[np.ndarray, "people features"]]] = {}

    def add(self, test: np.ndarray, forecasts: Mapping[str, FeatureForecast]) -> None:
        """Count the test rows of a fold."""
        whose = self._person[test]
        for modality, forecast in forecasts.items():
            known = ~np.isnan(forecast.truth)
            empty = np.zeros((len(self.people), known.shape[1]))
            np.add.at(self.counts.setdefault(modality, empty.copy()), whose, known)
            for method, predicted in forecast.predicted.items():
                squared = np.where(known, np.nan_to_num(forecast.truth) - predicted, 0.0) ** 2
                own = self.squares.setdefault(method, {}).setdefault(modality, empty.copy())
                np.add.at(own, whose, squared)

    def rmse(self, method: str, modality: str) -> Float[np.ndarray, " features"]:
        """Of each feature, NaN where nothing was forecast."""
        counts = self.counts[modality].sum(axis=0)
        return np.sqrt(np.where(counts > 0, self.squares[method][modality].sum(axis=0) / np.maximum(counts, 1), np.nan))


def run_feature_forecast(
    task: ForecastTask, encoders: Encoders, *, out: Path, split: Split, seed: int, resamples: int
) -> dict[str, Any]:
    """Cross-validate and score; returns the content of OUT/metrics.json."""
    from dataclasses import replace

    task = replace(task, split=split)
    errors, folds = Errors(task), list(split.folds())
    weights: dict[str, list[Mapping[str, float]]] = {}
    for number, (repeat, fold) in enumerate(folds, 1):
        train, test = (np.flatnonzero(mask) for mask in split.masks(task.visits, repeat, fold))
        own_seed = derive(seed, "fold", repeat, fold)
        opened = encoders.of_fold(task, train, seed=own_seed)
        new = unseen(encoders, task, train, seed=own_seed)
        forecasts = forecast_features(task, train, test, opened, unseen=new, seed=own_seed)
        errors.add(test, forecasts)
        for modality, forecast in forecasts.items():
            weights.setdefault(modality, []).append(forecast.weights)
        log.info("%d of %d: repeat %d, fold %d", number, len(folds), repeat, fold)
    out.mkdir(parents=True, exist_ok=True)
    split.write(out / "split.csv")
    repeats = split.table["repeat"].nunique()
    scored = {name: errors.counts[name].sum(axis=0) >= FEWEST_VALUES * repeats for name in errors.counts}
    write_parquet(_table(errors, task, scored), out / "features.parquet")
    metrics = {
        "what": "forecast of every feature",
        "cohort": task.store.name,
        "forecast": task.outcome.name,
        "model": NAME,
        "reference": LAST,
        "participants": len(errors.people),
        "pairs": len(task),
        "modalities": _scores(errors, scored, seed=seed, resamples=resamples),
        "weights": {name: pd.DataFrame(own).mean().round(4).to_dict() for name, own in weights.items()},
        "provenance": provenance(task, split, seed, resamples),
    }
    write_json(metrics, out / "metrics.json")
    return metrics


def feature_table(metrics: Mapping[str, Any]) -> str:
    """One line for each modality and method."""
    lines = [f"{'modality':16}{'method':20}{'median error / last observation':34}{'features below 1':18}median RMSE"]
    for modality, entry in metrics["modalities"].items():
        for method, score in entry["methods"].items():
            interval = f"{score['median_ratio']:.3f} ({score['low']:.3f} to {score['high']:.3f})"
            share = f"{score['share_below_1']:.1%}"
            lines.append(f"{modality:16}{method:20}{interval:34}{share:18}{score['median_rmse']:.3f}")
    return "\n".join(lines)


def _table(errors: Errors, task: ForecastTask, scored: Mapping[str, np.ndarray]) -> pd.DataFrame:
    tables = []
    for modality, kept in scored.items():
        ids = np.array(task.store.modalities[modality].features.ids, dtype=object)[kept]
        table = pd.DataFrame({"modality": modality, "feature": ids})
        table["values"] = errors.counts[modality].sum(axis=0)[kept].astype(int)
        for method in errors.squares:
            table[f"rmse_{method}"] = errors.rmse(method, modality)[kept]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _scores(errors: Errors, scored: Mapping[str, np.ndarray], *, seed: int, resamples: int) -> dict[str, Any]:
    drawn = draw_resamples(errors.people, resamples=resamples, seed=derive(seed, "bootstrap")).counts.T.astype(float)
    once = np.ones((1, len(errors.people)))
    found: dict[str, Any] = {}
    names = [name for name in scored if scored[name].any()]
    for modality, own in {**{name: [name] for name in names}, **({ALL: names} if len(names) > 1 else {})}.items():
        features = int(sum(scored[name].sum() for name in own))
        methods = {}
        for method in errors.squares:
            ratio = _ratios(errors, method, own, scored, once)[0]
            low, high = percentile_interval(np.nanmedian(_ratios(errors, method, own, scored, drawn), axis=1))
            rmse = np.concatenate([errors.rmse(method, name)[scored[name]] for name in own])
            methods[method] = {
                "median_ratio": float(np.nanmedian(ratio)),
                "low": low,
                "high": high,
                "share_below_1": float(np.mean(ratio < 1)),
                "median_rmse": float(np.median(rmse)),
            }
        found[modality] = {"features": features, "methods": methods}
    return found


def _ratios(
    errors: Errors,
    method: str,
    names: list[str],
    scored: Mapping[str, np.ndarray],
    drawn: Float[np.ndarray, "draws people"],
) -> Float[np.ndarray, "draws features"]:
    """RMSE of the method over that of the last observation; both over the same values."""
    parts = []
    for name in names:
        ours, theirs = (drawn @ errors.squares[one][name][:, scored[name]] for one in (method, LAST))
        parts.append(np.sqrt(np.divide(ours, theirs, out=np.full(ours.shape, np.nan), where=theirs > 0)))
    return np.concatenate(parts, axis=1)
