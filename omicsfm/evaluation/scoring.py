"""Predictions -> metrics with intervals, and paired differences between methods on the same draws of participants.

Each metric is computed in each repeat over all its folds together and averaged over repeats. Within strata it is
computed in each stratum and averaged over strata. Intervals: see ``metrics/bootstrap.py``. ``fold_mean`` is the
headline metric computed in each fold by itself and averaged, as many papers do: it does not see that one fold's
predictions lie higher than another's, and runs about 0.01 above in AUROC at 100 participants.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.contracts import OutcomeSpec
from omicsfm.evaluation.predictions import read_curves, read_incidence, read_prediction, read_truth
from omicsfm.metrics import HEADLINE, REGISTRY, Metric, SurvivalCurves, metrics_for
from omicsfm.metrics.bootstrap import Repeat, Resamples, draw_resamples, percentile_interval, resampled_mean
from omicsfm.metrics.kaplan_meier import at_risk_time
from omicsfm.metrics.registry import IncidenceCurves
from omicsfm.metrics.survival import LEAST_AT_RISK
from omicsfm.metrics.targets import CompetingTarget, SurvivalTarget, Target
from omicsfm.seeding import derive

WHOLE = "all"


@dataclass(frozen=True)
class Score:
    """A metric's value, and its value in every resample."""

    value: float
    resampled: np.ndarray

    def as_dict(self) -> dict[str, float | None]:
        """Value and 95 % interval; null where undefined."""
        low, high = percentile_interval(self.resampled)
        return {"value": _plain(self.value), "low": _plain(low), "high": _plain(high)}


@dataclass(frozen=True)
class _Part:
    """One repeat (of one stratum) of one method."""

    target: Target
    prediction: Any
    curves: SurvivalCurves | IncidenceCurves | None
    participant_ids: np.ndarray


def score_predictions(
    predictions: pd.DataFrame,
    spec: OutcomeSpec,
    *,
    linear: Sequence[str],
    seed: int,
    resamples: int = 1000,
    headline: str | None = None,
    only: Sequence[str] = (),
    model: str | None = None,
) -> dict[str, Any]:
    """``methods`` and ``differences`` (and ``strata``) of a metrics.json, of the metrics ``only`` where some are named.

    ``linear`` names the methods among which the reference is: the one best in the ``headline`` metric (of the outcome's
    kind where not given). A difference is method minus reference, computed in each resample of participants on both.
    ``gains`` compare ``model`` with every other method in the headline metric, turned so that positive is good.
    """
    headline = headline or HEADLINE[spec.kind]
    strata = sorted(predictions["stratum"].unique()) if "stratum" in predictions else [WHOLE]
    names = list(dict.fromkeys(predictions["method"]))
    by_stratum: dict[str, dict[str, dict[str, Score]]] = {}
    counts: dict[str, dict[str, Any]] = {}
    for stratum in strata:
        own = predictions if stratum == WHOLE else predictions[predictions["stratum"] == stratum]
        draws = draw_resamples(_ids(own), resamples=resamples, seed=derive(seed, "bootstrap", stratum))
        parts = {name: _parts(own[own["method"] == name], spec) for name in names}
        by_stratum[stratum] = {name: _scores(parts[name], draws, only) for name in names}
        counts[stratum] = _counts(own, parts[names[0]][0])
    overall = {name: _mean_over_strata([by_stratum[s][name] for s in strata]) for name in names}
    one = REGISTRY[spec.kind][headline]
    reference = _best(overall, [name for name in names if name in linear], one)
    result: dict[str, Any] = {
        "primary": headline,
        "reference": reference,
        "methods": {
            name: {
                "metrics": _dicts(scores),
                "fold_mean": {headline: _fold_mean(predictions[predictions["method"] == name], spec, one)},
            }
            for name, scores in overall.items()
        },
        "differences": _differences(overall, reference) if reference else [],
        "gains": [] if model is None else _gains(overall, model, one),
        "counts": counts if strata != [WHOLE] else counts[WHOLE],
    }
    if strata != [WHOLE]:
        result["strata"] = {
            stratum: {name: _dicts(scores) for name, scores in methods.items()}
            for stratum, methods in by_stratum.items()
        }
        result["strata_won"] = _strata_won(by_stratum, reference, one) if reference else {}
    return result


def _scores(parts: list[_Part], draws: Resamples, only: Sequence[str]) -> dict[str, Score]:
    scores = {}
    for name, one in metrics_for(parts[0].target).items():
        if only and name not in only:
            continue
        given = [part.curves if one.needs_curves else part.prediction for part in parts]
        if any(prediction is None for prediction in given):
            continue
        value = np.mean([one(part.target, prediction) for part, prediction in zip(parts, given, strict=True)])
        repeats = [_repeat(one, part, prediction) for part, prediction in zip(parts, given, strict=True)]
        scores[name] = Score(float(value), resampled_mean(repeats, draws))
    return scores


def _repeat(one: Metric, part: _Part, prediction: Any) -> Repeat:
    return Repeat(lambda weights: one(part.target, prediction, weights), part.participant_ids)


