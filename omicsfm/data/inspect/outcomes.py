"""What is known of each outcome, and whether it can be learnt."""

import numpy as np
import pandas as pd

from omicsfm.data.inspect.findings import Findings
from omicsfm.data.store import OmicsStore
from omicsfm.outcome_spec import TIMED, OutcomeSpec

FEW = 10  # members of the smallest class, or events, below which five folds say little


def describe_outcomes(store: OmicsStore, found: Findings) -> None:
    """Counts of every outcome."""
    first = ~store.visits["participant_id"].duplicated().to_numpy()
    found.lines += ["", "outcomes: none" if not store.outcome_specs else "outcomes"]
    for name, spec in store.outcome_specs.items():
        asked = first if spec.level == "participant" else np.ones(len(store), dtype=bool)
        known = store.outcome_observed(name) & asked
        rows = store.outcomes[known]
        missing = int(asked.sum() - known.sum())
        people = store.visits["participant_id"][known].nunique()
        text, smallest, problem = _outcome(spec, rows)
        found.lines.append(
            f"  {name} ({spec.kind}, by {spec.level}): {text}; {int(known.sum()):,} known in {people:,} "
            f"participants, {missing:,} missing"
        )
        if spec.kind in TIMED and len(rows) and (rows[f"{name}.event"] > 0).all():
            found.notes.append(
                f"outcome {name}: nobody is censored. That is rare: is the end of follow-up taken for an event?"
            )
        if spec.kind in TIMED and spec.level == "participant" and (late := _after_the_end(store, name)):
            found.notes.append(f"outcome {name}: {late}")
        if problem:
            found.problems.append(f"outcome {name}: {problem}")
        elif smallest is not None and smallest < FEW:
            what = "events" if spec.kind in TIMED else "in the smallest class"
            found.notes.append(
                f"outcome {name}: {smallest} {what}; with so few, intervals are wide and folds may lack them."
            )


def _after_the_end(store: OmicsStore, name: str) -> str:
    """What is said of visits without a value whose participant has one."""
    known, who = store.outcome_observed(name), store.visits["participant_id"]
    late = ~known & who.isin(who[known]).to_numpy()
    if not late.any():
        return ""
    row = int(np.flatnonzero(late)[0])
    return (
        f"{int(late.sum()):,} visits of {who[late].nunique():,} participants lie after their event or the end of their "
        f"follow-up (first: participant '{who.iloc[row]}', visit '{store.visits['visit'].iloc[row]}') and have no "
        "value. Are the follow-up times up to date, and in the unit that COHORT.yaml says?"
    )


def _outcome(spec: OutcomeSpec, rows: pd.DataFrame) -> tuple[str, int | None, str]:
    """A description, the size of the smallest class (or the events), and what makes it unusable, if anything."""
    if not len(rows):
        return "no value", None, "no value is known. Check its column in COHORT.yaml."
    if spec.kind in TIMED:
        return _follow_up(spec, rows)
    if spec.kind == "class":
        sizes = rows[spec.name].value_counts().reindex(spec.classes, fill_value=0)
        text = ", ".join(f"{label} {size:,}" for label, size in sizes.items())
        return text, int(sizes.min()), "" if (sizes > 0).sum() > 1 else "only one class occurs; two are needed."
    values = rows[spec.name]
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    text = f"median {middle:g}, from {low:g} to {high:g}"
    return text, None, "" if high > low else "every value is the same; nothing can be learned."


def _follow_up(spec: OutcomeSpec, rows: pd.DataFrame) -> tuple[str, int | None, str]:
    """The same of a time to an event; of competing risks the size is that of the rarest cause."""
    event = rows[f"{spec.name}.event"].astype(int)
    sizes = [int((event == number + 1).sum()) for number in range(len(spec.classes))] or [int((event > 0).sum())]
    names = spec.classes or ("events",)
    days = rows[f"{spec.name}.time_days"]
    parts = [
        *(f"{size:,} {name}" for name, size in zip(names, sizes, strict=True)),
        f"{int((event == 0).sum()):,} censored",
    ]
    zero = f" from {spec.time_zero}" if spec.own_clock else ""
    parts.append(f"median follow-up {days.median():,.0f} days{zero}")
    entry = rows.get(f"{spec.name}.entry_days")
    if entry is not None and (entry > 0).any():
        parts.append(f"{int((entry > 0).sum()):,} enter late")
    return ", ".join(parts), min(sizes), "" if all(sizes) else "there is no event. Check event in COHORT.yaml."
