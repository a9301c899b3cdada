"""The tables of a report: methods by metrics, subgroups, and true against predicted classes."""

from itertools import groupby

from omicsfm.report.results import WORDS, Difference, Estimate, Results, Subgroup, metric_of
from omicsfm.report.style import duration, interval, number, signed

Cell = dict[str, str]
Table = dict[str, object]


def method_table(results: Results) -> Table:
    """Methods by metrics, the best first: the primary metric, the verdict on it, wall time, then the other metrics."""
    against = {d.method: d for d in results.differences}
    reference = results.differences[0].reference if results.differences else None
    timed = any(seconds is not None for seconds in results.seconds.values())
    first, *others = _metric_names(results)
    header = ["method", metric_of(first, results.kind).label]
    header += [f"against {reference}"] if reference else []
    header += ["time"] if timed else []
    header += [metric_of(name, results.kind).label for name in others]
    rows = []
    for method in results.ranked:
        cells: list[Cell] = [{"text": method}, score_cell(results.scores[method].get(first))]
        if reference:
            cells.append(_verdict_cell(results, against.get(method), is_reference=method == reference))
        if timed:
            cells.append({"text": duration(results.seconds.get(method))})
        cells += [score_cell(results.scores[method].get(name)) for name in others]
        rows.append({"cells": cells, "focus": method == results.focus and len(results.scores) > 1})
    return _table(header, rows)


def _metric_names(results: Results) -> list[str]:
    """The primary metric first, then those of the glossary in its order, then others."""
    names = list(dict.fromkeys(name for scores in results.scores.values() for name in scores))
    order = [results.primary.name, *WORDS]
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def _verdict_cell(results: Results, found: Difference | None, *, is_reference: bool) -> Cell:
    if found is None:
        return {"text": "reference" if is_reference else "–"}
    verdict = found.verdict(results.primary)
    return {"text": verdict, "small": signed(found.estimate.value), "verdict": verdict}


def glossary(results: Results) -> str:
    """What each metric of the table means."""
    metrics = [metric_of(name, results.kind) for name in _metric_names(results)]
    return "  ".join(f"{metric.label}: {metric.meaning}." for metric in metrics if metric.meaning)


def score_cell(estimate: Estimate | None) -> Cell:
    """A value with its interval in small print."""
    if estimate is None:
        return {"text": "–"}
    small = interval(estimate.low, estimate.high) if estimate.low is not None else ""
    return {"text": number(estimate.value), "small": small}


def metric_table(results: Results) -> Table:
    """The metrics of the one method of an evaluation, each with its meaning and with what guessing would score."""
    scores = results.scores[results.focus]
    rows = []
    for name in _metric_names(results):
        metric, estimate = metric_of(name, results.kind), scores[name]
        defined = estimate.value == estimate.value
        cells: list[Cell] = [{"text": metric.label, "small": metric.meaning}]
        cells.append({"text": number(estimate.value) if defined else "not defined"})
        cells.append({"text": "" if estimate.low is None else interval(estimate.low, estimate.high)})
        cells.append({"text": number(results.guessing[name]) if name in results.guessing else ""})
        rows.append({"cells": cells, "focus": name == results.primary.name})
    return _table(["", "value", "95% interval", "same answer for all"], rows)


def reading_table(results: Results) -> Table:
    """What the model could read of each modality."""
    rows = []
    for reading in results.readings:
        share = reading.matched / reading.known if reading.known else None
        cells: list[Cell] = [{"text": reading.modality}]
        if share is None:
            cells += [{"text": "not known to it"}, {"text": "–"}, {"text": "–"}]
        elif not reading.matched:
            cells += [{"text": f"{reading.known:,}"}, {"text": "not in the cohort"}, {"text": "0%"}]
        else:
            measured = "–" if reading.measured_share is None else f"{reading.measured_share:.0%}"
            cells += [{"text": f"{reading.known:,}"}, {"text": f"{reading.matched:,}", "small": f"{share:.0%}"}]
            cells.append({"text": measured})
        cells.append({"text": f"{reading.unknown:,}"})
        rows.append({"cells": cells, "focus": False})
    header = [
        "",
        "features the model knows",
        "found in this cohort",
        "measured at the tested visits",
        "others, not read",
    ]
    return _table(header, rows)


def subgroup_table(results: Results, *, least: int) -> Table:
    """The primary metric of the methods in contrast, level by level, without groups of fewer than ``least``.

    Where one level of a variable is too small its number follows from the total and the other levels' numbers; the
    number of the next smallest is hidden with it.
    """
    methods = [m for m in results.contrast if any(s.method == m for s in results.subgroups)]
    chosen = [s for s in results.subgroups if s.metric == results.primary.name and s.method in methods]
    header = ["group", "participants", *(f"{method}, {results.primary.label}" for method in methods)]
    rows = []
    for variable, members in groupby(chosen, key=lambda s: s.variable):
        levels: dict[str, list[Subgroup]] = {}
        for member in members:
            levels.setdefault(member.level, []).append(member)
        size = {level: scores[0].participants for level, scores in levels.items()}
        known = {level: people for level, people in size.items() if people is not None}
        small = [level for level, people in known.items() if people < least]
        large = sorted((level for level in known if level not in small), key=lambda level: known[level])
        veiled = set(size) - set(known)
        if not veiled and len(small) == 1:
            veiled = set(large[:1])
        for level, scores in levels.items():
            cells: list[Cell] = [{"text": f"{variable}: {level}"}]
            if level in small:
                cells += [{"text": f"<{least}"}, *({"text": "hidden"} for _ in methods)]
            else:
                by_method = {score.method: score.estimate for score in scores}
                cells.append({"text": "hidden" if level in veiled else f"{size[level]:,}"})
                cells += [score_cell(by_method.get(method)) for method in methods]
            rows.append({"cells": cells, "focus": False})
    return _table(header, rows)


def confusion_table(results: Results, *, least: int) -> Table:
    """True classes by predicted ones, in visits of the first repeat.

    A cell of fewer than ``least`` participants is hidden, and its row with it: one cell follows from the row's total.
    """
    table = results.of(results.focus)
    table = table[table["repeat"] == table["repeat"].min()]
    guess = table[[f"p_{label}" for label in results.classes]].to_numpy().argmax(axis=1)
    rows = []
    for label in results.classes:
        mine = (table["y_true"].astype(str) == label).to_numpy()
        cell = [table.loc[mine & (guess == place), "participant_id"] for place in range(len(results.classes))]
        tiny = [0 < each.nunique() < least for each in cell]
        cells: list[Cell] = [{"text": f"truly {label}"}]
        cells += [
            {"text": f"<{least}" if hidden else "hidden" if any(tiny) else f"{len(each):,}"}
            for each, hidden in zip(cell, tiny, strict=True)
        ]
        rows.append({"cells": cells, "focus": False})
    return _table([f"visits ({results.focus})", *(f"called {label}" for label in results.classes)], rows)


def _table(header: list[str], rows: list[dict[str, object]]) -> Table:
    return {"header": header, "rows": rows, "map": False}