def _parts(rows: pd.DataFrame, spec: OutcomeSpec) -> list[_Part]:
    parts = []
    for _, own in rows.groupby("repeat", sort=True):
        target = read_truth(own, spec)
        curves: SurvivalCurves | IncidenceCurves | None = None
        if isinstance(target, SurvivalTarget):
            curves = _followed(read_curves(own), target)
        elif isinstance(target, CompetingTarget):
            curves = _followed(read_incidence(own, spec), target)
        parts.append(_Part(target, read_prediction(own, spec), curves, _ids(own)))
    return parts


def _fold_mean(rows: pd.DataFrame, spec: OutcomeSpec, one: Metric) -> float | None:
    """The headline metric by fold (and stratum), averaged over the folds in which it is defined, then over strata."""
    keys = ["repeat", "fold", *(["stratum"] if "stratum" in rows else [])]
    values = rows.groupby(keys)[rows.columns.tolist()].apply(
        lambda own: one(read_truth(own, spec), read_prediction(own, spec))
    )
    if "stratum" in rows:
        values = values.groupby("stratum").mean()
    return _plain(float(values.mean()))


def _followed(
    curves: SurvivalCurves | IncidenceCurves | None, target: SurvivalTarget | CompetingTarget
) -> SurvivalCurves | IncidenceCurves | None:
    """The curves at the grid days by which at least 10 % of these rows are still followed."""
    if curves is None:
        return None
    kept = curves.times_days < at_risk_time(target.time_days, LEAST_AT_RISK)
    return type(curves)(curves.times_days[kept], curves.probability[..., kept]) if kept.any() else None


def _mean_over_strata(scores: list[dict[str, Score]]) -> dict[str, Score]:
    if len(scores) == 1:
        return scores[0]
    shared = [name for name in scores[0] if all(name in own for own in scores)]
    return {
        name: Score(
            float(np.mean([own[name].value for own in scores])),
            np.mean([own[name].resampled for own in scores], axis=0),
        )
        for name in shared
    }


def _best(overall: Mapping[str, Mapping[str, Score]], among: list[str], headline: Metric) -> str | None:
    known = [name for name in among if np.isfinite(overall[name][headline.name].value)]
    return min(known, key=lambda name: headline.loss(overall[name][headline.name].value)) if known else None


def _differences(overall: Mapping[str, Mapping[str, Score]], reference: str) -> list[dict[str, Any]]:
    found = []
    for name, scores in overall.items():
        if name == reference:
            continue
        for metric_name, score in scores.items():
            if metric_name not in overall[reference]:
                continue
            other = overall[reference][metric_name]
            paired = Score(score.value - other.value, score.resampled - other.resampled)
            found.append({"method": name, "reference": reference, "metric": metric_name, **paired.as_dict()})
    return found


def _gains(overall: Mapping[str, Mapping[str, Score]], model: str, headline: Metric) -> list[dict[str, Any]]:
    """``p`` is two-sided: twice the share of resamples on the rarer side of 0."""
    own, found = overall[model][headline.name], []
    for name, scores in overall.items():
        if name == model:
            continue
        other = scores[headline.name]
        value = headline.loss(other.value) - headline.loss(own.value)
        resampled = headline.loss(other.resampled) - headline.loss(own.resampled)
        known = resampled[np.isfinite(resampled)]
        rarer = min((known <= 0).sum(), (known >= 0).sum())
        p = min(1.0, 2 * (rarer + 1) / (len(known) + 1))  # never 0: no finite number of resamples shows that
        found.append({"model": model, "other": name, **Score(value, resampled).as_dict(), "p": _plain(p)})
    return found


def _strata_won(
    by_stratum: Mapping[str, Mapping[str, Mapping[str, Score]]], reference: str, headline: Metric
) -> dict[str, dict[str, int]]:
    """In how many strata each method is better than the reference, tied with it or worse, by the paired interval."""
    counted: dict[str, dict[str, int]] = {}
    for methods in by_stratum.values():
        for name, scores in methods.items():
            if name == reference:
                continue
            tally = counted.setdefault(name, {"better": 0, "tied": 0, "worse": 0})
            ours, theirs = scores[headline.name].resampled, methods[reference][headline.name].resampled
            low, high = percentile_interval(headline.loss(theirs) - headline.loss(ours))
            tally["better" if low > 0 else "worse" if high < 0 else "tied"] += 1
    return counted


def _counts(rows: pd.DataFrame, part: _Part) -> dict[str, Any]:
    counts: dict[str, Any] = {"participants": int(rows["participant_id"].nunique()), "visits": len(part.target)}
    target = part.target
    if isinstance(target, SurvivalTarget | CompetingTarget):
        counts["events"] = int(target.event.sum())
        counts["uno_tau_days"] = at_risk_time(target.time_days, LEAST_AT_RISK)
        counts["brier_grid_days"] = [] if part.curves is None else part.curves.times_days.tolist()
    return counts


def _ids(rows: pd.DataFrame) -> np.ndarray:
    return rows["participant_id"].to_numpy(dtype=str)


def _dicts(scores: Mapping[str, Score]) -> dict[str, dict[str, float | None]]:
    return {name: score.as_dict() for name, score in scores.items()}


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
