"""Whether an evaluation crosses platforms, plates or sites, and what was done about it: for the report."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from omicsfm.checkpoint import Checkpoint
from omicsfm.data.row_labels import row_labels
from omicsfm.data.store import OmicsStore

LISTED = 5


@dataclass(frozen=True)
class Across:
    """What must be said: ``notes`` on how batches were harmonised, ``cautions`` where they could not be."""

    notes: list[str]
    cautions: list[str]


def across_batches(checkpoint: Checkpoint, store: OmicsStore, rows: Int[np.ndarray, " rows"]) -> Across:
    """Compare the batches of the tested visits with those the checkpoint's transforms were fitted on."""
    notes, cautions = [], []
    for name in checkpoint.features:
        if name not in store.modalities:
            continue
        measured = np.intersect1d(rows, store.modalities[name].rows)
        for step in checkpoint.transforms[name].steps:
            column = getattr(step, "column", None)
            if column is None or not len(measured):
                continue
            labels = row_labels(store, name, (column,)).get(column, np.full(len(store), ""))[measured]
            tested = Counter(labels.tolist())
            strange = {batch: number for batch, number in tested.items() if batch not in step.batches}
            if len(step.batches) > 1 and len(strange) < len(tested):
                notes.append(_harmonised(name, step, tested))
            if strange:
                cautions.append(_strange(name, step, strange, len(measured)))
    return Across(notes, cautions)


def _harmonised(name: str, step: Any, tested: Mapping[str, int]) -> str:
    seen = {batch: number for batch, number in tested.items() if batch in step.batches}
    return (
        f"{name}: harmonised by {type(step).__name__} over {step.column}, fitted on training participants of "
        f"{_listed(step.batches)}; of these, tested: "
        + ", ".join(f"{batch} ({number:,} visits)" for batch, number in list(seen.items())[:LISTED])
        + ("." if len(seen) <= LISTED else f" and {len(seen) - LISTED} more.")
    )


def _strange(name: str, step: Any, strange: Mapping[str, int], visits: int) -> str:
    return (
        f"{name}: {sum(strange.values()):,} of {visits:,} tested visits are of a {step.column} that no training visit "
        f"had ({_listed([batch or 'not known' for batch in strange])}; trained on {_listed(step.batches) or 'none'}). "
        f"They are read without a correction of their own, by the statistics of all training visits: a difference "
        f"between {step.column}s counts as one between people."
    )


def _listed(batches: Any) -> str:
    names = list(batches)
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
