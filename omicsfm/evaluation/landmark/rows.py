"""Who is at risk at a landmark, and what became of them: the rows of a LandmarkTask."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from omicsfm.contracts import TIMED, OutcomeSpec
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError, closest
from omicsfm.evaluation.landmark.task import Landmark, LandmarkTask, with_horizons
from omicsfm.evaluation.task import read_target
from omicsfm.metrics.targets import CompetingTarget, SurvivalTarget, Target

FEWEST_EVENTS = 20
"""After a landmark; with fewer, five folds say little about it."""
NAMED = 3
"""Landmarks that are left out by name; of more the number is said: somebody may have come 10,000 times."""
DAYS_OF_A_YEAR = 365.25


def make_landmark_task(
    store: OmicsStore,
    outcome: str,
    *,
    visits: Sequence[str] = (),
    ages: Sequence[float] = (),
    horizons: Sequence[float],
) -> tuple[LandmarkTask, list[str]]:
    """The task at these visits or ages (every visit with enough events where none is named), and what was left out.

    Raises:
        InputError: The outcome is no time to an event, or too little happens after every landmark.
    """
    spec = store.outcome(outcome)
    if spec.kind not in TIMED:
        raise InputError(
            f"outcome '{outcome}': is a {spec.kind}; a landmark asks for a time to an event. Declare one in "
            "COHORT.yaml as kind: survival or competing_risks, at level: participant so that it holds at every visit."
        )
    if not horizons or min(horizons) <= 0:
        raise InputError(f"--horizons: expected days above 0, found {', '.join(f'{day:g}' for day in horizons)}.")
    if visits and ages:
        raise InputError("--ages: landmarks are visits or ages; give one of --visits and --ages.")
    named = [(f"age {age:g}", age * DAYS_OF_A_YEAR, *_at_age(store, spec, age)) for age in ages] or [
        (name, day, *_at_visit(store, spec, name)) for name, day in _in_time(store, visits).items()
    ]
    said, kept, few = [], [], []
    for label, day, rows, since in named:
        target = _from_landmark(_timed(read_target(store, spec, rows)), since)
        at_risk = (target.time_days >= 0) if not spec.own_clock else (target.time_days > 0)
        late = np.zeros(len(rows), dtype=bool) if target.entry_days is None else target.entry_days > 0
        own = np.flatnonzero(at_risk & ~late)
        if late.any():
            said.append(f"{label}: {int((at_risk & late).sum())} were not followed yet and are left out.")
        events = int(target.event[own].sum())
        if events < FEWEST_EVENTS and not (visits or ages):
            few.append(f"{label}: left out, {len(own)} at risk and {events} events after it; name it to have it.")
            continue
        if not events or len(own) < FEWEST_EVENTS:
            raise InputError(
                f"{label}: {len(own)} participants at risk and {events} events after it; at least {FEWEST_EVENTS} and "
                "one are needed. Choose other landmarks."
            )
        kept.append((label, day, rows[own], _without_entry(target[own])))
    said += few[:NAMED] + ([f"{len(few) - NAMED:,} more are left out for this reason."] if len(few) > NAMED else [])
    if not kept:
        raise InputError(
            f"{store.path}: after no visit are there {FEWEST_EVENTS} events of '{outcome}' among those still at risk. "
            + " ".join(said)
            + " An outcome of level: participant holds at every visit; one of level: visit only where it is given."
        )
    task, cut = with_horizons(_task(store, spec, kept), horizons)
    _require_events_by_horizons(task)
    return task, [*said, *cut]


def _require_events_by_horizons(task: LandmarkTask) -> None:
    """There is nothing to tell apart by a day by which nobody, or everybody, has had an event."""
    for one in task.landmarks:
        target = _timed(task.target[task.at(one.label)])
        for asked, day in one.horizons.items():
            had = int((target.event & (target.time_days <= day)).sum())
            if had in (0, len(target)):
                first, last = (float(np.quantile(target.time_days[target.event], end)) for end in (0, 1))
                raise InputError(
                    f"--horizons {asked:g}: {'none' if not had else 'all'} of the {len(target)} at {one.label} have an "
                    f"event within {day:g} days. Events lie {first:g} to {last:g} days after it: ask for a horizon "
                    "between them."
                )


def _timed(target: Target) -> SurvivalTarget | CompetingTarget:
    assert isinstance(target, SurvivalTarget | CompetingTarget)
    return target


def _task(
    store: OmicsStore, spec: OutcomeSpec, parts: list[tuple[str, float, np.ndarray, SurvivalTarget | CompetingTarget]]
) -> LandmarkTask:
    rows = np.concatenate([own for _, _, own, _ in parts])
    targets = [target for *_, target in parts]
    time = np.concatenate([target.time_days for target in targets])
    target: SurvivalTarget | CompetingTarget
    if isinstance(targets[0], CompetingTarget):
        cause = np.concatenate([one.cause for one in targets if isinstance(one, CompetingTarget)])
        target = CompetingTarget(time, cause, spec.classes)
    else:
        target = SurvivalTarget(time, np.concatenate([one.event for one in targets]))
    strata = np.concatenate([np.full(len(own), label, dtype=object) for label, _, own, _ in parts]).astype(str)
    last = max(len(parts) - 1, 1)
    ids = store.visits["participant_id"].astype(str).to_numpy(dtype=str)[rows]
    landmarks = tuple(Landmark(label, place / last, day) for place, (label, day, _, _) in enumerate(parts))
    return LandmarkTask(store, spec, rows, target, ids, "landmark", strata, landmarks=landmarks)


def _in_time(store: OmicsStore, visits: Sequence[str]) -> dict[str, float]:
    """These visits (all where none is named) and their median day, in time."""
    names = store.visits["visit"].astype(str)
    for name in visits:
        if not (names == name).any():
            raise InputError(f"--visits: {store.path} has no visit '{name}'; {closest(name, names.unique().tolist())}.")
    median = store.visits["time_days"].groupby(names).median().sort_values(kind="stable")
    return {str(name): float(day) for name, day in median.items() if name in visits or not visits}


def _at_visit(
    store: OmicsStore, spec: OutcomeSpec, name: str
) -> tuple[Int[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Store rows of the visit with a known outcome, one a participant; the landmark is the visit itself."""
    names = store.visits["visit"].astype(str)
    rows = np.flatnonzero((names == name).to_numpy() & store.outcome_observed(spec.name))
    rows = rows[~pd.Series(store.participant_number[rows]).duplicated(keep="last").to_numpy()]
    return rows, _place_on_clock(store, spec, rows)


