"""omicsfm as a method of a forecast: members from the last value to the pretrained state, weighted by held-out errors.

    last                the last value carried forward
    line                a line through it
    past                that, and what its square, the change before it and the time ahead explain of the rest
    history             the line, and what these and the quantity as the omics of the last visits say it is explain of
                        the rest (``states.py``). Those models learn from *every* training visit, so they know more
                        visits than there are pairs to learn from
    line + ...          what that state, all omics of the last visit or their kernel explain of what the line leaves
    history + ...       what each modality, all of them, their kernel, the pretrained embedding of the last visit and
                        the pretrained state of the whole history explain of what the history leaves

The forecast is an average. Its weights begin equal and go where the errors of training participants whom no step of a
member had seen lead them (``weights.py``): with few participants it stays an average, which errs less than most of its
members. On a platform that no training row had, where slopes belong to another unit, it is the last value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from omicsfm.baselines.base import Predicted
from omicsfm.baselines.penalised import fit_penalised
from omicsfm.checkpoint import Checkpoint
from omicsfm.data.groups import inner_groups
from omicsfm.evaluation.forecast.baselines import LastObservation, line_through_last
from omicsfm.evaluation.forecast.encoders import forecast_encoders
from omicsfm.evaluation.forecast.states import measured_at, states_of
from omicsfm.evaluation.forecast.task import ForecastTask, as_forecast
from omicsfm.evaluation.forecast.weights import convex_weights, held_out_members
from omicsfm.evaluation.methods import Test, Train
from omicsfm.evaluation.pretrained import NAME, Encoders, Pretrained
from omicsfm.evaluation.task import Task
from omicsfm.inference import evidence, reader_for
from omicsfm.metrics.targets import QuantityTarget
from omicsfm.model.omics_model import KERNEL, NETWORKS

PULL_ROWS = 30.0
"""How many training rows the equal weights count as. One target says little of a dozen weights."""
LAST = "last"
LAST_VISIT = f"{NAME}[last_visit]"
VISITS_READ = {NAME: 2, LAST_VISIT: 1}
"""Past values, and past states, that the members read; the second shows what the visits before the last one add."""
TRAJECTORY = "trajectory"


@dataclass(frozen=True)
class _Voice:
    """A member's held-out predictions of the training rows and predictions of the test rows."""

    held_out: Float[np.ndarray, " train"]
    test: Float[np.ndarray, " test"]


class ForecastStack(Pretrained):
    """A pretrained encoder's evidence of each visit, the past values of the quantity, and linear models of both."""

    def __init__(self, *, name: str, encoders: Encoders, remembered: int) -> None:
        """``remembered`` is how many visits, from the last back, the members read: with 1 the last visit alone."""
        super().__init__(name=name, encoders=encoders, adaptation={"remembered": remembered})
        self._remembered = remembered

    def begin_fold(self, task: Task, train: Train, *, seed: int) -> None:
        """Pretrain on all visits of the fold's training participants."""
        self._opened = self._encoders.of_fold(task, train, seed=seed)

    def fit_predict(self, task: Task, train: Train, test: Test, *, seed: int) -> Predicted:
        """Fit the members on ``train``, weigh them, predict ``test``."""
        assert self._opened is not None, "begin_fold comes first"
        if not self._encoders.config["data"]["allow_seen"]:
            self._refuse_seen(self._opened, task, test)
        task = as_forecast(task)
        known = _Known(task, self._opened, train, remembered=self._remembered)
        said = _Fold(known, task, train, test, seed).members()
        held_out = held_out_members(
            task.inner_groups(train),
            lambda own, out: _Fold(known, task, train[own], train[out], seed).members(),
            seed=seed,
        )
        truth = task.target[train].value
        weights = convex_weights([own - truth for own in held_out.values()], pull_rows=PULL_ROWS)
        mean = weights @ np.stack([said[name] for name in held_out])
        return Predicted(np.where(_in_another_unit(task, train, test), said[LAST], mean))


def forecast_stacks(
    names: Sequence[str], overrides: Sequence[str] = (), *, checkpoint: Path | None = None
) -> dict[str, ForecastStack]:
    """The methods among ``names`` by name, which share each fold's encoder; ``overrides`` are key=value of the training
    config. Without a ``checkpoint`` each fold pretrains.

    Raises:
        InputError: The checkpoint does not open, or an override names no key.
    """
    asked = [name for name in names if name in VISITS_READ]
    if not asked:
        return {}
    encoders = forecast_encoders(overrides, checkpoint=checkpoint)
    return {name: ForecastStack(name=name, encoders=encoders, remembered=VISITS_READ[name]) for name in asked}


class _Known:
    """What the encoder knows of every visit that a member may read, and of which inputs it knows anything."""

    def __init__(self, task: ForecastTask, opened: Checkpoint, train: Train, *, remembered: int) -> None:
        self.remembered = _remembered_rows(task, remembered)
        self.read = np.union1d(np.flatnonzero(~np.isnan(task.known)), self.remembered)
        self.evidence = evidence(opened.model, reader_for(opened, task.store), self.read).astype(np.float64)
        places = opened.model.evidence
        self.places = {name: place for name, place in places.items() if remembered > 1 or name != TRAJECTORY}
        self.past = _past_columns(task, remembered)
        self.ends = self.at(task.rows)
        self.measured = [n for n in task.store.inputs if n in places and np.ptp(self.ends[train][:, places[n]])]

    def at(self, rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "rows evidence"]:
        """Of these store rows."""
        return self.evidence[np.searchsorted(self.read, rows)]


