"""A ForecastTask: a quantity at a later visit, from all that is known of a participant up to an earlier one."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.histories import Histories
from omicsfm.data.row_labels import PLATFORM, row_labels
from omicsfm.data.store import OmicsStore
from omicsfm.data.transforms.scales import to_model_scale
from omicsfm.errors import InputError, closest
from omicsfm.evaluation.task import Task
from omicsfm.metrics.targets import QuantityTarget

FEWEST_PAIRS = 10


@dataclass(frozen=True)
class ForecastTask(Task):
    """``rows`` are where each history ends, ``target`` is of the visits ``later``."""

    target: QuantityTarget
    later: Int[np.ndarray, " rows"] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Store rows that are forecast; the history's own where the outcome is recorded there."""
    known: Float[np.ndarray, " visits"] = field(default_factory=lambda: np.zeros(0))
    """The quantity whose last value is carried forward, at every visit of the store; NaN where not known."""
    units: Shaped[np.ndarray, " rows"] | None = None
    """Of a measured feature the platform of each later visit: another may measure in another unit."""

    @property
    def visits(self) -> pd.DataFrame:
        """The visits that are forecast: their time decides on which side of a cut in time a row lies."""
        return self.store.visits.iloc[self.later].reset_index(drop=True)

    @cached_property
    def histories(self) -> Histories:
        """Every participant's visits in time."""
        return Histories.of(self.store.visits)

    @property
    def days_ahead(self) -> Float[np.ndarray, " rows"]:
        """From the end of the history to the visit that is forecast."""
        return self.histories.time_days[self.later] - self.histories.time_days[self.rows]

    def past(self, count: int = 1) -> tuple[Float[np.ndarray, "rows count"], Float[np.ndarray, "rows count"]]:
        """The last known values, the newest first, and how many days before the visit that is forecast they are."""
        values, days = self.histories.last_known(self.known, self.rows, count=count)
        return values, self.histories.time_days[self.later][:, None] - days


def as_forecast(task: Task) -> ForecastTask:
    """The task, which must be a forecast: a method of forecasts takes part in nothing else."""
    assert isinstance(task, ForecastTask), f"{type(task).__name__} has no history"
    return task


def forecast_task(
    store: OmicsStore,
    quantity: str,
    *,
    last: str | None = None,
    until: float | None = None,
    between: tuple[float, float] | None = None,
) -> ForecastTask:
    """Forecast ``quantity``, an outcome or ``modality:feature``, at each visit that has it and a visit before it.

    A history ends at the visit before the one that is forecast; with ``until`` at the last one at or before that day.
    ``between`` are the first and the last day of the visits that are forecast. With ``last`` the quantity is recorded
    where the history ends (``at: next_visit`` in COHORT.yaml), and ``last`` names what was known of it there.

    Raises:
        InputError: There is no such quantity, times repeat, or too few visits have both a value and a history.
    """
    histories = Histories.of(store.visits)
    value = quantity_of(store, quantity)
    rows = np.flatnonzero(~np.isnan(value))
    if last is None:
        histories.require_distinct_times(store.visits)
        name = _name(quantity, until, between)
        rows, later = _pairs(histories, rows, until, between)
    elif until is not None or between is not None:
        raise InputError("--last: the quantity is recorded where the history ends, so that no days can be chosen.")
    else:
        name, later = f"{quantity} after {last}", rows
    _require_pairs(store, rows, name)
    ids = store.visits["participant_id"].astype(str).to_numpy(dtype=str)[rows]
    known = value if last is None else quantity_of(store, last)
    spec = OutcomeSpec(name, "quantity", "visit")
    units = _units(store, last or quantity, later)
    return ForecastTask(store, spec, rows, QuantityTarget(value[later]), ids, later=later, known=known, units=units)


def every_feature_task(
    store: OmicsStore, *, until: float | None = None, between: tuple[float, float] | None = None
) -> ForecastTask:
    """Forecast everything that is measured at each visit with an earlier one; ``target`` is empty.

    Raises:
        InputError: Times repeat, or too few visits have a history.
    """
    histories = Histories.of(store.visits)
    histories.require_distinct_times(store.visits)
    rows, later = _pairs(histories, np.arange(len(store)), until, between)
    name = _name("every feature", until, between)
    _require_pairs(store, rows, name)
    ids = store.visits["participant_id"].astype(str).to_numpy(dtype=str)[rows]
    nothing = QuantityTarget(np.zeros(len(rows)))
    return ForecastTask(store, OutcomeSpec(name, "quantity", "visit"), rows, nothing, ids, later=later)


def quantity_of(store: OmicsStore, name: str) -> Float[np.ndarray, " visits"]:
    """An outcome, or ``modality:feature`` on its logarithmic scale, at every visit; NaN where not known.

    Raises:
        InputError: There is no such outcome, modality or feature, or the outcome is no quantity.
    """
    modality, _, feature = name.partition(":")
    if not feature:
        spec = store.outcome(name)
        if spec.kind != "quantity":
            raise InputError(f"--quantity {name}: is a {spec.kind} outcome; a forecast is of a quantity.")
        return store.outcomes[name].to_numpy(dtype=np.float64)
    if modality not in store.modalities:
        raise InputError(
            f"--quantity {name}: there is no modality '{modality}'; {closest(modality, store.modalities)}."
        )
    matrix = store.modalities[modality]
    ids = list(matrix.features.ids)
    if feature not in ids:
        raise InputError(f"--quantity {name}: {modality} has no feature '{feature}'; {closest(feature, ids)}.")
    raw = matrix.read(matrix.rows)[0]
    own = to_model_scale(matrix.features.scale).fit(raw)(raw)[:, ids.index(feature)]
    values = np.full(len(store), np.nan)
    values[matrix.rows] = own
    return values


def _units(store: OmicsStore, name: str, later: Int[np.ndarray, " rows"]) -> Shaped[np.ndarray, " rows"] | None:
    modality, _, feature = name.partition(":")
    return row_labels(store, modality, (PLATFORM,))[PLATFORM][later] if feature else None


def _pairs(
    histories: Histories, later: Int[np.ndarray, " rows"], until: float | None, between: tuple[float, float] | None
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Where the history of each later visit ends, and that visit; without those that have no history."""
    if between is not None:
        later = later[(histories.time_days[later] >= between[0]) & (histories.time_days[later] <= between[1])]
    ends = histories.previous[later] if until is None else _end_at(histories, later, until)
    return ends[ends >= 0], later[ends >= 0]


def _require_pairs(store: OmicsStore, rows: Int[np.ndarray, " rows"], name: str) -> None:
    if len(rows) < FEWEST_PAIRS:
        raise InputError(
            f"{store.path}: {name} can be forecast at {len(rows)} visits, which have it and an earlier visit; at least "
            f"{FEWEST_PAIRS} are needed."
        )


def _end_at(histories: Histories, later: Int[np.ndarray, " rows"], until: float) -> Int[np.ndarray, " rows"]:
    """The last visit before each of ``later`` that is at or before day ``until``, -1 where there is none."""
    ends = [histories.before(int(row)) for row in later]
    own = [before[histories.time_days[before] <= until] for before in ends]
    return np.array([before[-1] if len(before) else -1 for before in own], dtype=np.int64)


def _name(quantity: str, until: float | None, between: tuple[float, float] | None) -> str:
    at = "at the next visit" if until is None else "at a later visit"
    if between is not None:
        at = f"on day {between[0]:g}" + (f" to {between[1]:g}" if between[1] != between[0] else "")
    return f"{quantity} {at}" + ("" if until is None else f" from day {until:g}")
