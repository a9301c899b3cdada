"""The forest plot: how far each method lies from the reference, with its interval."""

from collections.abc import Sequence
from typing import Any

from omicsfm.report.results import Difference, Metric
from omicsfm.report.style import BLUE, INK, MUTED, ORANGE, draw, interval, signed

COLOUR = {"better": BLUE, "ties": MUTED, "worse": ORANGE}


def forest_plot(differences: Sequence[Difference], *, metric: Metric) -> str:
    """One row per method; right of the line is better, whichever way the metric runs."""
    rows = sorted(differences, key=lambda d: d.estimate.value, reverse=metric.best == "high")
    reference = rows[0].reference

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        for place, row in enumerate(rows):
            colour, value = COLOUR[row.verdict(metric)], row.estimate.value
            low, high = row.estimate.low, row.estimate.high
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], color=colour, linewidth=2.4, solid_capstyle="round")
            axes.plot(value, place, "o", color=colour, markersize=7)
            label = f"{row.verdict(metric)}: {signed(value)} ({interval(low, high)})"
            axes.annotate(
                label,
                (1.02, place),
                xycoords=("axes fraction", "data"),
                va="center",
                color=colour,
                annotation_clip=False,
                fontsize=9.5,
            )
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_yticks(range(len(rows)), [row.method for row in rows], color=INK)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        known = [end for row in rows for end in (row.estimate.value, row.estimate.low, row.estimate.high)]
        ends = [0.0, *(end for end in known if end is not None)]
        worst, best = (min(ends), max(ends)) if metric.best == "high" else (max(ends), min(ends))
        room = 0.12 * (best - worst) or 0.1
        axes.set_xlim(worst - room, best + room)
        axes.locator_params(axis="x", nbins=6)
        text = f"Difference in {metric.label} from {reference}: worse to the left, better to the right"
        axes.set_xlabel(text, fontsize=9.5)

    spoken = "; ".join(
        f"{row.method} {row.verdict(metric)} {signed(row.estimate.value)}, "
        f"{interval(row.estimate.low, row.estimate.high)}"
        for row in rows
    )
    alt = f"Forest plot of differences in {metric.label} from {reference}, with 95% intervals: {spoken}."
    return draw(paint, alt=alt, name="forest", width=8.4, height=0.95 + 0.36 * len(rows))
