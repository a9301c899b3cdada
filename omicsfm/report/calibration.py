"""Do the predicted risks come true: groups of similar risk, what was predicted for them and what happened."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from omicsfm.report.discrimination import equal_groups
from omicsfm.report.results import Results
from omicsfm.report.style import INK, MUTED, PALE, draw, number
from omicsfm.report.survival_curves import survival_curve


def calibration_plot(results: Results, *, least: int) -> str | None:
    """Observed share against predicted risk, over how often each risk was given; None for too few people.

    For survival the risk is that of an event by the horizon at which most is known (columns ``survival_<days>``), and
    the observed share is Kaplan-Meier's. For several classes the risk is the probability of the class predicted.
    """
    shown = []
    for method in results.contrast:
        risks, what = predicted_risks(results, method)
        groups = _groups(risks, least)
        if len(groups) >= 2:
            shown.append((method, risks, groups))
    if not shown:
        return None

    def paint(figure: Any) -> None:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=(0, (4, 3)))
        for method, risks, groups in shown:
            colour = results.colour(method)
            axes.vlines(groups["risk"], groups["low"], groups["high"], color=colour, linewidth=1.6, alpha=0.55)
            axes.plot(groups["risk"], groups["observed"], "o-", color=colour, markersize=6, linewidth=1.4, label=method)
            people, edges = _histogram(risks, least)
            below.stairs(people, edges, color=colour, linewidth=1.5)
        axes.legend(loc="upper left", fontsize=9.5)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), ylabel=f"Observed share of {what}")
        axes.set_title("Does the predicted risk come true?")
        below.set_ylim(bottom=0)
        below.set_ylabel("people", color=MUTED, fontsize=9)
        below.set_xlabel(f"Predicted risk of {what}")
        below.spines["left"].set_color(PALE)

    alt = f"Calibration: observed share of {what} against predicted risk. " + "; ".join(
        f"{method}: {number(group['observed'], 2)} observed for {number(group['risk'], 2)} predicted"
        for method, _, groups in shown
        for _, group in groups.iloc[[0, -1]].iterrows()
    )
    return draw(paint, alt=alt, name="calibration", width=5.2, height=5.0)


def predicted_risks(results: Results, method: str) -> tuple[pd.DataFrame, str]:
    """Risks of the first repeat with what happened (``event``; ``time`` and ``horizon`` for survival), and its name."""
    table = results.of(method)
    table = table[table["repeat"] == table["repeat"].min()]
    risks = table[["participant_id"]].copy()
    if results.kind == "survival":
        horizon = best_horizon(table)
        if horizon is None:
            return risks.iloc[:0].assign(risk=0.0, event=False), f"'{results.outcome}'"
        risks["risk"] = 1 - table[f"survival_{horizon:g}"]
        risks["event"], risks["time"], risks["horizon"] = table["event"] == 1, table["time_days"], horizon
        return risks.dropna(subset=["risk"]), f"'{results.outcome}' within {horizon:,.0f} days"
    probabilities = table[[f"p_{label}" for label in results.classes]].to_numpy()
    if len(results.classes) == 2:
        risks["risk"] = probabilities[:, 1]
        risks["event"] = (table["y_true"].astype(str) == results.classes[1]).to_numpy()
        return risks, f"'{results.classes[1]}'"
    guess = np.array(results.classes)[probabilities.argmax(axis=1)]
    risks["risk"] = probabilities.max(axis=1)
    risks["event"] = table["y_true"].astype(str).to_numpy() == guess
    return risks, "a right answer"


def best_horizon(table: pd.DataFrame) -> float | None:
    """The horizon in days, of the columns ``survival_<days>``, at which the most people's state is known and mixed."""
    known = [column for column in table if column.startswith("survival_") and table[column].notna().any()]
    horizons = [float(column.removeprefix("survival_")) for column in known]
    if not horizons:
        return None
    event, time = table["event"] == 1, table["time_days"]
    return max(horizons, key=lambda h: min(int((event & (time <= h)).sum()), int((time > h).sum())))


def _groups(risks: pd.DataFrame, least: int) -> pd.DataFrame:
    rows = []
    for part in equal_groups(risks.sort_values("risk", kind="stable"), least):
        if "time" in part:
            curve = survival_curve(part["time"], part["event"])
            place = int(np.searchsorted(curve["time_days"], part["horizon"].iloc[0], side="right")) - 1
            observed, low, high = (1 - float(curve[name].iloc[place]) for name in ("survival", "high", "low"))
        else:
            observed = float(part["event"].mean())
            low, high = wilson(int(part["event"].sum()), len(part))
        rows.append({"risk": part["risk"].mean(), "observed": observed, "low": low, "high": high})
    return pd.DataFrame(rows, columns=["risk", "observed", "low", "high"])


def wilson(events: int, people: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's (1927) score interval of a share."""
    z = float(norm.ppf(0.5 + confidence / 2))
    share, spread = events / people, z * z / people
    centre = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / people + spread / (4 * people)) / (1 + spread)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def _histogram(risks: pd.DataFrame, least: int) -> tuple[np.ndarray, np.ndarray]:
    """People per tenth of risk; a bin with fewer than ``least`` is drawn empty."""
    edges = np.linspace(0, 1, 11)
    bin_of = np.clip(np.digitize(risks["risk"], edges) - 1, 0, 9)
    people = risks.groupby(bin_of)["participant_id"].nunique().reindex(range(10), fill_value=0).to_numpy()
    return np.where(people >= least, people, 0), edges
