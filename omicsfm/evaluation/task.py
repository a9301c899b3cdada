"""A Task: which visits of a store are predicted, what is true of them, and what may be used."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped

from omicsfm.baselines.base import Block, OmicsTable
from omicsfm.contracts import OutcomeSpec
from omicsfm.data.groups import group_labels
from omicsfm.data.row_labels import at_rows, row_labels
from omicsfm.data.splits import Split
from omicsfm.data.store import OmicsStore
from omicsfm.data.transforms import default_transform
from omicsfm.errors import InputError, closest
from omicsfm.evaluation.cut_visits import CutVisits
from omicsfm.evaluation.survival_curves import stated_grid
from omicsfm.metrics.targets import ClassTarget, CompetingTarget, QuantityTarget, SurvivalTarget, Target, class_target


@dataclass(frozen=True)
class Task(CutVisits):
    """Predict one outcome of a store. Everything is in the order of ``rows``, the store rows of the task's visits."""

    store: OmicsStore
    outcome: OutcomeSpec
    rows: Int[np.ndarray, " rows"]
    target: Target
    participant_ids: Shaped[np.ndarray, " rows"]
    stratum_column: str | None = None
    strata: Shaped[np.ndarray, " rows"] | None = None
    """Each visit's label in ``stratum_column``, where the task is fitted and scored within strata."""
    split: Split | None = None
    """The split that the task is cut by, for what is nested in it."""

    @cached_property
    def table(self) -> OmicsTable:
        """Every modality's values and the covariates in the declared scale, NaN where not measured."""
        blocks = {}
        for name, matrix in self.store.inputs.items():
            scale = matrix.features.scale
            labels = row_labels(self.store, name, default_transform(scale).columns)
            blocks[name] = Block(matrix.read(self.rows)[0], scale, at_rows(labels, self.rows))
        return OmicsTable(blocks, group_labels(self.visits, self.together))

    @property
    def curve_days(self) -> Float[np.ndarray, " times"]:
        """The days at which a time to an event is predicted."""
        assert isinstance(self.target, SurvivalTarget | CompetingTarget)
        return stated_grid(self.target)


def make_task(store: OmicsStore, outcome: str, *, within: str | None = None, only: str | None = None) -> Task:
    """The task of predicting ``outcome`` from every modality of the store.

    An outcome of a visit is predicted at every visit that has its value, an outcome of a participant once, at the
    first visit that has it. Visits without any modality are left out. ``within`` names a column of the visits whose
    values part the cohort into strata. ``only`` (COLUMN=VALUE) predicts at such visits alone, from the modalities that
    some of them have; pretraining still reads everybody whom a fold does not test.

    Raises:
        InputError: The store has no such outcome, column or value, or nothing is known of it.
    """
    spec = store.outcome(outcome)
    among = np.ones(len(store), dtype=bool)
    if within is not None:
        among = _column(store, within, f"--within {within}").notna().to_numpy()
    if only is not None:
        among &= _such_visits(store, only)
    rows = predicted_rows(store, spec, among=among)
    if only is not None:
        some = {name: matrix for name, matrix in store.modalities.items() if np.isin(rows, matrix.rows).any()}
        store = replace(store, modalities=some)
    target = read_target(store, spec, rows)
    _check(store, spec, target)
    ids = store.visits["participant_id"].astype(str).to_numpy(dtype=str)[rows]
    strata = None if within is None else store.visits[within].astype(str).to_numpy(dtype=str)[rows]
    return Task(store, spec, rows, target, ids, within, strata)


def _column(store: OmicsStore, name: str, asked: str) -> pd.Series:
    if name not in store.visits:
        raise InputError(f"{asked}: {store.path} has no such column; {closest(name, store.visits.columns)}.")
    return store.visits[name]


def _such_visits(store: OmicsStore, only: str) -> Bool[np.ndarray, " visits"]:
    """Visits with this value of a column, asked for as COLUMN=VALUE."""
    name, given, value = only.partition("=")
    if not given:
        raise InputError(f"--only {only}: expected COLUMN=VALUE, such as --only sex=female.")
    known = _column(store, name, f"--only {only}").astype(str)
    found = (known == value).to_numpy()
    if not found.any():
        raise InputError(f"--only {only}: no visit of {store.path} has that value; {closest(value, known.unique())}.")
    return found


def predicted_rows(
    store: OmicsStore,
    spec: OutcomeSpec,
    *,
    among: Bool[np.ndarray, " visits"],
    modalities: Collection[str] | None = None,
) -> Int[np.ndarray, " rows"]:
    """Store rows, of those ``among``, at which the outcome is predicted: it is known and something was measured.

    An outcome of a participant is predicted once, at the first such visit. ``modalities`` are those that count as
    something measured; all of them where not given.
    """
    measured = np.zeros(len(store), dtype=bool)
    for name, matrix in store.modalities.items():
        if modalities is None or name in modalities:
            measured[matrix.rows] = True
    rows = np.flatnonzero(among & measured & store.outcome_observed(spec.name))
    return _first_visits(store, rows) if spec.level == "participant" else rows


def read_target(store: OmicsStore, spec: OutcomeSpec, rows: Int[np.ndarray, " rows"]) -> Target:
    """What is known of an outcome at these store rows; all of them must have a value."""
    known = store.outcomes.iloc[rows]
    if spec.kind == "class":
        labels = known[spec.name].astype(str).tolist()
        strange = sorted(set(labels) - set(spec.classes))
        if strange:
            raise InputError(
                f"{store.path}: outcome '{spec.name}' has a value '{strange[0]}'; {closest(strange[0], spec.classes)}."
            )
        return class_target(labels, spec.classes)
    if spec.kind == "quantity":
        return QuantityTarget(known[spec.name].to_numpy(dtype=np.float64))
    time = known[f"{spec.name}.time_days"].to_numpy(dtype=np.float64)
    event = known[f"{spec.name}.event"].to_numpy(dtype=np.int64)
    entry = known.get(f"{spec.name}.entry_days")
    entry = None if entry is None else entry.to_numpy(dtype=np.float64)
    if spec.kind == "competing_risks":
        return CompetingTarget(time, event, spec.classes, entry)
    return SurvivalTarget(time, event > 0, entry)


def _first_visits(store: OmicsStore, rows: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " first"]:
    visits = store.visits.iloc[rows][["participant_id", "time_days"]].assign(row=rows)
    first = visits.sort_values(["time_days", "row"], kind="stable").drop_duplicates("participant_id")
    return np.sort(first["row"].to_numpy())


def _check(store: OmicsStore, spec: OutcomeSpec, target: Target) -> None:
    where = f"{store.path}: outcome '{spec.name}'"
    if len(target) < 10:
        raise InputError(f"{where} is known for {len(target)} visits with a measurement; at least 10 are needed.")
    if isinstance(target, ClassTarget) and len(np.unique(target.class_id)) < 2:
        only = target.classes[int(target.class_id[0])]
        raise InputError(f"{where} is '{only}' for all {len(target)} visits; there is nothing to tell apart.")
    if isinstance(target, SurvivalTarget | CompetingTarget) and not target.event.any():
        raise InputError(f"{where} never happens among {len(target)} participants; there is nothing to predict.")
