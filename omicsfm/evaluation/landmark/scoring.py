"""Landmark predictions -> scores at every landmark and horizon, their means over landmarks, and paired differences.

Every number is computed in each repeat over all its folds together and averaged over repeats. One draw of participants
is scored at all landmarks, so that the interval of a mean over landmarks knows that they hold the same people.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from omicsfm.contracts import OutcomeSpec
from omicsfm.evaluation.landmark.task import Landmark
from omicsfm.evaluation.predictions import CURVE, INCIDENCE, read_truth
from omicsfm.metrics import SurvivalCurves, horizon
from omicsfm.metrics.bootstrap import Resamples, draw_resamples, percentile_interval
from omicsfm.metrics.horizon import Ended
from omicsfm.metrics.risk_calibration import d_calibration, integrated_calibration_index
from omicsfm.metrics.survival import harrell_c, integrated_brier
from omicsfm.metrics.targets import CompetingTarget, SurvivalTarget
from omicsfm.seeding import derive

OVERALL = "mean"
"""Name of the mean over landmarks among them."""
AT_HORIZON = {
    "auc": horizon.auc,
    "uno_c": horizon.concordance,
    "brier": horizon.brier,
    "observed_to_expected": horizon.observed_to_expected,
}
"""Metrics of a risk by a horizon, with intervals."""
HEADLINE = "auc"


@dataclass(frozen=True)
class Value:
    """A score, and its value in every resample; none where it has no interval."""

    value: float
    resampled: Float[np.ndarray, " resamples"] | None = None

    def as_dict(self) -> dict[str, float | None]:
        """Value and 95 % interval; null where undefined."""
        low, high = (np.nan, np.nan) if self.resampled is None else percentile_interval(self.resampled)
        return {name: _plain(number) for name, number in (("value", self.value), ("low", low), ("high", high))}


Key = tuple[str, str, float, str, str]
"""Event, landmark, horizon as asked for (0: the whole curve), method, metric."""


def score_landmarks(
    predictions: pd.DataFrame,
    spec: OutcomeSpec,
    landmarks: Sequence[Landmark],
    *,
    linear: Sequence[str],
    seed: int,
    resamples: int,
) -> dict[str, Any]:
    """``scores`` and ``differences`` of a metrics.json, one entry a score, and the ``reference`` of each horizon.

    ``linear`` names the methods among which the reference is: the one best in AUC, averaged over landmarks.
    """
    draws = draw_resamples(_ids(predictions), resamples=resamples, seed=derive(seed, "bootstrap"))
    found: dict[Key, Value] = {}
    for landmark in landmarks:
        own = predictions[predictions["stratum"] == landmark.label]
        for method, rows in own.groupby("method", sort=False):
            repeats = [repeat for _, repeat in rows.groupby("repeat", sort=True)]
            for event, asked, metric, value in _scores(repeats, spec, landmark, draws):
                found[event, landmark.label, asked, str(method), metric] = value
    found |= _means(found, [landmark.label for landmark in landmarks])
    reference = _references(found, linear)
    return {
        "primary": HEADLINE,
        "reference": [{"event": event, "horizon": day, "method": name} for (event, day), name in reference.items()],
        "scores": [{**_named(key), **value.as_dict()} for key, value in found.items()],
        "differences": list(_differences(found, reference)),
    }


def events_of(spec: OutcomeSpec) -> tuple[str, ...]:
    """What is predicted: the outcome itself, or each of its causes."""
    return spec.classes or (spec.name,)


def ended_of(target: SurvivalTarget | CompetingTarget, number: int) -> Ended:
    """How follow-up ended, seen from the event of one cause (from 0)."""
    if isinstance(target, SurvivalTarget):
        return Ended(target.time_days, target.event.astype(np.int64))
    return Ended(target.time_days, np.where(target.cause == number + 1, 1, np.where(target.cause > 0, 2, 0)))


def risk_column(spec: OutcomeSpec, event: str, day: float) -> str:
    """The column of predictions that a risk by a day is read from."""
    return f"{INCIDENCE}{event}_{day:.0f}" if spec.classes else f"{CURVE}{day:.0f}"


def risks(rows: pd.DataFrame, spec: OutcomeSpec, event: str, day: float) -> Float[np.ndarray, " rows"] | None:
    """Predicted risks of the event by a day; None where the method gave none."""
    column = risk_column(spec, event, day)
    if column not in rows or rows[column].isna().any():
        return None
    value = rows[column].to_numpy(dtype=np.float64)
    return value if spec.classes else 1 - value


def _scores(
    repeats: list[pd.DataFrame], spec: OutcomeSpec, landmark: Landmark, draws: Resamples
) -> Iterator[tuple[str, float, str, Value]]:
    for number, event in enumerate(events_of(spec)):
        for asked, day in landmark.horizons.items():
            parts = [_part(own, spec, number, event, day) for own in repeats]
            known = [part for part in parts if part is not None]
            if len(known) < len(parts):
                continue
            for name, compute in AT_HORIZON.items():
                values = [_scored(partial(compute, ended, risk, day), ids, draws) for ended, risk, ids in known]
                yield event, asked, name, _mean(values)
            index = [integrated_calibration_index(ended, risk, day) for ended, risk, _ in known]
            yield event, asked, "ici", Value(float(np.mean(index)))
    if not spec.classes:
        yield from ((spec.name, 0.0, name, value) for name, value in _whole_curve(repeats, spec, landmark, draws))


def _part(
    rows: pd.DataFrame, spec: OutcomeSpec, number: int, event: str, day: float
) -> tuple[Ended, np.ndarray, np.ndarray] | None:
    """How follow-up ended, the predicted risk, and whose row it is; None where the method gave no risk."""
    risk, target = risks(rows, spec, event, day), read_truth(rows, spec)
    assert isinstance(target, SurvivalTarget | CompetingTarget)
    return None if risk is None else (ended_of(target, number), risk, _ids(rows))


def _whole_curve(
    repeats: list[pd.DataFrame], spec: OutcomeSpec, landmark: Landmark, draws: Resamples
) -> Iterator[tuple[str, Value]]:
    furthest = max(landmark.horizons.values())
    ranked, brier, uniform = [], [], []
    for own in repeats:
        target, ids = read_truth(own, spec), _ids(own)
        assert isinstance(target, SurvivalTarget)
        log_hazard = own["y_pred"].to_numpy(dtype=np.float64)
        ranked.append(_scored(partial(_weighted, harrell_c, target, log_hazard), ids, draws))
        curves = _curves(own, furthest)
        if curves is not None and len(curves.times_days) > len(set(landmark.horizons.values())):
            brier.append(_scored(partial(_weighted, integrated_brier, target, curves), ids, draws))
            uniform.append(d_calibration(target, curves))
    yield "harrell_c", _mean(ranked)
    if brier:
        yield "integrated_brier", _mean(brier)
        yield "d_calibration_p", Value(float(np.median(uniform)))


def _weighted(metric: Any, target: SurvivalTarget, prediction: Any, weights: np.ndarray) -> np.ndarray:
    return metric(target, prediction, weights)


def _curves(rows: pd.DataFrame, furthest: float) -> SurvivalCurves | None:
    """Predicted survival at the days up to the furthest horizon, of those that the method predicted."""
    days = sorted(
        float(name.removeprefix(CURVE)) for name in rows if name.startswith(CURVE) and rows[name].notna().all()
    )
    days = [day for day in days if day <= furthest]
    if not days:
        return None
    return SurvivalCurves(np.array(days), rows[[f"{CURVE}{day:.0f}" for day in days]].to_numpy(dtype=np.float64))


def _scored(
    compute: Callable[[np.ndarray], np.ndarray], ids: np.ndarray, draws: Resamples
) -> tuple[float, Float[np.ndarray, " resamples"]]:
    whole = float(compute(np.ones((len(ids), 1)))[0])
    return whole, np.concatenate([compute(weights) for weights in draws.weights(ids)])


def _mean(values: list[tuple[float, np.ndarray]]) -> Value:
    return Value(float(np.mean([value for value, _ in values])), np.mean([drawn for _, drawn in values], axis=0))


def _means(found: Mapping[Key, Value], labels: list[str]) -> dict[Key, Value]:
    """Over landmarks, of what all of them have; a p-value has no mean."""
    means: dict[Key, Value] = {}
    for event, label, asked, method, metric in found:
        if label != labels[0] or metric == "d_calibration_p" or len(labels) < 2:
            continue
        own = [found.get((event, other, asked, method, metric)) for other in labels]
        known = [value for value in own if value is not None]
        if len(known) == len(labels):
            drawn = [value.resampled for value in known if value.resampled is not None]
            mean = np.mean(drawn, axis=0) if drawn else None
            means[event, OVERALL, asked, method, metric] = Value(float(np.mean([v.value for v in known])), mean)
    return means


def _references(found: Mapping[Key, Value], linear: Sequence[str]) -> dict[tuple[str, float], str]:
    best: dict[tuple[str, float], tuple[float, str]] = {}
    place = OVERALL if any(label == OVERALL for _, label, *_ in found) else None
    for (event, label, asked, method, metric), value in found.items():
        if metric == HEADLINE and label == (place or label) and method in linear and np.isfinite(value.value):
            best[event, asked] = max(best.get((event, asked), (-1.0, "")), (value.value, method))
    return {key: name for key, (_, name) in best.items()}


def _differences(found: Mapping[Key, Value], reference: Mapping[tuple[str, float], str]) -> Iterator[dict[str, Any]]:
    """Each method minus the reference of its horizon, on the same draws; of a whole curve, minus that of the last."""
    last = {event: name for (event, _), name in sorted(reference.items())}
    for key, value in found.items():
        event, label, asked, method, metric = key
        rival = reference.get((event, asked)) if asked else last.get(event)
        other = found.get((event, label, asked, rival, metric)) if rival else None
        if rival is None or other is None or method == rival or value.resampled is None or other.resampled is None:
            continue
        paired = Value(value.value - other.value, value.resampled - other.resampled)
        yield {**_named(key), "reference": rival, **paired.as_dict()}


def _named(key: Key) -> dict[str, Any]:
    return dict(zip(("event", "landmark", "horizon", "method", "metric"), key, strict=True))


def _ids(rows: pd.DataFrame) -> np.ndarray:
    return rows["participant_id"].to_numpy(dtype=str)


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
