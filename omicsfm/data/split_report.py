"""A split beside the store that it splits: taken from a file, checked, and put into words."""

from pathlib import Path

import numpy as np
import pandas as pd

from omicsfm.data.groups import FAMILY
from omicsfm.data.splits import Split
from omicsfm.data.store import OmicsStore
from omicsfm.data.stratify import UNKNOWN, outcome_labels

SHOWN = 12
"""Folds that are listed one by one."""


def take(path: Path, visits: pd.DataFrame, *, families_may_cross: bool) -> Split:
    """The split in a file, such as published folds, with families allowed to cross or not from now on; checked.

    Raises:
        InputError: It is no split of these visits, or something that must stay together crosses in it.
    """
    found = Split.read(path)
    allowed = {"may_cross": [FAMILY] if families_may_cross else []}
    split = Split(found.table, {"method": "taken from a file", "kept_together": [], **found.made, **allowed})
    for repeat, fold in split.folds():
        split.masks(visits, repeat, fold)
    return split


def described(split: Split, store: OmicsStore, outcome: str | None = None) -> str:
    """How the split was made, and for each fold of the first repeat how many are trained on and tested.

    Raises:
        InputError: Something that must stay together crosses.
    """
    together = split.together_in(store.visits)
    made = split.made
    lines = [f"{store.name}: {made.get('method', 'a split')}, {split.table['participant_id'].nunique():,} participants"]
    if together:
        lines[0] += f" in {made['groups']:,} groups" if "groups" in made else ""
        lines.append(f"kept together: {', '.join(together)}")
    if left_out := made.get("participants_left_out"):
        lines.append(
            f"left out: {left_out:,} participants with visits on both sides of {made['after']}, or with such kin"
        )
    folds = list(split.folds())
    labels = None if outcome is None else outcome_labels(store, store.outcome(outcome))
    for repeat, fold in folds[:SHOWN]:
        train, test = split.masks(store.visits, repeat, fold)
        lines.append(
            f"  repeat {repeat}, fold {fold}: train {_side(store, train, labels, outcome)}; "
            f"test {_side(store, test, labels, outcome)}"
        )
    if len(folds) > SHOWN:
        lines.append(f"  ... and {len(folds) - SHOWN:,} more")
    return "\n".join(lines)


def _side(store: OmicsStore, mask: np.ndarray, labels: np.ndarray | None, outcome: str | None) -> str:
    text = f"{store.visits['participant_id'][mask].nunique():,} participants, {int(mask.sum()):,} visits"
    if labels is None or outcome is None:
        return text
    spec = store.outcome(outcome)
    own = labels[mask]
    if spec.kind == "class":
        return text + "".join(f", {label} {int((own == 1 + n).sum()):,}" for n, label in enumerate(spec.classes))
    if spec.kind == "quantity":
        return text + f", {int((own != UNKNOWN).sum()):,} with a value"
    return text + f", {int((own == 2).sum()):,} with the event"
