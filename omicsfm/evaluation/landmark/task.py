"""A LandmarkTask: the risk of an event from a landmark on, for those who got there without it.

A landmark is a visit by its name, or an age. One row stands for one participant at one landmark; the row's visit is the
last one at or before it, and nothing later is read. Time counts from the landmark. Landmarks are the strata of the
task, so every method is fitted and scored at each (van Houwelingen, Scandinavian Journal of Statistics 2007).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from omicsfm.baselines.base import Block, OmicsTable
from omicsfm.data.groups import group_labels
from omicsfm.data.histories import Histories
from omicsfm.data.row_labels import at_rows, row_labels
from omicsfm.data.transforms import default_transform
from omicsfm.evaluation.task import Task
from omicsfm.metrics.kaplan_meier import at_risk_time
from omicsfm.metrics.targets import CompetingTarget, SurvivalTarget

LEAST_AT_RISK = 0.1
"""Share of a landmark's participants that must still be followed at a horizon."""
STEPS = 12
"""Days between which about as many events lie, at which curves are predicted up to the furthest horizon."""


@dataclass(frozen=True)
class Landmark:
    """One landmark, and its horizons in days: as asked for, and as far as its participants were followed."""

    label: str
    position: float
    """Where it lies between the first landmark (0) and the last (1)."""
    day: float
    """Of a visit its median day, of an age the days of life."""
    horizons: Mapping[float, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LandmarkTask(Task):
    """Rows are participants at landmarks, ``strata`` the labels of the landmarks."""

    landmarks: tuple[Landmark, ...] = ()

    @cached_property
    def histories(self) -> Histories:
        """Every participant's visits in time."""
        return Histories.of(self.store.visits)

    @property
    def curve_days(self) -> Float[np.ndarray, " times"]:
        """Every landmark's horizons, and days up to the furthest: as many as the events need, not evenly spaced."""
        assert isinstance(self.target, SurvivalTarget | CompetingTarget)
        horizons = sorted({day for one in self.landmarks for day in one.horizons.values()})
        happened = self.target.time_days[self.target.event & (self.target.time_days <= horizons[-1])]
        steps = np.ceil(np.quantile(happened, np.arange(1, STEPS) / STEPS)) if len(happened) else np.empty(0)
        return np.unique(np.concatenate([horizons, steps[steps > 0]]))

    @cached_property
    def last_rows(self) -> dict[str, Int[np.ndarray, " rows"]]:
        """For each input the store row of its last measurement at or before each landmark; -1 where there is none."""
        return {name: self._measured_rows(name, self.rows) for name in self.store.inputs}

    @cached_property
    def first_rows(self) -> dict[str, Int[np.ndarray, " rows"]]:
        """The same of its first measurement."""
        firsts = self.histories.order[self.histories.first[self.rows]]
        found = {}
        for name, last in self.last_rows.items():
            measured = np.zeros(len(self.store), dtype=bool)
            measured[self.store.inputs[name].rows] = True
            first = firsts.copy()
            for place in np.flatnonzero(~measured[first] & (last >= 0)):
                begin, until = self.histories.place[firsts[place]], self.histories.place[last[place]]
                own = self.histories.order[begin : until + 1]
                first[place] = own[measured[own]][0]
            found[name] = np.where(last >= 0, first, -1)
        return found

    @cached_property
    def table(self) -> OmicsTable:
        """Every input's last measurement in the declared scale, NaN where there is none."""
        blocks = {}
        for name, matrix in self.store.inputs.items():
            scale, last = matrix.features.scale, self.last_rows[name]
            labels = row_labels(self.store, name, default_transform(scale).columns)
            values = matrix.read(np.maximum(last, 0))[0].astype(np.float64)
            values[last < 0] = np.nan
            blocks[name] = Block(values, scale, at_rows(labels, np.maximum(last, 0)))
        return OmicsTable(blocks, group_labels(self.visits, self.together))

    def at(self, label: str) -> Int[np.ndarray, " own"]:
        """Positions of a landmark's rows."""
        assert self.strata is not None
        return np.flatnonzero(self.strata == label)

    def _measured_rows(self, name: str, rows: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
        number = np.full(len(self.store), np.nan)
        number[self.store.inputs[name].rows] = self.store.inputs[name].rows
        last, _ = self.histories.last_known(number, rows)
        return np.nan_to_num(last[:, 0], nan=-1).astype(np.int64)


def with_horizons(task: LandmarkTask, asked: Sequence[float]) -> tuple[LandmarkTask, list[str]]:
    """The task with every landmark's horizons cut to where at least a tenth is still followed; and what was cut."""
    assert isinstance(task.target, SurvivalTarget | CompetingTarget)
    landmarks, said = [], []
    for one in task.landmarks:
        furthest = max(np.ceil(at_risk_time(task.target.time_days[task.at(one.label)], LEAST_AT_RISK)) - 1, 1.0)
        cut = [day for day in asked if day > furthest]
        if cut:
            said.append(
                f"{one.label}: {' and '.join(f'{day:g}' for day in cut)} days lie beyond the follow-up; risks are "
                f"predicted and scored for {furthest:g} days, when at least a tenth is still followed."
            )
        landmarks.append(replace(one, horizons={day: min(float(day), float(furthest)) for day in asked}))
    return replace(task, landmarks=tuple(landmarks)), said