class _Fold:
    """The members of one fold."""

    def __init__(self, known: _Known, task: ForecastTask, train: Train, test: Test, seed: int) -> None:
        self._known, self._task, self._train, self._test, self._seed = known, task, train, test, seed
        self._target, self._groups = task.target[train], task.inner_groups(train)
        self._learnt = _rows_with_value(task, train, test)
        self._past = _told_apart(known.past, train)

    def members(self) -> dict[str, Float[np.ndarray, " test"]]:
        """What each predicts of the test rows."""
        fit, everywhere = line_through_last(self._task, self._train, seed=self._seed)
        line = _Voice(fit.held_out[:, 0], everywhere[self._test])
        carried = LastObservation().fit_predict(self._task, self._train, self._test, seed=self._seed).test
        found = {"line": line, "past": self._corrected(line, self._past)}
        history = found["past"]
        measured, places = self._known.measured, self._known.places
        all_omics = {"omics": measured, **({KERNEL: [KERNEL]} if KERNEL in places else {})} if measured else {}
        if measured:
            state = self._states(measured)
            found["line + state"] = self._corrected(line, state)
            history = found["history"] = self._corrected(line, np.concatenate([self._past, state], axis=1))
        for name, parts in all_omics.items():
            found[f"line + {name}"] = self._corrected(line, self._read(parts))
        alone = {name: [name] for name in (*(measured if len(measured) > 1 else ()), *NETWORKS) if name in places}
        for name, parts in {**all_omics, **alone}.items():
            found[f"history + {name}"] = self._corrected(history, self._read(parts))
        return {LAST: carried, **{name: voice.test for name, voice in found.items()}}

    def _read(self, parts: Sequence[str]) -> Float[np.ndarray, "rows features"]:
        """Parts of the evidence where each history ends."""
        return np.concatenate([self._known.ends[:, self._known.places[name]] for name in parts], axis=1)

    def _corrected(self, begun: _Voice, features: Float[np.ndarray, "rows features"]) -> _Voice:
        """A member, and what the features explain of what it leaves; a correction larger than any of a training
        participant is not believed, such as where another year measured in other units.
        """
        rest = QuantityTarget(self._target.value - begun.held_out)
        fit = fit_penalised(features[self._train], rest, groups=self._groups, seed=self._seed)
        held_out = fit.held_out[:, 0]
        correction = np.clip(fit.predict(features[self._test]), held_out.min(), held_out.max())
        return _Voice(begun.held_out + held_out, begun.test + correction)

    def _states(self, measured: Sequence[str]) -> Float[np.ndarray, "rows states"]:
        """The quantity at the last visit, as its omics say, and how that changed since the visits before."""
        task, known = self._task, self._known
        if not len(self._learnt):
            return np.zeros(known.remembered.shape)
        state = states_of(
            {name: known.evidence[:, known.places[name]] for name in measured},
            {name: measured_at(task.store, name, known.read) for name in measured},
            np.searchsorted(known.read, self._learnt),
            task.known[self._learnt],
            groups=inner_groups(task.store.visits, task.together, train=self._learnt)[self._learnt],
            seed=self._seed,
        )
        path = state[np.searchsorted(known.read, known.remembered)]
        return np.concatenate([path[:, :1], -np.diff(path, axis=1)], axis=1)


def _in_another_unit(task: ForecastTask, train: Train, test: Test) -> Bool[np.ndarray, " test"]:
    """Test rows of a platform that no training row had: what was learnt in one unit says nothing in another."""
    return np.zeros(len(test), dtype=bool) if task.units is None else ~np.isin(task.units[test], task.units[train])


def _remembered_rows(task: ForecastTask, count: int) -> Int[np.ndarray, "rows remembered"]:
    """The last visits of each history, the newest first; the earliest again where there are no more."""
    previous, rows = task.histories.previous, [task.rows]
    for _ in range(count - 1):
        before = previous[rows[-1]]
        rows.append(np.where(before >= 0, before, rows[-1]))
    return np.stack(rows, axis=1)


def _rows_with_value(task: ForecastTask, train: Train, test: Test) -> Int[np.ndarray, " learnt"]:
    """All visits of training participants at which the quantity is known, whether or not anything is forecast there."""
    visits = task.store.visits
    allowed = task.readable(visits, np.unique(task.participant_ids[test]))
    trained = visits["participant_id"].astype(str).isin(task.participant_ids[train]).to_numpy()
    return np.flatnonzero(allowed & trained & ~np.isnan(task.known))


def _past_columns(task: ForecastTask, count: int) -> Float[np.ndarray, "rows columns"]:
    """The last value, NaN where not known, its change, how old it is and how far ahead is looked."""
    values, days = task.past(count)
    change = np.nan_to_num(-np.diff(values, axis=1))
    return np.column_stack([values[:, 0], change, np.log1p(np.nan_to_num(days[:, 0])), np.log1p(task.days_ahead)])


def _told_apart(past: Float[np.ndarray, "rows columns"], train: Train) -> Float[np.ndarray, "rows features"]:
    """With the last value its square and whether it is known; what tells training rows apart, and nothing beyond what
    one of them has.
    """
    last, unknown = past[:, 0], np.isnan(past[:, 0])
    middle = np.nanmedian(last[train]) if (~unknown[train]).any() else 0.0
    last = np.where(unknown, middle, last)
    columns = np.column_stack([last, (last - middle) ** 2, unknown, past[:, 1:]])
    columns = np.clip(columns, columns[train].min(axis=0), columns[train].max(axis=0))
    return columns[:, np.ptp(columns[train], axis=0) > 0]
