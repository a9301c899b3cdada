"""Members of a stack: penalised linear models, each of one part of what a head reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from omicsfm.baselines.penalised import LinearFit, fit_penalised
from omicsfm.contracts import ClassLabel, CompetingRisks, Outcome, OutcomeSpec, Quantity
from omicsfm.metrics.targets import ClassTarget, CompetingTarget, QuantityTarget, SurvivalTarget, Target
from omicsfm.model.omics_model import NETWORKS

Parts = tuple[str, ...]
"""Names in ``model.evidence``: the embedding, or modalities."""


@dataclass(frozen=True)
class Member:
    """A linear model of some columns of the evidence."""

    name: str
    columns: Int[np.ndarray, " columns"]
    fit: LinearFit
    of_network: bool
    """Whether an encoder made what it reads: of people it was pretrained on, held-out predictions look too good."""


def columns_of(model: Any, parts: Parts) -> Int[np.ndarray, " columns"]:
    """Where the parts stand in what a head reads."""
    places = model.evidence
    return np.concatenate([np.arange(places[part].start, places[part].stop) for part in parts])


def fit_members(
    model: Any,
    known: Float[np.ndarray, "rows evidence"],
    target: Target,
    *,
    groups: Shaped[np.ndarray, " rows"],
    seed: int,
    members: Sequence[Parts],
    strata: Int[np.ndarray, " rows"] | None = None,
) -> list[Member]:
    """One penalised linear model for each of ``members``; ``groups`` stay on one side of every inner fold."""
    fitted = []
    for parts in members:
        columns = columns_of(model, parts)
        own = known[:, model.evidence[parts[0]]] if len(parts) == 1 else known[:, columns]  # a view where it can be
        fit = fit_penalised(own, target, groups=groups, seed=seed, strata=strata)
        fitted.append(Member(" + ".join(parts), columns, fit, any(part in NETWORKS for part in parts)))
    return fitted


def target_of(outcome: Outcome, spec: OutcomeSpec) -> Target:
    """The outcome as arrays; every visit must have a value."""
    if isinstance(outcome, ClassLabel):
        return ClassTarget(outcome.class_id.numpy(), spec.classes)
    if isinstance(outcome, Quantity):
        return QuantityTarget(outcome.value.numpy().astype(np.float64))
    time, entry = (days.numpy().astype(np.float64) for days in (outcome.time_days, outcome.entry_days))
    late = entry if entry.any() else None
    if isinstance(outcome, CompetingRisks):
        return CompetingTarget(time, outcome.cause.numpy(), spec.classes, late)
    return SurvivalTarget(time, outcome.event.numpy(), late)
