"""Kaplan-Meier curves by tertile of predicted risk, with the numbers at risk."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from omicsfm.metrics.kaplan_meier import kaplan_meier
from omicsfm.metrics.targets import SurvivalTarget
from omicsfm.report.results import Results
from omicsfm.report.style import BLUE, GREEN, INK, MUTED, ORANGE, count, draw, number

TERTILES = {"high risk": ORANGE, "middle": GREEN, "low risk": BLUE}


def survival_curve(time_days: pd.Series, event: pd.Series, confidence: float = 0.95) -> pd.DataFrame:
    """Kaplan-Meier: columns time_days, survival, low, high, at_risk; one row per distinct time, and one for day 0.

    The interval is from Greenwood's variance on the log-log scale (Kalbfleisch and Prentice 2002, section 1.4).
    """
    found = kaplan_meier(SurvivalTarget(time_days.to_numpy(dtype=float), event.to_numpy(dtype=bool)))
    survival, left = found.survival, found.at_risk - found.events
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.cumsum(found.events / (found.at_risk * left))
        half = norm.ppf(0.5 + confidence / 2) * np.sqrt(variance) / np.log(survival)
        low, high = survival ** np.exp(-half), survival ** np.exp(half)
    inside = (survival > 0) & (survival < 1)
    low, high = (np.where(inside, end, survival) for end in (low, high))
    curve = pd.DataFrame(
        {"time_days": found.time_days, "survival": survival, "low": low, "high": high, "at_risk": found.at_risk}
    )
    start = pd.DataFrame([{"time_days": 0.0, "survival": 1.0, "low": 1.0, "high": 1.0, "at_risk": float(len(event))}])
    return pd.concat([start, curve[curve["time_days"] > 0]], ignore_index=True)


def risk_tertiles(predictions: pd.DataFrame) -> pd.Series:
    """Each person's tertile of predicted risk in the first repeat, among those tested in the same fold and stratum.

    Within folds, because the log risks of two fitted models have no common zero.
    """
    first = predictions[predictions["repeat"] == predictions["repeat"].min()]
    rank = first.groupby(["fold", "stratum"] if "stratum" in first else "fold")["y_pred"].rank(pct=True, method="first")
    return pd.cut(rank, [0, 1 / 3, 2 / 3, 1], labels=["low risk", "middle", "high risk"]).astype(str)


def survival_plot(results: Results, *, least: int) -> str | None:
    """The curves; each ends where fewer than ``least`` are at risk. None where a tertile has fewer than that."""
    table = results.of(results.focus)
    tertile = risk_tertiles(table)
    table = table.loc[tertile.index]
    groups = {name: table[tertile == name] for name in TERTILES}
    if min(group["participant_id"].nunique() for group in groups.values()) < least:
        return None
    curves = {name: survival_curve(group["time_days"], group["event"] == 1) for name, group in groups.items()}
    seen = {name: curve[curve["at_risk"] >= least] for name, curve in curves.items()}
    ticks = _ticks(max(float(curve["time_days"].max()) for curve in seen.values()))
    per, unit = (365.25, "years") if ticks[-1] > 1200 else (1.0, "days")

    def paint(figure: Any) -> None:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[5, 1])
        heights = _apart({name: float(curve["survival"].iloc[-1]) for name, curve in seen.items()}, 0.07)
        for name, curve in seen.items():
            x, colour = curve["time_days"] / per, TERTILES[name]
            axes.step(x, curve["survival"], where="post", color=colour, linewidth=2.2)
            axes.fill_between(x, curve["low"], curve["high"], step="post", color=colour, alpha=0.12, linewidth=0)
            axes.annotate(
                name,
                (float(x.iloc[-1]), heights[name]),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                color=colour,
                fontweight="bold",
                fontsize=9.5,
            )
        axes.set(xlim=(0, ticks[-1] / per * 1.2), ylim=(0, 1.02), ylabel=f"Share without '{results.outcome}'")
        axes.set_title(f"What happened, by risk predicted by {results.focus}")
        below.set_xticks(ticks / per)
        below.set_xlabel(f"Time since the visit ({unit})")
        _write_at_risk(below, groups, ticks, per=per, least=least)

    last = {name: float(curve["survival"].iloc[-1]) for name, curve in seen.items()}
    alt = f"Kaplan-Meier curves by tertile of the risk predicted by {results.focus}; without the event at the end: "
    alt += ", ".join(f"{name} {number(value, 2)}" for name, value in last.items()) + "."
    return draw(paint, alt=alt, name="survival", width=5.2, height=5.0)


def _write_at_risk(axes: Any, groups: dict[str, pd.DataFrame], ticks: np.ndarray, *, per: float, least: int) -> None:
    """How many of each group are still followed at each tick, under the curves."""
    axes.set_ylim(len(groups) - 0.4, -0.9)
    axes.set_yticks(range(len(groups)), list(groups), fontsize=9)
    axes.grid(visible=False)
    axes.tick_params(axis="y", length=0, pad=14)
    axes.spines["left"].set_visible(False)
    axes.set_title("people still followed", color=MUTED, fontsize=9, fontweight="normal", pad=0)
    for row, (name, group) in enumerate(groups.items()):
        axes.get_yticklabels()[row].set_color(TERTILES[name])
        for tick in ticks:
            left = int((group["time_days"] >= tick).sum())
            axes.text(tick / per, row, count(left, least), ha="center", va="center", fontsize=9, color=INK)


def _ticks(last_day: float) -> np.ndarray:
    """Four to seven round times from 0 to just past the last day."""
    for step in (1, 2, 5, 7, 14, 30, 60, 90, 180, 365.25, 730.5, 1826.25, 3652.5):
        if last_day / step <= 6.5:
            return np.arange(0, last_day + step * 0.5, step)
    return np.linspace(0, last_day, 5)


def _apart(heights: dict[str, float], gap: float) -> dict[str, float]:
    """Label heights moved up just far enough not to overlap."""
    placed: dict[str, float] = {}
    floor = 0.03
    for name, height in sorted(heights.items(), key=lambda item: item[1]):
        floor = max(height, floor)
        placed[name] = floor
        floor += gap
    return placed
