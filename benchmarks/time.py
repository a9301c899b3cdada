"""SUITE=time: forecasts, landmarks and histories, on simulated cohorts where the answer is known and on shared ones.

Every task is one ``eval/`` command on identical participant-grouped folds. Simulated cohorts have an oracle that sees
the same noisy measurements (``oracle.py``): its gain from the visit before the last is the margin that was planted.
The shared cohorts need OMICSFM_SHARED. Finished folds are kept in the cache folder.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cohorts import call, prepared
from benchmarks.goal import Goal
from benchmarks.oracle import oracle_errors
from benchmarks.peers import cache_folder
from omicsfm.evaluation.gate import verdict_of

OURS, LAST_VISIT, LAST = "omicsfm", "omicsfm[last_visit]", "last_observation"
SIGNAL, MOMENTUM, FIRST_VISIT = 4.0, 0.8, 3
OF_LAST_VISIT = ("linear_last", "last_and_omics")
FORECASTERS = (LAST, *OF_LAST_VISIT, "mixed_model", "linear", OURS)
PROTEOME = (0.891, 3.16)
"""Pearson and RMSE in weeks of the best single layer of the pregnancy cohort: a ridge of the proteome."""
QUICK = ("model=tiny", "task.epochs=3")


@dataclass(frozen=True)
class VaccineTask:
    """Trained on 2020, tested on later years: the quantity, and how it is asked for."""

    name: str
    asked: tuple[str, ...]


VACCINE = (
    VaccineTask("IgG-PT on day 14", ("--quantity", "igg_pt_day14", "--last", "titres:IgG-PT")),
    VaccineTask("monocytes on day 1", ("--quantity", "monocytes_day1", "--last", "cells:Monocytes")),
    VaccineTask("CCL3 RNA on day 3", ("--quantity", "ccl3_day3", "--last", "transcriptome:ENSG00000277632")),
    VaccineTask("CCL3 protein on day 3", ("--quantity", "proteome:P10147", "--until", "0", "--between", "3", "3")),
)


def run(small: bool) -> list[Goal]:
    """Every task; with ``small`` few repeats and folds of a small encoder, which says that all of it runs."""
    return [
        *_simulated(small),
        *_sepsis(small),
        *_severity(small),
        *_features(small),
        *_vaccine(small),
        *_pregnancy(small),
    ]


def _simulated(small: bool) -> list[Goal]:
    goals = []
    for momentum in (MOMENTUM, 0.0):
        errors, planted = _simulated_errors(momentum, small)
        last_visit = min(errors[name] for name in OF_LAST_VISIT)
        details = {"errors": errors, "oracle": planted}
        ratio = planted["two"] / planted["one"]
        what = f"simulated, momentum {momentum:g}: RMSE against"
        bound = {} if small else {"at_most": round(ratio, 3) if momentum else 1.005}
        goals += [
            Goal(f"{what} the best method of the last visit", errors[OURS], "", last_visit, details=details, **bound),
            Goal(f"{what} itself from the last visit", errors[OURS], "", errors[LAST_VISIT], details=details),
            Goal(f"{what} the oracle of two visits", errors[OURS], "", planted["two"], details=details),
        ]
    return goals


def _simulated_errors(momentum: float, small: bool) -> tuple[dict[str, float], dict[str, float]]:
    people = 100 if small else 300
    folder = cache_folder() / "time" / f"simulated-{people}-{momentum:g}"
    cohort, store = folder / "cohort.h5mu", folder / "store"
    if not store.exists():
        size = ("--participants", str(people), "--visits", "4", "--signal", str(SIGNAL), "--momentum", str(momentum))
        call("-m", "omicsfm.cli", "simulate", str(cohort), *size)
        call("-m", "omicsfm.cli", "prepare", str(cohort), str(store))
    planted = oracle_errors(cohort, signal=SIGNAL, momentum=momentum, first_visit=FIRST_VISIT)
    asked = ("--quantity", "bmi", "--between", "600", "5000", "--methods", ",".join((*FORECASTERS, LAST_VISIT)))
    name = f"simulated-{people}-{momentum:g}-bmi"
    metrics = _measured("forecast", store, name, asked, 1, small, ("model=tiny",))  # eight linear factors fill no more
    return {name: _value(metrics, name) for name in metrics["methods"]}, planted


def _sepsis(small: bool) -> list[Goal]:
    parts = ("metabolome+clinical", "metabolome", "clinical")
    names = [OURS, "landmark_cox", *(f"{kind}[{part}]" for part in parts for kind in ("linear", "logistic"))]
    asked = ("--outcome", "death", "--horizons", "28", "365", "--methods", ",".join(names))
    metrics = _measured("landmark", prepared("sepsis_race"), "sepsis_race-death", asked, 5, small)
    goals = []
    for entry in metrics["reference"]:
        at = {"horizon": entry["horizon"], "landmark": "mean", "metric": "auc"}
        ours, best = (_entry(metrics["scores"], method=m, **at)["value"] for m in (OURS, entry["method"]))
        gain = _entry(metrics["differences"], method=OURS, **at)
        name = f"sepsis_race, death by day {entry['horizon']:g}: AUC over the landmarks against {entry['method']}"
        goals += [Goal(name, ours, "", best, details=gain), _not_lost(f"{name}: lost", [gain], small)]
    return goals


def _severity(small: bool) -> list[Goal]:
    asked = ("--quantity", "who", "--methods", ",".join((*FORECASTERS, LAST_VISIT)))
    metrics = _measured("forecast", prepared("covid_su"), "covid_su-who", asked, 3, small)
    others = {name: _value(metrics, name) for name in metrics["methods"] if name not in (OURS, LAST_VISIT)}
    best = min(others, key=lambda name: others[name])
    bound = {} if small else {"at_most": 1.0}
    return [
        Goal("covid_su, severity: RMSE against the last observation", _value(metrics, OURS), "", others[LAST], **bound),
        Goal(f"covid_su, severity: RMSE against {best}", _value(metrics, OURS), "", others[best], details=others),
        _not_lost(f"covid_su, severity: lost to {best}", [_gain(metrics, best)], small),
    ]


def _features(small: bool) -> list[Goal]:
    metrics = _measured("forecast", prepared("covid_su"), "covid_su-features", ("--every-feature",), 3, small)
    scores = metrics["modalities"]["all"]["methods"]
    bound = {} if small else {"at_most": 1.0}
    name = "covid_su, every feature: median error relative to the last observation"
    return [Goal(name, scores[OURS]["median_ratio"], "", details=scores, **bound)]


def _vaccine(small: bool) -> list[Goal]:
    goals, gains = [], []
    for number, task in enumerate(VACCINE):
        asked = (*task.asked, "--after", "2021", "--time-column", "year", "--methods", ",".join(FORECASTERS))
        metrics = _measured("forecast", prepared("vaccine_cmipb"), f"vaccine_cmipb-{number}", asked, None, small)
        others = {name: _value(metrics, name) for name in metrics["methods"] if name != OURS}
        best = max(others, key=lambda name: others[name])
        goals.append(
            Goal(f"vaccine_cmipb, {task.name}: Spearman against {best}", _value(metrics, OURS), "", others[best])
        )
        gains.append(_gain(metrics, best))
    return [*goals, _not_lost("vaccine_cmipb: tasks lost to the best other method", gains, small)]


def _pregnancy(small: bool) -> list[Goal]:
    asked = ("--outcome", "weeks", "--methods", OURS + ",linear,late_fusion,linear[proteome]")
    one_out = () if small else ("--leave-one-out",)
    metrics = _measured(
        "benchmark", prepared("pregnancy"), "pregnancy-weeks", (*asked, *one_out), 1 if small else None, small
    )
    scores = {name: metrics["methods"][OURS]["metrics"][name]["value"] for name in ("pearson", "rmse")}
    pearson, rmse = PROTEOME
    low, high = ({}, {}) if small else ({"at_least": 1.0}, {"at_most": 1.0})
    return [
        Goal("pregnancy, week: Pearson of all layers against the proteome's", scores["pearson"], "", pearson, **low),
        Goal("pregnancy, week: RMSE of all layers against the proteome's", scores["rmse"], "weeks", rmse, **high),
    ]


def _measured(
    script: str,
    store: Path,
    name: str,
    asked: tuple[str, ...],
    repeats: int | None,
    small: bool,
    overrides: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The metrics.json of one ``eval/`` command; ``repeats`` of five folds unless the command says how it splits."""
    out = cache_folder() / "time" / ("small" if small else "whole") / name
    print(f"{name}: {out}", flush=True)
    folds = () if repeats is None else ("--repeats", str(1 if small else repeats), "--folds", "3" if small else "5")
    config = QUICK if small else overrides
    more = (*(("--resamples", "100") if small else ()), *(("--set", *config) if config else ()))
    call(f"eval/{script}.py", "--store", str(store), "--out", str(out), *asked, *folds, *more)
    found: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return found


def _not_lost(name: str, gains: list[Mapping[str, Any]], small: bool) -> Goal:
    lost = [verdict_of(gain["low"], gain["high"]) for gain in gains].count("lost")
    return Goal(name, lost, "", at_most=None if small else 0, details={"gains": list(gains)})


def _value(metrics: Mapping[str, Any], method: str) -> float:
    return float(metrics["methods"][method]["metrics"][metrics["primary"]]["value"])


def _gain(metrics: Mapping[str, Any], other: str) -> Mapping[str, Any]:
    return _entry(metrics["gains"], other=other)


def _entry(entries: list[Mapping[str, Any]], **wanted: Any) -> Mapping[str, Any]:
    return next(entry for entry in entries if all(entry[key] == value for key, value in wanted.items()))
