"""What was observed, as arrays: the truth that predictions are fitted to and scored against."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

Rows = Int[np.ndarray, " chosen"] | Bool[np.ndarray, " rows"]


@dataclass(frozen=True)
class ClassTarget:
    """Class ids into ``classes``, the labels in the order of their ids."""

    class_id: Int[np.ndarray, " rows"]
    classes: tuple[str, ...]
    kind: ClassVar[Literal["class"]] = "class"

    def __len__(self) -> int:
        return len(self.class_id)

    def __getitem__(self, rows: Rows) -> "ClassTarget":
        return ClassTarget(self.class_id[rows], self.classes)

    @property
    def stratum(self) -> Int[np.ndarray, " rows"]:
        """The label that folds are balanced on: the class."""
        return self.class_id


@dataclass(frozen=True)
class QuantityTarget:
    """Values in the outcome's own unit."""

    value: Float[np.ndarray, " rows"]
    kind: ClassVar[Literal["quantity"]] = "quantity"

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, rows: Rows) -> "QuantityTarget":
        return QuantityTarget(self.value[rows])

    @property
    def stratum(self) -> Int[np.ndarray, " rows"]:
        """The label that folds are balanced on: one for all."""
        return np.zeros(len(self.value), dtype=np.int64)


@dataclass(frozen=True)
class SurvivalTarget:
    """Days from time zero to the event, or to the end of follow-up where ``event`` is false (censored)."""

    time_days: Float[np.ndarray, " rows"]
    event: Bool[np.ndarray, " rows"]
    entry_days: Float[np.ndarray, " rows"] | None = None
    """From when on an event would have been seen (delayed entry); None: from time zero on."""
    kind: ClassVar[Literal["survival"]] = "survival"

    def __len__(self) -> int:
        return len(self.time_days)

    def __getitem__(self, rows: Rows) -> "SurvivalTarget":
        return SurvivalTarget(self.time_days[rows], self.event[rows], _at(self.entry_days, rows))

    @property
    def stratum(self) -> Int[np.ndarray, " rows"]:
        """The label that folds are balanced on: whether the event was seen."""
        return self.event.astype(np.int64)


@dataclass(frozen=True)
class CompetingTarget:
    """Days from time zero to the first of several events, and which it was: 0 none (censored), 1 the first of
    ``causes``, and so on.
    """

    time_days: Float[np.ndarray, " rows"]
    cause: Int[np.ndarray, " rows"]
    causes: tuple[str, ...]
    entry_days: Float[np.ndarray, " rows"] | None = None
    kind: ClassVar[Literal["competing_risks"]] = "competing_risks"

    def __len__(self) -> int:
        return len(self.time_days)

    def __getitem__(self, rows: Rows) -> "CompetingTarget":
        return CompetingTarget(self.time_days[rows], self.cause[rows], self.causes, _at(self.entry_days, rows))

    @property
    def event(self) -> Bool[np.ndarray, " rows"]:
        """Whether any of the events was seen."""
        return self.cause > 0

    @property
    def stratum(self) -> Int[np.ndarray, " rows"]:
        """The label that folds are balanced on: what was seen."""
        return self.cause

    def of_cause(self, number: int) -> SurvivalTarget:
        """The event of one cause (1 for the first), the others as censoring: what its cause-specific hazard sees."""
        return SurvivalTarget(self.time_days, self.cause == number, self.entry_days)

    def of_any(self) -> SurvivalTarget:
        """Any of the events."""
        return SurvivalTarget(self.time_days, self.event, self.entry_days)


Target = ClassTarget | QuantityTarget | SurvivalTarget | CompetingTarget


def _at(days: Float[np.ndarray, " rows"] | None, rows: Rows) -> Float[np.ndarray, " chosen"] | None:
    return None if days is None else days[rows]


def class_target(labels: Sequence[str], classes: tuple[str, ...]) -> ClassTarget:
    """A ClassTarget from labels; every label must be one of ``classes``."""
    position = {label: number for number, label in enumerate(classes)}
    return ClassTarget(np.array([position[str(label)] for label in labels], dtype=np.int64), tuple(classes))
