"""Transforms one after the other."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from omicsfm.data.transforms.base import NO_LABELS, Features, Labels, Pointwise, Total, Transform, Values, target


class Chain:
    """Steps applied in order; each is fitted on what the one before it returns."""

    def __init__(self, *, steps: Sequence[Transform]) -> None:
        self.steps = list(steps)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every label that a step reads."""
        return tuple(dict.fromkeys(column for step in self.steps for column in step.columns))

    def fit(self, values: Values, labels: Labels = NO_LABELS) -> "Chain":
        """Fit every step on training rows, ``values`` in the declared scale."""
        for step in self.steps:
            values = step.fit(values, labels)(values, labels)
        return self

    def __call__(self, values: Values, labels: Labels = NO_LABELS) -> Values:
        """The rows on the model scale."""
        for step in self.steps:
            values = step(values, labels)
        return values

    @property
    def is_pointwise(self) -> bool:
        """Whether ``at`` can be called: every step can do without the features that are not asked for."""
        return all(isinstance(step, Pointwise) for step in self.steps)

    def at(self, values: Values, features: Features, labels: Labels, total: Total) -> Values:
        """Some features of each visit on the model scale; see ``Pointwise``."""
        for step in self.steps:
            assert isinstance(step, Pointwise)
            values = step.at(values, features, labels, total)
        return values

    def spec(self) -> dict[str, Any]:
        """What ``build`` needs to make this chain again."""
        return {"_target_": target(self), "steps": [step.spec() for step in self.steps]}

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything fitted, named ``<step number>.<array>``."""
        return {f"{i}.{name}": array for i, step in enumerate(self.steps) for name, array in step.arrays().items()}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put back everything fitted."""
        for i, step in enumerate(self.steps):
            step.load({n.removeprefix(f"{i}."): a for n, a in arrays.items() if n.startswith(f"{i}.")})
