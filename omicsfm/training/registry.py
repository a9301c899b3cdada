"""Outcomes of a registry that pretraining foretells: their intervals, and how often each event comes in each."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError, closest

Registry = dict[str, dict[str, list[float]]]
INTERVALS = 8


def registry_of(
    store: OmicsStore, rows: Int[np.ndarray, " training"], config: Mapping[str, Any]
) -> tuple[Registry, tuple[OutcomeSpec, ...]]:
    """For each outcome that the objective names (every time to an event of the store where it names none) the ends of
    its intervals and the log hazard of each at the training visits ``rows``; and what these outcomes are. Nothing
    where no objective asks.

    Raises:
        InputError: There is no such outcome, it is no time to an event, or none has events at training visits.
    """
    nodes = [node for node in config["objective"].values() if "outcomes" in node]
    if not nodes:
        return {}, ()
    known = {name: spec for name, spec in store.outcome_specs.items() if spec.kind == "survival" and not spec.own_clock}
    where = "objective.time_to_event.outcomes"
    for name in nodes[0]["outcomes"]:
        if name not in known:
            raise InputError(f"{where}: {store.path} has no time to an event '{name}'; {closest(name, known)}.")
    registry: Registry = {}
    for name in nodes[0]["outcomes"] or known:
        levels = _levels(store, name, rows, nodes[0]["cut_days"])
        if levels is not None:
            registry[name] = levels
    if not registry:
        raise InputError(
            f"{where}: none of {', '.join(known) or 'no outcomes'} has an event at a training visit of {store.path}. "
            "Leave the objective out, or pretrain on one cohort that has a time to an event."
        )
    return registry, tuple(known[name] for name in registry)


def _levels(
    store: OmicsStore, name: str, rows: Int[np.ndarray, " training"], cut_days: list[float] | None
) -> dict[str, list[float]] | None:
    values = store.outcomes.iloc[rows[store.outcome_observed(name)[rows]]]
    time, event = values[f"{name}.time_days"].to_numpy(), values[f"{name}.event"].to_numpy() > 0
    if not event.any():
        return None
    if cut_days is None:
        ends = np.ceil(np.quantile(time[event], np.arange(1, INTERVALS + 1) / INTERVALS))
        cut_days = [float(day) for day in np.unique(np.maximum(ends, 1.0))]
    ends, begins = np.array(cut_days), np.array([0.0, *cut_days[:-1]])
    seen = np.clip((time[:, None] - begins) / (ends - begins), 0, 1).sum(axis=0)
    happened = np.bincount(np.searchsorted(ends, time[event]), minlength=len(ends) + 1)[: len(ends)]
    log_hazard = np.log((happened + 0.5) / (seen + 1.0))
    return {"cut_days": [float(day) for day in ends], "log_hazard": [float(level) for level in log_hazard]}
