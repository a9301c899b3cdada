"""To a logarithm, and from one logarithm to another."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from omicsfm.data.transforms.base import NO_LABELS, Features, Labels, Stateless, Total, Values, target


class Log1p(Stateless):
    """log(1 + value), for values already normalised over the visit, such as TPM."""

    def __call__(self, values: Values, labels: Labels = NO_LABELS) -> Values:
        return np.log1p(values)

    def at(self, values: Values, features: Features, labels: Labels, total: Total) -> Values:
        return self(values)


class Rescale(Stateless):
    """A constant factor, to bring log10 or natural logarithms to log2."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, values: Values, labels: Labels = NO_LABELS) -> Values:
        return (values * self.factor).astype(np.float32)

    def at(self, values: Values, features: Features, labels: Labels, total: Total) -> Values:
        return self(values)


class Log2AboveFloor:
    """log2 of positive intensities, concentrations or abundances; lower values are lifted to a floor per feature.

    The floor is half of the smallest positive training value: a measured zero stays the lowest value without
    becoming minus infinity.
    """

    columns: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.floor = np.zeros(0, dtype=np.float32)

    def fit(self, values: Values, labels: Labels = NO_LABELS) -> "Log2AboveFloor":
        positive = np.where(values > 0, values, np.inf)
        floor = positive.min(axis=0, initial=np.inf) / 2
        self.floor = np.where(np.isfinite(floor), floor, 1.0).astype(np.float32)
        return self

    def __call__(self, values: Values, labels: Labels = NO_LABELS) -> Values:
        return np.log2(np.maximum(values, self.floor))  # NaN stays NaN in maximum

    def at(self, values: Values, features: Features, labels: Labels, total: Total) -> Values:
        return np.log2(np.maximum(values, self.floor[features]))

    def spec(self) -> dict[str, Any]:
        return {"_target_": target(self)}

    def arrays(self) -> dict[str, np.ndarray]:
        return {"floor": self.floor}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.floor = arrays["floor"]
