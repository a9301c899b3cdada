"""omicsfm as a method of a forecast: linear models that all begin at the last value, weighted by held-out predictions.

    the line            through the last value, alone
    + past              what its square, the change before it and the time ahead explain of the rest
    + state             that, and the quantity as the omics of the last visits say it is (``states.py``). Those models
                        learn from *every* training visit, so they know more visits than there are pairs to learn from
    + ... + modality    what one modality of the last visit, or all of them, explain of what past and state leave
    + ... + embedding   the same of the pretrained embedding of the last visit
    + ... + trajectory  the same of the pretrained state of the whole history

All weights come from predictions of training participants that a member had not seen, and what the members together
say beyond the line counts as far as it can be told from chance (``belief.py``): where nothing is there to be learnt,
or too few to learn it from, the stack is the line.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from omicsfm.baselines.base import Predicted
from omicsfm.baselines.penalised import fit_penalised
from omicsfm.baselines.stack import stack
from omicsfm.checkpoint import Checkpoint
from omicsfm.data.folds import make_split
from omicsfm.data.groups import inner_groups
from omicsfm.evaluation.forecast.baselines import line_through_last
from omicsfm.evaluation.forecast.belief import belief
from omicsfm.evaluation.forecast.encoders import forecast_encoders
from omicsfm.evaluation.forecast.states import measured_at, states_of
from omicsfm.evaluation.forecast.task import ForecastTask, as_forecast
from omicsfm.evaluation.methods import Test, Train
from omicsfm.evaluation.pretrained import NAME, Encoders, Pretrained
from omicsfm.evaluation.task import Task
from omicsfm.inference import evidence, reader_for
from omicsfm.metrics.targets import QuantityTarget
from omicsfm.seeding import derive

PULL = 3.0
"""Less than where a stack has no line to begin at: here no member can be far off."""
LAST_VISIT = f"{NAME}[last_visit]"
FOLDS = 5
"""Of the training rows, in which the stack is made once more."""
VISITS_READ = {NAME: 2, LAST_VISIT: 1}
"""Past values, and past states, that the members read; the second shows what the visits before the last one add."""
TRAJECTORY = "trajectory"
EMBEDDINGS = ("embedding", TRAJECTORY)
"""Parts of the evidence that a network made."""


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
        known = _Known(task, self._opened, remembered=self._remembered)
        line, said = _Fold(known, task, train, test, seed).forecasts()
        return Predicted(line + self._belief(known, task, train, seed) * (said - line))

    @staticmethod
    def _belief(known: "_Known", task: ForecastTask, train: Train, seed: int) -> float:
        """How far the stack is believed beyond the line: by all of it made once more in folds of the training rows."""
        groups = task.inner_groups(train)
        people = pd.DataFrame({"participant_id": groups})
        folds = min(FOLDS, people["participant_id"].nunique())
        split = make_split(people, repeats=1, folds=folds, seed=derive(seed, "belief"))
        correction, rest = np.zeros(len(train)), np.zeros(len(train))
        for number in range(folds):
            own, out = (np.flatnonzero(mask) for mask in split.masks(people, 0, number))
            line, said = _Fold(known, task, train[own], train[out], seed).forecasts()
            left = task.target[train[out]].value - line
            # who is left out lies off the mean of the others on the other side, which no features are to blame for
            correction[out], rest[out] = said - line - (said - line).mean(), left - left.mean()
        return belief(correction, rest, groups)


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
    """What the encoder knows of every visit that a member may read."""

    def __init__(self, task: ForecastTask, opened: Checkpoint, *, remembered: int) -> None:
        self.remembered = _remembered_rows(task, remembered)
        self.read = np.union1d(np.flatnonzero(~np.isnan(task.known)), self.remembered)
        self.evidence = evidence(opened.model, reader_for(opened, task.store), self.read).astype(np.float64)
        places = opened.model.evidence
        self.places = {name: place for name, place in places.items() if remembered > 1 or name != TRAJECTORY}
        self.past = _past_columns(task, remembered)

    def at(self, rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "rows evidence"]:
        """Of these store rows."""
        return self.evidence[np.searchsorted(self.read, rows)]


class _Fold:
    """The members of one fold."""

    def __init__(self, known: _Known, task: ForecastTask, train: Train, test: Test, seed: int) -> None:
        self._known, self._task, self._train, self._test, self._seed = known, task, train, test, seed
        self._target, self._groups = task.target[train], task.inner_groups(train)
        self._learnt = _rows_with_value(task, train, test)
        self._line, self._at_line = line_through_last(task, train, seed=seed)
        self._past = _told_apart(known.past, train)

    def forecasts(self) -> tuple[Float[np.ndarray, " test"], Float[np.ndarray, " test"]]:
        """Of the test rows by the line, and by the stack of all members."""
        voices = self.voices()
        stacked = stack(np.stack([voice.held_out for voice in voices])[:, :, None], self._target, pull=PULL)
        said = stacked.combine(np.stack([voice.test for voice in voices])[:, :, None])
        return voices[0].test, said[:, 0]

    def voices(self) -> list[_Voice]:
        """Every member, the line alone first."""
        own, places = self._known.at(self._task.rows), self._known.places
        measured = [n for n in self._task.store.inputs if n in places and np.ptp(own[self._train][:, places[n]])]
        alone = [[name] for name in measured] if len(measured) > 1 else []
        embedded = [[name] for name in EMBEDDINGS if name in places]
        parts = [*([measured] if measured else []), *alone, *embedded]
        line = _Voice(self._line.held_out[:, 0], self._at_line[self._test])
        voices = [line, self._corrected(line, self._past)]
        if measured and len(self._learnt):
            voices.append(self._corrected(line, np.concatenate([self._past, self._states(measured)], axis=1)))
        history = voices[-1]
        said = [np.concatenate([own[:, places[name]] for name in names], axis=1) for names in parts]
        return [*voices, *(self._corrected(history, features) for features in said)]

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
