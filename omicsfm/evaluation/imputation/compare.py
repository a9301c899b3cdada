"""Imputers against each other on identical folds, scored feature by feature against what was measured.

    metrics.json       each method's median over features, with 95 % intervals that resample participants, and the
                       differences to ridge regression on the same draws
    features.parquet   method, feature_id, spearman, rmse: each feature by itself
    split.csv          who was in which fold

A feature is scored in each fold over its test participants, then averaged over folds and repeats: pooled over folds a
prediction by the training mean alone would be anticorrelated with the truth. RMSE is in spreads of the feature: 1 is
its interquartile range / 1.349 in training, on the logarithmic scale.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from omicsfm.data.splits import Split
from omicsfm.evaluation.benchmark import write_json
from omicsfm.evaluation.imputation.hidden import HiddenModality
from omicsfm.evaluation.imputation.imputers import Imputer, Ridge
from omicsfm.evaluation.predictions import write_parquet
from omicsfm.evaluation.summary import aligned, number, verdict
from omicsfm.metrics.bootstrap import Resamples, draw_resamples, percentile_interval
from omicsfm.metrics.profiles import rmse_by_feature, spearman_by_feature
from omicsfm.origin import code_commit
from omicsfm.seeding import derive

METRICS: Mapping[str, Callable[..., Any]] = {"spearman": spearman_by_feature, "rmse": rmse_by_feature}
REFERENCE = Ridge.name
ABOVE = "share of features above"


@dataclass(frozen=True)
class Imputed:
    """How one method did: each metric by feature, over everybody (first column) and in each resample."""

    metrics: Mapping[str, Float[np.ndarray, "features one_and_resamples"]]
    seconds: float

    def median(self, metric: str) -> Float[np.ndarray, " one_and_resamples"]:
        """The median over features."""
        return np.nanmedian(self.metrics[metric], axis=0)


def compare_imputers(
    task: HiddenModality, methods: Sequence[Imputer], split: Split, *, out: Path, seed: int, resamples: int
) -> dict[str, Any]:
    """Impute in every fold of the split, score, and write OUT; returns the content of OUT/metrics.json."""
    imputed = run_imputation(task, methods, split, seed=seed, resamples=resamples)
    return write_imputation(task, imputed, split, out=out, seed=seed, resamples=resamples)


def run_imputation(
    task: HiddenModality, methods: Sequence[Imputer], split: Split, *, seed: int, resamples: int
) -> dict[str, Imputed]:
    """Every method in every fold of the split, on the scale that the fold's training participants set."""
    task = replace(task, split=split)
    draws = draw_resamples(task.participant_ids, resamples=resamples, seed=derive(seed, "bootstrap"))
    sums: dict[str, dict[str, list[np.ndarray]]] = {one.name: {name: [] for name in METRICS} for one in methods}
    seconds = dict.fromkeys(sums, 0.0)
    for repeat, fold in split.folds():
        train, test = (np.flatnonzero(mask) for mask in split.masks(task.visits, repeat, fold))
        truth = task.values(task.target, train)[test]
        weights = _weights(draws, task.participant_ids[test])
        for one in methods:
            started = time.perf_counter()
            predicted = one.predict(task, train, test, seed=derive(seed, "fold", repeat, fold))
            seconds[one.name] += time.perf_counter() - started
            for name, metric in METRICS.items():
                sums[one.name][name].append(metric(truth, predicted, weights))
    return {
        one: Imputed({name: _mean_over_folds(parts) for name, parts in own.items()}, seconds[one])
        for one, own in sums.items()
    }


