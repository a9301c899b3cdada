"""One participant's way through time: observed against forecast values, and the path of the state.

Drawn from ``trajectory.parquet`` (``eval/forecast.py --person ID``) and ``predictions.parquet``.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.report.section import Section, section
from omicsfm.report.style import BLUE, INK, MUTED, ORANGE, PALE, draw

FILE = "trajectory.parquet"
CARRIED = "last_observation"


def trajectory_section(out: Path, predictions: pd.DataFrame, focus: str, quantity: str) -> Section | None:
    """The section, None where no participant was asked for."""
    file = out / FILE
    if not file.exists():
        return None
    table = pd.read_parquet(file)
    own = table[table["participant_id"] != ""]
    person = str(own["participant_id"].iloc[0])
    figures = [
        {"svg": _values(own, predictions, focus, quantity, person), "caption": ""},
        {"svg": _path(table[table["participant_id"] == ""], own, person), "caption": ""},
    ]
    return section(
        f"Participant {person} over time",
        f"Left: what was observed, and what was forecast of each later visit from the visits before it by models that "
        f"had not seen this participant; bars span 90% of the errors of {focus} in everybody. Right: where the visits "
        "stand among those of training participants (grey), in order.",
        figures=figures,
        notes=["This section shows one participant: the page stays where the cohort stays."],
    )


def _values(own: pd.DataFrame, predictions: pd.DataFrame, focus: str, quantity: str, person: str) -> str:
    day = dict(zip(own["visit"].astype(str), own["time_days"], strict=True))
    known = own[own["observed"].notna()]
    of_focus = predictions[predictions["method"] == focus]
    low, high = np.quantile(of_focus["y_true"] - of_focus["y_pred"], [0.05, 0.95])

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot(known["time_days"], known["observed"], color=INK, marker="o", linewidth=1.2, label="observed")
        for method, colour, marker in ((CARRIED, ORANGE, "s"), (focus, BLUE, "D")):
            mine = predictions[(predictions["method"] == method) & (predictions["participant_id"] == person)]
            mean = mine.groupby(mine["visit"].astype(str))["y_pred"].mean()
            if mean.empty:
                continue
            days = [day[visit] for visit in mean.index]
            axes.plot(days, mean, color=colour, marker=marker, linestyle="none", label=f"forecast by {method}")
            if method == focus:
                axes.vlines(days, mean + low, mean + high, color=colour, linewidth=1.5, alpha=0.6)
        axes.set_xlabel("Day")
        axes.set_ylabel(quantity.split(" at ")[0].split(" on day ")[0])
        axes.legend(loc="best")

    said = f"Observed and forecast values of participant {person}, {len(known)} visits observed"
    return draw(paint, alt=said, name="trajectory-values", width=6.0, height=4.2)


def _path(others: pd.DataFrame, own: pd.DataFrame, person: str) -> str:
    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.scatter(others["x"], others["y"], color=PALE, s=8, linewidths=0)
        axes.plot(own["x"], own["y"], color=BLUE, marker="o", linewidth=1.4)
        for x, y, visit in zip(own["x"], own["y"], own["visit"], strict=True):
            axes.annotate(str(visit), (x, y), textcoords="offset points", xytext=(5, 5), color=INK)
        axes.set_xlabel("First component of the state")
        axes.set_ylabel("Second component")
        axes.tick_params(colors=MUTED)

    return draw(paint, alt=f"Path of participant {person} through the state", name="trajectory-path", height=4.2)
