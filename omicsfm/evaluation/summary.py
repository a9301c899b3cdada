"""A benchmark or an evaluation as a text table; a tie is called a tie."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from omicsfm.metrics import REGISTRY


def benchmark_table(metrics: Mapping[str, Any]) -> str:
    """Methods, the best in the headline metric first: value, interval, verdict against the reference, seconds."""
    primary, reference = metrics["primary"], metrics["reference"]
    known = REGISTRY[metrics["kind"]][primary]
    verdicts = {
        d["method"]: verdict(d, high_is_good=known.best == "high")
        for d in metrics["differences"]
        if d["metric"] == primary
    }
    rows = [("method", primary, "95 % interval", f"against {reference}", "seconds")]
    scores = {name: entry["metrics"][primary] for name, entry in metrics["methods"].items()}
    for name in sorted(scores, key=lambda one: _order(known.loss, scores[one]["value"])):
        score = scores[name]
        rows.append(
            (
                name,
                number(score["value"]),
                f"{number(score['low'])} to {number(score['high'])}",
                "reference" if name == reference else verdicts.get(name, ""),
                f"{metrics['methods'][name]['seconds']:.1f}",
            )
        )
    gate = metrics.get("gate")
    return aligned(rows) + (f"\n{gate['said']}" if gate else "")


def evaluation_table(metrics: Mapping[str, Any]) -> str:
    """Who was tested, then every metric of the model with its interval, and what guessing would score."""
    rows = [("metric", "value", "95 % interval", "guessing")]
    for name, score in metrics["methods"][metrics["model"]]["metrics"].items():
        guess = metrics["guessing"].get(name)
        ends = f"{number(score['low'])} to {number(score['high'])}" if score["low"] is not None else ""
        rows.append((name, number(score["value"]), ends, "" if guess is None else number(guess)))
    tested = metrics["tested"]
    people = f"tested: {tested['participants']:,} participants, {tested['visits']:,} visits"
    excluded = f"; excluded: {tested['excluded_participants']:,} whom the checkpoint saw in training"
    return people + (excluded if tested["excluded_participants"] else "") + "\n" + aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines, columns as wide as their widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def verdict(difference: Mapping[str, Any], *, high_is_good: bool) -> str:
    """Better, worse or a tie, by the paired interval."""
    low, high, value = difference["low"], difference["high"], difference["value"]
    if low is None or high is None:
        return "no interval"
    if low <= 0 <= high:
        return f"tie ({value:+.3f}, {low:+.3f} to {high:+.3f})"
    word = "better" if (low > 0) == high_is_good else "worse"
    return f"{word} ({value:+.3f}, {low:+.3f} to {high:+.3f})"


def _order(loss: Callable[[float], float], value: float | None) -> float:
    return float("inf") if value is None else loss(value)


def number(value: float | None) -> str:
    """Three decimals, or that it is undefined."""
    return "undefined" if value is None else f"{value:.3f}"
