"""What an outcome means: the one word of the data room and of the models that needs no torch."""

from dataclasses import dataclass
from typing import Literal

OutcomeKind = Literal["class", "quantity", "survival", "competing_risks"]
TIMED = ("survival", "competing_risks")
"""Kinds of outcome that are a time to an event."""
FROM_VISIT = ("visit", "first_visit", "study_start")
"""Time zeros whose times a store counts from the visit; any other is the origin of a clock of the outcome's own."""


@dataclass(frozen=True)
class OutcomeSpec:
    """What an outcome means: a class, a quantity, or a time to an event.

    ``classes`` lists the labels of a ``class`` outcome in the order of their class ids, and the causes of
    ``competing_risks`` in the order of their numbers, the first being 1; empty for other kinds.
    ``level`` says whether each visit has its own value or the participant has one. ``time_zero`` says what the
    cohort's times to an event count from. With one of ``FROM_VISIT`` a store's times count from the visit; with any
    other, such as ``birth``, from there, and the visit is at the entry time.
    """

    name: str
    kind: OutcomeKind
    level: Literal["visit", "participant"] = "visit"
    classes: tuple[str, ...] = ()
    time_zero: str = "visit"

    @property
    def own_clock(self) -> bool:
        """Whether times count from an origin that is not the visit."""
        return self.kind in TIMED and self.time_zero not in FROM_VISIT
