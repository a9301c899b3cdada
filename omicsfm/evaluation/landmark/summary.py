"""Landmark scores as a text table: methods by landmarks, for each event and horizon."""

from collections.abc import Mapping
from typing import Any

from omicsfm.evaluation.summary import aligned, verdict


def landmark_table(metrics: Mapping[str, Any]) -> str:
    """For each event and horizon: every method's AUC at each landmark and their mean, and the verdict on the mean."""
    labels = [one["label"] for one in metrics["landmarks"]]
    columns = [*labels, "mean"] if len(labels) > 1 else labels
    found = {
        (s["event"], s["horizon"], s["method"], s["landmark"]): s
        for s in metrics["scores"]
        if s["metric"] == metrics["primary"]
    }
    against = {
        (d["event"], d["horizon"], d["method"]): d
        for d in metrics["differences"]
        if d["metric"] == metrics["primary"] and d["landmark"] == columns[-1]
    }
    lines = []
    for entry in metrics["reference"]:
        event, horizon, reference = entry["event"], entry["horizon"], entry["method"]
        heads = [_head(one, event, horizon) for one in metrics["landmarks"]]
        lines.append(f"{event} within {horizon:g} days of the landmark, AUC ({'; '.join(heads)})")
        rows = [("method", *columns, f"against {reference}")]
        names = [name for name in metrics["methods"] if (event, horizon, name, columns[-1]) in found]
        for name in sorted(names, key=lambda one: -(found[event, horizon, one, columns[-1]]["value"] or 0)):
            cells = [_cell(found.get((event, horizon, name, label))) for label in columns]
            said = against.get((event, horizon, name))
            rows.append(
                (name, *cells, "reference" if name == reference else verdict(said, high_is_good=True) if said else "")
            )
        lines += [aligned(rows), ""]
    return "\n".join(lines).rstrip()


def _head(landmark: Mapping[str, Any], event: str, horizon: float) -> str:
    own = next(one for one in landmark["horizons"] if one["event"] == event and one["asked"] == horizon)
    days = "" if own["days"] == horizon else f" by day {own['days']:g}"
    return f"{landmark['label']}: {own['cases']} of {landmark['participants']}{days}"


def _cell(score: Mapping[str, Any] | None) -> str:
    if score is None or score["value"] is None:
        return ""
    ends = "" if score["low"] is None else f" ({score['low']:.3f} to {score['high']:.3f})"
    return f"{score['value']:.3f}{ends}"
