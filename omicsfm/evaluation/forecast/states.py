"""The quantity at a visit as the omics of the visit say it is, whatever was measured there.

A ridge of all inputs side by side would take an assay that is missing for one that is as usual: a visit without it
would seem to lie nearer to the mean, and the next visit that has it would seem to have changed. So each set of inputs
that visits have has a model of its own, of these inputs alone, learnt at every training visit that has at least them.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from omicsfm.baselines.penalised import LinearFit, fit_penalised
from omicsfm.data.store import OmicsStore
from omicsfm.metrics.targets import QuantityTarget

FEWEST_PEOPLE = 20
"""Of a set's own model; with fewer the model of all inputs reads such visits, what is missing at its median."""


def states_of(
    values: Mapping[str, Float[np.ndarray, "visits _"]],
    measured: Mapping[str, Bool[np.ndarray, " visits"]],
    learnt: Int[np.ndarray, " learnt"],
    quantity: Float[np.ndarray, " learnt"],
    *,
    groups: Shaped[np.ndarray, " learnt"],
    seed: int,
) -> Float[np.ndarray, " visits"]:
    """The quantity at each visit; at the places ``learnt`` by models that had not learnt from the group there.

    ``values`` of each input are 0 where ``measured`` says that it is missing.
    """

    def fitted(names: list[str], at: Bool[np.ndarray, " learnt"]) -> tuple[LinearFit, np.ndarray]:
        columns = np.concatenate([values[name] for name in names], axis=1)
        target = QuantityTarget(quantity[at])
        return fit_penalised(columns[learnt[at]], target, groups=groups[at], seed=seed), columns

    state = np.zeros(len(next(iter(values.values()))))
    there = np.stack([measured[name] for name in values], axis=1)  # visits inputs
    for present in np.unique(there, axis=0):
        own = (there == present).all(axis=1)
        at = (there[learnt] | ~present).all(axis=1)
        names = [name for name, has in zip(values, present, strict=True) if has]
        if not names or len(np.unique(groups[at])) < FEWEST_PEOPLE:
            names, at = list(values), np.ones(len(learnt), dtype=bool)
        fit, columns = fitted(names, at)
        state[own] = fit.predict(columns[own])
        asked = own[learnt[at]]
        state[learnt[at][asked]] = fit.held_out[asked, 0]
    return state


def measured_at(store: OmicsStore, name: str, rows: Int[np.ndarray, " visits"]) -> Bool[np.ndarray, " visits"]:
    """Whether an input was measured at these store rows."""
    return np.isin(rows, store.inputs[name].rows)
