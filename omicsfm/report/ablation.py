"""What each part of the model is worth: a table of what was taken away, and the curve over the labels.

``OUT/ablation.json`` is written by ``omicsfm.evaluation.ablation.compare``.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omicsfm.errors import InputError
from omicsfm.report.results import Estimate, metric_of
from omicsfm.report.section import Section, section
from omicsfm.report.style import BLUE, MUTED, ORANGE, draw, number
from omicsfm.report.tables import score_cell

FILE = "ablation.json"
FAMILIES = {"pretrained": BLUE, "not pretrained": ORANGE, "linear": MUTED}


def ablation_section(out: Path) -> Section | None:
    """The section, None where OUT holds no ablation.

    Raises:
        InputError: It cannot be read.
    """
    file = out / FILE
    if not file.exists():
        return None
    try:
        found = json.loads(file.read_text())
        return _section(found)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{file}: cannot be read ({error}). Run eval/ablate.py again.") from error


def _section(found: Mapping[str, Any]) -> Section:
    metric = metric_of(found["metric"], found["kind"])
    rows = []
    for arm in found["arms"]:
        lost = arm["lost"]
        cells = [
            {"text": arm["method"]},
            {"text": arm["taken"]},
            score_cell(_estimate(arm)),
            {"text": "–"} if lost is None else score_cell(_estimate(lost)),
        ]
        rows.append({"cells": cells, "focus": arm["method"] == found["whole"]})
    header = ["arm", "taken away", metric.label, "lost against the whole"]
    curves = _curves(found["arms"])
    figures = []
    if any(len(points) > 1 for points in curves.values()):
        figures = [{"svg": _plot(curves, metric.label), "caption": "Outcomes known of so many training participants."}]
    return section(
        "What each part is worth",
        f"One thing is taken from {found['whole']} at a time, on the same folds. What is lost is positive where the "
        "whole is better; its interval includes 0 where nothing was shown. With permuted labels nothing but chance is "
        "left.",
        tables=[{"header": header, "rows": rows, "map": False}],
        figures=figures,
    )


def _estimate(scored: Mapping[str, Any]) -> Estimate | None:
    return None if scored["value"] is None else Estimate(scored["value"], scored["low"], scored["high"])


def _curves(arms: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[float, Mapping[str, Any]]]]:
    """By family: share of the labels and score, in the order of the shares."""
    curves: dict[str, list[tuple[float, Mapping[str, Any]]]] = {name: [] for name in FAMILIES}
    for arm in arms:
        if arm["family"] in curves and arm["value"] is not None:
            curves[arm["family"]].append((arm["share"], arm))
    return {name: sorted(points, key=lambda point: point[0]) for name, points in curves.items()}


def _plot(curves: Mapping[str, Sequence[tuple[float, Mapping[str, Any]]]], label: str) -> str:
    shown = {name: points for name, points in curves.items() if points}

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        for place, (name, points) in enumerate(shown.items()):
            shift = 1.03 ** (place - (len(shown) - 1) / 2)  # intervals of one share stand side by side
            shares = [100 * share * shift for share, _ in points]
            values = [arm["value"] for _, arm in points]
            axes.plot(shares, values, "o-", color=FAMILIES[name], label=name, markersize=5)
            for share, (_, arm) in zip(shares, points, strict=True):
                if arm["low"] is not None:
                    axes.plot([share, share], [arm["low"], arm["high"]], color=FAMILIES[name], linewidth=1, alpha=0.6)
        axes.set_xscale("log")
        ticks = sorted({round(100 * share) for points in shown.values() for share, _ in points})
        axes.set_xticks(ticks, [f"{tick} %" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("labels of the training participants")
        axes.set_ylabel(label)
        axes.legend()

    spoken = "; ".join(
        f"{name}: " + ", ".join(f"{share:.0%} {number(arm['value'])}" for share, arm in points)
        for name, points in shown.items()
    )
    return draw(paint, alt=f"{label} by share of labels. {spoken}.", name="ablation", width=6.4, height=4.0)
