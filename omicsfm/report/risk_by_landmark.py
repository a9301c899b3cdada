"""Figures of landmark predictions: do risks by a horizon come true, and how risks move as people are seen again."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from omicsfm.metrics.horizon import Ended, observed_risk
from omicsfm.report.discrimination import equal_groups
from omicsfm.report.style import BLUE, INK, MUTED, ORANGE, SERIES, draw, number
from omicsfm.report.words import landmark_name

Metrics = Mapping[str, Any]


def risk_of(rows: pd.DataFrame, metrics: Metrics, event: str, day: float) -> pd.Series | None:
    """Predicted risk of the event by a day; None where the method gave none."""
    causes = metrics["kind"] == "competing_risks"
    column = f"incidence_{event}_{day:.0f}" if causes else f"survival_{day:.0f}"
    if column not in rows or rows[column].isna().any():
        return None
    return rows[column] if causes else 1 - rows[column]


def ended(rows: pd.DataFrame, metrics: Metrics, event: str) -> Ended:
    """How follow-up ended, seen from one event."""
    if metrics["kind"] == "competing_risks":
        how = np.where(rows["cause"] == event, 1, np.where(rows["cause"] != "", 2, 0))
    else:
        how = rows["event"].to_numpy(dtype=int)
    return Ended(rows["time_days"].to_numpy(dtype=float), how)


def horizons_of(metrics: Metrics, event: str, asked: float) -> dict[str, float]:
    """The horizon in days at each landmark."""
    return {
        one["label"]: own["days"]
        for one in metrics["landmarks"]
        for own in one["horizons"]
        if own["event"] == event and own["asked"] == asked
    }


def calibration_by_horizon(
    table: pd.DataFrame, metrics: Metrics, method: str, event: str, asked: float, *, least: int
) -> str | None:
    """Observed share (Kaplan-Meier, Aalen-Johansen) against mean predicted risk in groups of similar risk, at each
    landmark, of the first repeat; None where groups would be smaller than ``least``.
    """
    own = table[(table["method"] == method) & (table["repeat"] == table["repeat"].min())]
    shown: dict[str, pd.DataFrame] = {}
    for label, day in horizons_of(metrics, event, asked).items():
        rows = own[own["stratum"] == label]
        risk = risk_of(rows, metrics, event, day)
        if risk is None:
            continue
        parts = equal_groups(rows.assign(risk=risk).sort_values("risk", kind="stable"), least)
        groups = [(part["risk"].mean(), *_observed(part, metrics, event, day)) for part in parts]
        if len(groups) > 1:
            shown[label] = pd.DataFrame(groups, columns=["risk", "observed", "low", "high"])
    if not shown:
        return None

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=(0, (4, 3)))
        for (label, groups), colour in zip(shown.items(), SERIES * 9, strict=False):
            axes.vlines(groups["risk"], groups["low"], groups["high"], color=colour, linewidth=1.6, alpha=0.45)
            said = landmark_name(label)
            axes.plot(groups["risk"], groups["observed"], "o-", color=colour, markersize=6, linewidth=1.4, label=said)
        axes.legend(loc="upper left", fontsize=9.5)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=f"Risk predicted by {method}", ylabel="Observed share")
        axes.set_title(f"{event} within {asked:g} days")

    said = (
        f"{label}: {number(g['observed'], 2)} observed for {number(g['risk'], 2)} predicted"
        for label, groups in shown.items()
        for _, g in groups.iloc[[0, -1]].iterrows()
    )
    alt = f"Calibration of {method} for {event} within {asked:g} days, by landmark. " + "; ".join(said)
    return draw(paint, alt=alt, name=f"calibration-{event}-{asked:g}".replace(".", "-"), width=5.2, height=4.6)


def mean_risk_plot(
    table: pd.DataFrame, metrics: Metrics, method: str, event: str, asked: float, *, least: int
) -> str | None:
    """Mean predicted risk at each landmark, of those who had the event within the horizon and of those known not to
    have had it. None where that would be fewer than ``least`` people somewhere.
    """
    own = table[table["method"] == method]
    means: dict[str, list[float]] = {"had it": [], "did not": []}
    horizons = horizons_of(metrics, event, asked)
    for label, day in horizons.items():
        rows = own[own["stratum"] == label]
        risk, end = risk_of(rows, metrics, event, day), ended(rows, metrics, event)
        if risk is None:
            return None
        for name, among in (("had it", end.case(day)), ("did not", end.free(day))):
            if rows.loc[among, "participant_id"].nunique() < least:
                return None
            means[name].append(float(risk[among].mean()))

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        for (name, values), colour in zip(means.items(), (ORANGE, BLUE), strict=True):
            axes.plot(range(len(values)), values, "o-", color=colour, linewidth=2, label=name)
        axes.set_xticks(range(len(horizons)), [landmark_name(label) for label in horizons])
        axes.set(ylim=(0, 1), xlim=(-0.3, len(horizons) - 0.7), ylabel=f"Mean risk predicted by {method}")
        axes.set_title(f"{event} within {asked:g} days, as it turned out")
        axes.legend(loc="best", fontsize=9.5)

    said = "; ".join(f"{name}: " + ", ".join(number(v, 2) for v in values) for name, values in means.items())
    alt = f"Mean predicted risk of {event} at the landmarks {', '.join(horizons)}. {said}."
    return draw(paint, alt=alt, name=f"risk-{event}-{asked:g}".replace(".", "-"), width=5.2, height=4.2)


def person_plot(table: pd.DataFrame, metrics: Metrics, method: str, person: str) -> str | None:
    """One participant's predicted risk over time, as foretold at each landmark, mean over repeats, and what happened.

    None where the participant is not among the predictions or the method gave no risks.
    """
    own = table[(table["method"] == method) & (table["participant_id"].astype(str) == person)]
    day_of = {one["label"]: one["day"] for one in metrics["landmarks"]}
    seen = [label for label in day_of if (own["stratum"] == label).any()]
    if not seen:
        return None
    paths = []
    for label in seen:
        rows = own[own["stratum"] == label]
        for event in metrics["events"]:
            risks = {0.0: 0.0}
            for day in metrics["curve_days"]:
                risk = risk_of(rows, metrics, event, day)
                if risk is not None:
                    risks[day] = float(risk.mean())
            paths.append((label, event, day_of[label] - day_of[seen[0]] + np.array(list(risks)), list(risks.values())))
    if all(len(risks) < 2 for *_, risks in paths):
        return None
    last = own[own["stratum"] == seen[-1]].iloc[0]
    ended_on = day_of[seen[-1]] - day_of[seen[0]] + float(last["time_days"])
    happened = str(last["cause"]) if "cause" in last else (metrics["outcome"] if last["event"] == 1 else "")

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        styles = dict(zip(metrics["events"], ("-", (0, (4, 2)), (0, (1, 1)), "-."), strict=False))
        for label, event, days, risks in paths:
            colour = SERIES[seen.index(label) % len(SERIES)]
            at = landmark_name(label)
            name = at if len(metrics["events"]) == 1 else f"{event}, {at}"
            axes.plot(
                days, risks, color=colour, linestyle=styles.get(event, "-"), linewidth=2, label=f"foretold at {name}"
            )
        axes.axvline(ended_on, color=INK if happened else MUTED, linewidth=1, linestyle=(0, (4, 3)))
        note = happened or "end of follow-up"
        axes.annotate(note, (ended_on, 0.97), xytext=(-4, 0), textcoords="offset points", ha="right", fontsize=9.5)
        axes.set(ylim=(0, 1), xlabel=f"Days since {landmark_name(seen[0])}", ylabel="Predicted risk")
        axes.set_title(f"Participant {person}, by {method}")
        axes.legend(loc="best", fontsize=9.5)

    said = "; ".join(
        f"foretold at {label}, {event}: {number(risks[-1], 2)} at the last day" for label, event, _, risks in paths
    )
    return draw(
        paint, alt=f"Predicted risk of participant {person} over time. {said}.", name="person", width=6.4, height=4.4
    )


def _observed(part: pd.DataFrame, metrics: Metrics, event: str, day: float) -> Sequence[float]:
    """Observed share and its 95 % interval: Wilson's, for as many people as are known."""
    end = ended(part, metrics, event)
    share = float(observed_risk(end, day, np.ones((len(part), 1)))[0])
    people = max(int((end.case(day) | end.free(day)).sum()), 1)
    z = float(norm.ppf(0.975))
    spread = z * z / people
    centre = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(max(share * (1 - share), 0.0) / people + spread / (4 * people)) / (1 + spread)
    return share, max(centre - half, 0.0), min(centre + half, 1.0)
