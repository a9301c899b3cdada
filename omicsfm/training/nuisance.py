"""Nuisance columns of the visits (site, plate, batch) for the objectives that fight them, as outcomes of a batch."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Int

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError, closest
from omicsfm.objectives.adversary import PREFIX

UNKNOWN = ("", "nan", "None")


def with_nuisances(
    store: OmicsStore, rows: Int[np.ndarray, " training"], config: Mapping[str, Any]
) -> tuple[OmicsStore, tuple[OutcomeSpec, ...]]:
    """The store with each objective's nuisance column among its outcomes, and what these are.

    A value that no training visit has, or none at all, is not known.

    Raises:
        InputError: The visits have no such column, or training visits have fewer than two values of it.
    """
    columns = dict.fromkeys(node["column"] for node in config["objective"].values() if "column" in node)
    specs, outcomes = [], store.outcomes
    for column in columns:
        if column not in store.visits:
            raise InputError(
                f"objective.adversary.column: the visits of {store.path} have no column '{column}'; "
                f"{closest(column, store.visits.columns)}. Keep it in COHORT.yaml (visits: keep: [...])."
            )
        labels = store.visits[column].astype(object).where(store.visits[column].notna(), "").astype(str)
        known = tuple(sorted(set(labels.iloc[rows]) - set(UNKNOWN)))
        if len(known) < 2:
            raise InputError(
                f"objective.adversary.column: '{column}' is {' or '.join(known) or 'not known'} at every training "
                f"visit of {store.path}; there is nothing to hide. Leave the objective out."
            )
        name = PREFIX + column
        specs.append(OutcomeSpec(name, "class", classes=known))
        outcomes = outcomes.assign(**{name: labels.where(labels.isin(known)).to_numpy()})
    if not specs:
        return store, ()
    known_specs = {**store.outcome_specs, **{spec.name: spec for spec in specs}}
    return replace(store, outcomes=outcomes, outcome_specs=known_specs), tuple(specs)
