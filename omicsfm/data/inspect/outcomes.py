"""What is known of each outcome, and whether it can be learnt."""

import numpy as np
import pandas as pd

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.inspect.findings import Findings
from omicsfm.data.store import OmicsStore

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
        if problem:
            found.problems.append(f"outcome {name}: {problem}")
        elif smallest is not None and smallest < FEW:
            what = "events" if spec.kind == "survival" else "in the smallest class"
            found.notes.append(
                f"outcome {name}: {smallest} {what}; with so few, intervals are wide and folds may lack them."
            )


def _outcome(spec: OutcomeSpec, rows: pd.DataFrame) -> tuple[str, int | None, str]:
    """A description, the size of the smallest class (or the events), and what makes it unusable, if anything."""
    if not len(rows):
        return "no value", None, "no value is known. Check its column in COHORT.yaml."
    if spec.kind == "survival":
        events = int(rows[f"{spec.name}.event"].sum())
        days = rows[f"{spec.name}.time_days"]
        text = f"{events:,} events, {len(rows) - events:,} censored, median follow-up {days.median():,.0f} days"
        return text, events, "" if events else "there is no event. Check event and event_if in COHORT.yaml."
    if spec.kind == "class":
        sizes = rows[spec.name].value_counts().reindex(spec.classes, fill_value=0)
        text = ", ".join(f"{label} {size:,}" for label, size in sizes.items())
        return text, int(sizes.min()), "" if (sizes > 0).sum() > 1 else "only one class occurs; two are needed."
    values = rows[spec.name]
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    text = f"median {middle:g}, from {low:g} to {high:g}"
    return text, None, "" if high > low else "every value is the same; nothing can be learned."
