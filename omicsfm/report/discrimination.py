"""Does the prediction tell people apart: ROC curves, and predicted against observed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from sklearn.metrics import roc_curve

from omicsfm.report.results import Results
from omicsfm.report.style import BLUE, INK, MUTED, ORANGE, PALE, SERIES, draw, number

GRID_POINTS = 101  # of the false-positive rate; a fixed grid also keeps single people out of the curve


def mean_roc(
    predictions: pd.DataFrame, positive: str
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
    """False- and true-positive rates, averaged vertically over repeats (and strata); folds are pooled.

    Vertical averaging: Fawcett (2006), algorithm 3.
    """
    grid = np.linspace(0, 1, GRID_POINTS)
    curves = []
    for _, part in predictions.groupby(["repeat", "stratum"] if "stratum" in predictions else "repeat"):
        truth = part["y_true"].astype(str) == positive
        if truth.nunique() < 2:
            continue
        false_rate, true_rate, _ = roc_curve(truth, part[f"p_{positive}"])
        curve = np.interp(grid, false_rate, true_rate)
        curve[0] = 0.0
        curves.append(curve)
    return grid, np.mean(curves, axis=0) if curves else np.full(GRID_POINTS, np.nan)


def roc_plot(results: Results, *, least: int) -> str | None:
    """ROC curves: of every method for two classes, of the method in focus class by class for more.

    None where a class has fewer than ``least`` participants.
    """
    first = results.of(results.focus)
    people = first.groupby(first["y_true"].astype(str))["participant_id"].nunique()
    if len(people) < 2 or people.min() < least:
        return None
    curves = []
    if len(results.classes) == 2:
        positive = results.classes[-1]
        for method in results.ranked:
            label = f"{method}  {number(results.value(method, 'auroc'))}"
            curves.append((label, results.colour(method), *mean_roc(results.of(method), positive)))
        title = f"Telling '{positive}' from '{results.classes[0]}' (AUROC)"
    else:
        for place, label in enumerate(results.classes):
            curves.append((f"{label} against the rest", SERIES[place % len(SERIES)], *mean_roc(first, label)))
        title = f"{results.focus}, each class against the rest"

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=PALE, linewidth=1, linestyle=(0, (4, 3)))
        for label, colour, x, y in curves:
            lead = colour in (BLUE, ORANGE) or len(results.classes) > 2
            axes.plot(x, y, color=colour, linewidth=2.4 if lead else 1.3, label=label, zorder=5 if lead else 4)
        legend = axes.legend(loc="lower right", fontsize=9.5, handlelength=1.4, labelspacing=0.3)
        for text, handle in zip(legend.get_texts(), legend.get_lines(), strict=True):
            text.set_color(handle.get_color())
        axes.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal", title=title)
        axes.set_xlabel("False alarms (1 − specificity)")
        axes.set_ylabel("Found (sensitivity)")

    alt = f"ROC curves for {results.outcome}: " + "; ".join(label for label, *_ in curves) + "."
    return draw(paint, alt=alt, name="roc", width=5.2, height=5.0)


def agreement_plot(results: Results, *, least: int) -> str | None:
    """Mean observed value of groups of people with similar predictions; None under two groups of ``least`` people.

    Groups, not points: a point would be a person.
    """
    shown = [(method, _groups(results.of(method), least)) for method in results.contrast]
    shown = [(method, groups) for method, groups in shown if len(groups) >= 2]
    if not shown:
        return None

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        low = min(min(groups["predicted"].min(), groups["low"].min()) for _, groups in shown)
        high = max(max(groups["predicted"].max(), groups["high"].max()) for _, groups in shown)
        axes.plot([low, high], [low, high], color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate("perfect", (low, low), xytext=(16, 2), textcoords="offset points", color=MUTED)
        for method, groups in shown:
            colour = results.colour(method)
            axes.vlines(groups["predicted"], groups["low"], groups["high"], color=colour, linewidth=1.6, alpha=0.55)
            axes.plot(groups["predicted"], groups["observed"], "o-", color=colour, linewidth=1.4, label=method)
        axes.legend(loc="upper left", fontsize=9.5)
        axes.set(xlabel=f"Predicted {results.outcome}", ylabel=f"Observed {results.outcome}")
        axes.set_title("Predicted against observed")

    alt = f"Observed {results.outcome} against predicted, in groups of people with similar predictions: " + "; ".join(
        f"{method}: {number(group['observed'], 1)} observed for {number(group['predicted'], 1)} predicted"
        for method, groups in shown
        for _, group in groups.iloc[[0, -1]].iterrows()
    )
    return draw(paint, alt=alt, name="agreement", width=5.2, height=5.0)


def error_plot(results: Results, *, least: int) -> str | None:
    """Share of the predictions that are off by at most so much, in steps of ``least`` predictions or more.

    The curve stops one step before the largest error, which is a single person's.
    """
    shown = []
    for method in results.contrast:
        table = results.of(method)
        table = table[table["repeat"] == table["repeat"].min()]
        error = (table["y_pred"] - table["y_true"]).abs().to_numpy()
        steps = min(50, table["participant_id"].nunique() // max(least, 1))
        if steps > 2:
            share = np.arange(1, steps) / steps
            reached = np.r_[0.0, np.quantile(error, share)]
            shown.append((method, reached, np.r_[0.0, share], float(np.median(error))))
    if not shown:
        return None

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.axhline(0.5, color=PALE, linewidth=1, linestyle=(0, (4, 3)))
        for method, error, share, middle in shown:
            label = f"{method}: half within {number(middle, 2)}"
            axes.plot(error, share, color=results.colour(method), linewidth=2.2, label=label)
        axes.legend(loc="lower right", fontsize=9.5, handlelength=1.4)
        axes.set(xlabel=f"Error in {results.outcome}, at most", ylabel="Share of predictions", ylim=(0, 1.02))
        axes.set_xlim(left=0)
        axes.set_title("How far off are they?")

    alt = "Share of predictions by size of error: " + "; ".join(
        f"half of those of {method} are within {number(middle, 2)}" for method, *_, middle in shown
    )
    return draw(paint, alt=alt + ".", name="error", width=5.2, height=5.0)


def _groups(predictions: pd.DataFrame, least: int) -> pd.DataFrame:
    """Equal groups by prediction, each of ``least`` participants or more: their means, and the observed quartiles."""
    ordered = predictions[predictions["repeat"] == predictions["repeat"].min()].sort_values("y_pred", kind="stable")
    rows = []
    for part in equal_groups(ordered, least):
        low, high = np.quantile(part["y_true"], [0.25, 0.75])
        rows.append({"predicted": part["y_pred"].mean(), "observed": part["y_true"].mean(), "low": low, "high": high})
    return pd.DataFrame(rows, columns=["predicted", "observed", "low", "high"])


def equal_groups(ordered: pd.DataFrame, least: int, most: int = 8) -> Sequence[pd.DataFrame]:
    """``ordered`` cut into equal parts, each with at least ``least`` participants.

    Parts hold about 30 participants where that leaves three of them: the share of a smaller group says little.
    """
    people = ordered["participant_id"].nunique()
    least = max(least, 1)
    for parts in range(min(most, max(people // 30, min(3, people // least))), 0, -1):
        groups = [ordered.iloc[rows] for rows in np.array_split(np.arange(len(ordered)), parts)]
        if all(group["participant_id"].nunique() >= least for group in groups):
            return groups
    return []