def write_imputation(
    task: HiddenModality, imputed: Mapping[str, Imputed], split: Split, *, out: Path, seed: int, resamples: int
) -> dict[str, Any]:
    """Write OUT/metrics.json, features.parquet and split.csv; returns the content of the first."""
    out.mkdir(parents=True, exist_ok=True)
    ids = task.store.modalities[task.target].features.ids
    metrics = {
        "what": "imputation",
        "cohort": task.store.name,
        "target": task.target,
        "sources": list(task.sources),
        "visits": len(task),
        "participants": len(np.unique(task.participant_ids)),
        "features": len(ids),
        "methods": {name: _summary(own) for name, own in imputed.items()},
        "differences": _differences(imputed),
        "provenance": {
            "store_fingerprint": task.store.fingerprint,
            "split_sha256": split.sha256,
            "split": dict(split.made),
            "seed": seed,
            "resamples": resamples,
            "commit": code_commit() or "unknown",
        },
    }
    split.write(out / "split.csv")
    tables = [
        pd.DataFrame({"method": name, "feature_id": list(ids), **{m: own.metrics[m][:, 0] for m in METRICS}})
        for name, own in imputed.items()
    ]
    write_parquet(pd.concat(tables, ignore_index=True), out / "features.parquet")
    write_json(metrics, out / "metrics.json")
    return metrics


def imputation_table(metrics: Mapping[str, Any]) -> str:
    """What was predicted from what, then each method's medians and its verdict against ridge regression."""
    against = {(d["method"], d["metric"]): d for d in metrics["differences"]}
    head = ("method", "spearman", "95 % interval", "rmse", f"spearman against {REFERENCE}", "features above", "seconds")
    rows: list[Sequence[str]] = [head]
    for name, own in metrics["methods"].items():
        rank, error = own["metrics"]["spearman"], own["metrics"]["rmse"]
        compared, share = against.get((name, "spearman")), against.get((name, ABOVE), {}).get("value")
        rows.append(
            (
                name,
                number(rank["value"]),
                f"{number(rank['low'])} to {number(rank['high'])}",
                number(error["value"]),
                verdict(compared, high_is_good=True) if compared else "reference" if name == REFERENCE else "",
                "" if share is None else f"{share:.0%}",
                f"{own['seconds']:.1f}",
            )
        )
    people = f"{metrics['participants']:,} participants, {metrics['visits']:,} visits"
    what = f"{metrics['target']} ({metrics['features']:,} features) from {' and '.join(metrics['sources'])}: {people}"
    return f"{what}\nmedian over features\n{aligned(rows)}"


def _weights(draws: Resamples, participant_ids: np.ndarray) -> Float[np.ndarray, "rows one_and_resamples"]:
    return np.concatenate([np.ones((len(participant_ids), 1)), *draws.weights(participant_ids)], axis=1)


def _mean_over_folds(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over the folds in which a feature has a value; NaN where none has."""
    stacked = np.stack(parts)
    known = np.isfinite(stacked)
    return np.where(
        known.any(axis=0), np.where(known, stacked, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.nan
    )


def _summary(own: Imputed) -> dict[str, Any]:
    return {
        "seconds": round(own.seconds, 3),
        "metrics": {name: _estimate(own.median(name)) for name in METRICS},
    }


def _differences(imputed: Mapping[str, Imputed]) -> list[dict[str, Any]]:
    """Method minus ridge in each median, and in how many features it has the higher correlation."""
    if REFERENCE not in imputed:
        return []
    reference, found = imputed[REFERENCE], []
    for name, own in imputed.items():
        if name == REFERENCE:
            continue
        for metric in METRICS:
            difference = _estimate(own.median(metric) - reference.median(metric))
            found.append({"method": name, "reference": REFERENCE, "metric": metric, **difference})
        ours, theirs = own.metrics["spearman"][:, 0], reference.metrics["spearman"][:, 0]
        both = np.isfinite(ours) & np.isfinite(theirs)
        share = float((ours[both] > theirs[both]).mean()) if both.any() else None
        found.append({"method": name, "reference": REFERENCE, "metric": ABOVE, "value": share})
    return found


def _estimate(values: Float[np.ndarray, " one_and_resamples"]) -> dict[str, float | None]:
    low, high = percentile_interval(values[1:])
    plain = [float(value) if np.isfinite(value) else None for value in (values[0], low, high)]
    return dict(zip(("value", "low", "high"), plain, strict=True))
