"""How every figure of a report looks, and how every number is written.

Figures are inline SVG: sharp at any size, readable as text, and no request leaves the page. Colours are those of Okabe
and Ito (2008), told apart with any kind of colour vision.
"""

import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#00795C", "#A8558A"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, "#8C6D1F", "#56777F", "#4B4B4B", "#7A4FBF")
INK, MUTED, GRID, PALE = "#1d2733", "#5c6876", "#e4e8ec", "#c3cad2"

RC = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": PALE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def draw(paint: Callable[[Any], None], *, alt: str, name: str, width: float = 6.0, height: float = 4.2) -> str:
    """What ``paint(figure)`` draws as an ``<svg>`` element; ``alt`` is read aloud in its place.

    ``name`` is unique on the page: the element ids of two figures must not meet. Sizes are in inches.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**RC, "svg.hashsalt": name}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = svg.replace("url(#", f"url(#{name}-")
    # DejaVu Sans, which the layout was measured with, has Verdana's widths; most machines have one of them
    svg = svg.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, Geneva, sans-serif")
    return re.sub(
        r'<svg [^>]*viewBox="([^"]+)"[^>]*>',
        rf'<svg role="img" aria-label="{escape(alt)}" viewBox="\1" style="max-width: {width * 96:.0f}px" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">',
        svg,
        count=1,
    )


def number(value: float | None, digits: int = 3) -> str:
    """A number for people: a true minus sign, a dash where there is none."""
    if value is None or value != value:
        return "–"
    return f"{value:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 3) -> str:
    """A difference, with its sign."""
    return f"{value:+.{digits}f}".replace("-", "−")


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """The two ends of an interval."""
    return f"{number(low, digits)} to {number(high, digits)}"


def duration(seconds: float | None) -> str:
    """Wall time in the unit that suits it."""
    if seconds is None or seconds != seconds:
        return "–"
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def count(value: int, least: int) -> str:
    """A count of people, or that it is too small to show."""
    return f"{value:,}" if value >= least or value == 0 else f"<{least}"