def _at_age(
    store: OmicsStore, spec: OutcomeSpec, age: float
) -> tuple[Int[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Store rows of each participant's last visit up to an age, and the days from its time zero to that age."""
    if "age" not in store.visits or age <= 0:
        raise InputError(
            f"--ages: {store.path} has no column age. Name it under visits in COHORT.yaml, or give --visits."
            if age > 0
            else f"--ages: expected years above 0, found {age:g}."
        )
    ages = store.visits["age"].to_numpy(dtype=np.float64)
    before = np.flatnonzero((ages <= age) & store.outcome_observed(spec.name))
    order = before[np.argsort(ages[before], kind="stable")]
    rows = np.sort(order[~pd.Series(store.participant_number[order]).duplicated(keep="last").to_numpy()])
    return rows, _place_on_clock(store, spec, rows) + (age - ages[rows]) * DAYS_OF_A_YEAR


def _place_on_clock(store: OmicsStore, spec: OutcomeSpec, rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """Where the visits lie on the outcome's clock: 0, or their entry time where the clock is not theirs."""
    if not spec.own_clock:
        return np.zeros(len(rows))
    return store.outcomes[f"{spec.name}.entry_days"].to_numpy(dtype=np.float64)[rows]


def _from_landmark(
    target: SurvivalTarget | CompetingTarget, since: Shaped[np.ndarray, " rows"]
) -> SurvivalTarget | CompetingTarget:
    """Times from the landmark on; who was not followed there yet has an entry above 0."""
    entry = None if target.entry_days is None else np.maximum(target.entry_days - since, 0.0)
    if isinstance(target, CompetingTarget):
        return CompetingTarget(target.time_days - since, target.cause, target.causes, entry)
    return SurvivalTarget(target.time_days - since, target.event, entry)


def _without_entry(target: SurvivalTarget | CompetingTarget) -> SurvivalTarget | CompetingTarget:
    if isinstance(target, CompetingTarget):
        return CompetingTarget(target.time_days, target.cause, target.causes)
    return SurvivalTarget(target.time_days, target.event)
