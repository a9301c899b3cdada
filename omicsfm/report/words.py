"""The findings in plain words. A tie is called a tie."""

from omicsfm.report.results import Results
from omicsfm.report.style import interval, number, signed

WITHOUT = "[without_encoder]"


def landmark_name(label: str) -> str:
    """A landmark as headings name it: a visit's bare number would say nothing."""
    return f"visit {label}" if label.isdecimal() else label


def headline(results: Results) -> str:
    """One sentence: who won, tied or lost, in the primary metric."""
    focus, metric = results.focus, results.primary
    estimate = results.scores[focus].get(metric.name)
    score = f"{metric.label} {number(estimate.value if estimate else None)}"
    if estimate and estimate.low is not None:
        score += f" (95% interval {interval(estimate.low, estimate.high)})"
    others = [method for method in results.ranked if method != focus]
    if not others:
        whom = " in people it was not trained on" if results.tested else ""
        return f"{focus} predicts {results.outcome}{whom} with {score}."
    pairs = [d.seen_from(focus) for d in results.differences if focus in (d.method, d.reference)]
    pairs = [pair for pair in pairs if pair.estimate.value == pair.estimate.value and pair.reference in others]
    pairs.sort(key=lambda pair: others.index(pair.reference))
    if not pairs:
        rival = f"{others[0]} ({number(results.value(others[0], metric.name))})"
        return f"{focus} reaches {score}, next to {rival}; no paired comparison was made, so neither is better."
    rival, found = pairs[0].reference, pairs[0].estimate
    said = {
        "better": f"{focus} beats {rival}",
        "ties": f"{focus} ties with {rival}",
        "worse": f"{focus} loses to {rival}",
        "untested": f"{focus} and {rival} were compared without an interval",
    }[pairs[0].verdict(metric)]
    best = ""
    if rival == results.reference:
        best = ", the best linear method,"
    elif rival == others[0] and len(others) > 1:
        best = ", the best other method,"
    own, other = (number(results.value(method, metric.name)) for method in (focus, rival))
    scores = f"{metric.label} {own} against {other}"
    ends = f", 95% interval {interval(found.low, found.high)}" if found.low is not None else ""
    return f"{said}{best} in predicting {results.outcome}: {scores} (difference {signed(found.value)}{ends})."


def tally(results: Results) -> str | None:
    """Who was better than the reference, tied or worse, and in how many strata; None where that adds nothing."""
    said = [text for text in (_by_verdict(results), _by_stratum(results), results.gate) if text]
    return " ".join(said) or None


def _by_verdict(results: Results) -> str | None:
    if len(results.differences) < 2:
        return None
    reference = results.differences[0].reference
    verdicts: dict[str, list[str]] = {"better": [], "ties": [], "worse": [], "untested": []}
    for difference in results.differences:
        verdicts[difference.verdict(results.primary)].append(difference.method)
    said = {
        "better": "better than {0}: {1}",
        "ties": "tied with {0}: {1}",
        "worse": "worse than {0}: {1}",
        "untested": "without an interval against {0}: {1}",
    }
    parts = [said[v].format(reference, ", ".join(methods)) for v, methods in verdicts.items() if methods]
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "."


def _by_stratum(results: Results) -> str | None:
    won = results.strata_won.get(results.focus)
    if not won:
        return None
    return (
        f"Within each {results.within or 'stratum'}, {results.focus} is better than {results.reference} in "
        f"{won['better']}, tied in {won['tied']} and worse in {won['worse']} of {sum(won.values())}."
    )


def encoder_gain(results: Results) -> str | None:
    """What pretraining buys: the model against the same stack without its encoder."""
    for gain in results.gains:
        found = gain.estimate
        if gain.reference.endswith(WITHOUT) and found.low is not None and found.high is not None:
            told = "" if found.low > 0 or found.high < 0 else ", which is not told from nothing"
            return (
                f"What pretraining buys: {gain.method} is {signed(found.value)} in {results.primary.label} against the "
                f"same stack without its encoder (95% interval {interval(found.low, found.high)}){told}."
            )
    return None
