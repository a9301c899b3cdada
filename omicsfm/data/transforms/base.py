"""What a transform is: one step from assay values to the scale of the model.

Every transform works row by row once fitted, keeps NaN as NaN (not measured), and is described by a plain spec
(``_target_`` and arguments) plus arrays, so that a checkpoint holds it without code.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

Values = Float[np.ndarray, "visits features"]
Features = Int[np.ndarray, "visits features"]
Total = Float[np.ndarray, "visits 1"]
Labels = Mapping[str, np.ndarray]
"""What is said of each row, by column of the visits: its platform, plate, site, as text. A column may be absent; an
empty text is a row of which it is not known."""
NO_LABELS: Labels = MappingProxyType({})


@runtime_checkable
class Transform(Protocol):
    """One step."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Labels it reads, of the columns of the visits."""

    def fit(self, values: Values, labels: Labels) -> "Transform":
        """Learn from training rows."""

    def __call__(self, values: Values, labels: Labels) -> Values:
        """The same rows on the next scale."""

    def spec(self) -> dict[str, Any]:
        """What ``build`` needs to make this step again."""

    def arrays(self) -> dict[str, np.ndarray]:
        """What was fitted."""

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what was fitted."""


@runtime_checkable
class Pointwise(Protocol):
    """A step that can be applied to some features of each visit without reading the others, as sparse rows are."""

    def at(self, values: Values, features: Features, labels: Labels, total: Total) -> Values:
        """``values`` of ``features``, each visit its own, on the next scale; ``total`` is each visit's sum over all
        its measured features on the declared scale.
        """


def target(step: object) -> str:
    """The ``_target_`` of a step's class."""
    return f"{type(step).__module__}.{type(step).__name__}"


class Stateless:
    """A step with nothing to fit."""

    columns: tuple[str, ...] = ()

    def fit(self, values: Values, labels: Labels = NO_LABELS) -> "Stateless":
        return self

    def __call__(self, values: Values, labels: Labels = NO_LABELS) -> Values:
        raise NotImplementedError

    def spec(self) -> dict[str, Any]:
        return {"_target_": target(self), **vars(self)}

    def arrays(self) -> dict[str, np.ndarray]:
        return {}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        return None
