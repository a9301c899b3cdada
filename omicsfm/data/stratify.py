"""Small integers that folds are balanced on, from an outcome."""

import numpy as np
from jaxtyping import Int

from omicsfm.data.store import OmicsStore
from omicsfm.outcome_spec import OutcomeSpec

UNKNOWN = 0


def outcome_labels(store: OmicsStore, outcome: OutcomeSpec) -> Int[np.ndarray, " visits"]:
    """A label for each visit: the class, the event that was seen or none, or the quarter that a quantity lies in.

    ``UNKNOWN`` where the outcome is not known; the others count from 1.
    """
    known = store.outcome_observed(outcome.name)
    labels = np.full(len(store), UNKNOWN, dtype=np.int64)
    if outcome.kind == "class":
        number = {label: 1 + place for place, label in enumerate(outcome.classes)}
        labels[known] = store.outcomes[outcome.name][known].map(number).to_numpy(dtype=np.int64)
    elif outcome.kind == "quantity":
        value = store.outcomes[outcome.name][known].to_numpy(dtype=np.float64)
        labels[known] = 1 + np.searchsorted(np.quantile(value, [0.25, 0.5, 0.75]), value, side="right")
    else:
        labels[known] = 1 + store.outcomes[f"{outcome.name}.event"][known].to_numpy(dtype=np.int64)
    return labels
