"""Assay values -> model scale. Fitted on training participants only, stored in the checkpoint.

Every transform works row by row once fitted, keeps NaN as NaN (not measured), and is described by a plain spec
(``_target_`` and arguments) plus arrays, so that a checkpoint holds it without code.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from omicsfm.build import build
from omicsfm.errors import InputError

Values = Float[np.ndarray, "visits features"]
LOG2_OF_10 = 3.321928094887362
LOG2_OF_E = 1.4426950408889634


@runtime_checkable
class Transform(Protocol):
    """One step; ``platforms`` names each row's platform, or is empty where the cohort has one."""

    def fit(self, values: Values, platforms: Sequence[str]) -> "Transform":
        """Learn from training rows."""

    def __call__(self, values: Values, platforms: Sequence[str]) -> Values:
        """The same rows on the next scale."""

    def spec(self) -> dict[str, Any]:
        """What ``build`` needs to make this step again."""

    def arrays(self) -> dict[str, np.ndarray]:
        """What was fitted."""

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what was fitted."""


class _Stateless:
    """A step with nothing to fit."""

    def fit(self, values: Values, platforms: Sequence[str] = ()) -> "_Stateless":
        return self

    def spec(self) -> dict[str, Any]:
        return {"_target_": f"{type(self).__module__}.{type(self).__name__}", **vars(self)}

    def arrays(self) -> dict[str, np.ndarray]:
        return {}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        return None


class Log1pCPM(_Stateless):
    """log(1 + counts per million); the total is over the measured features of a visit.

    As scanpy's normalize_total and log1p, which a checkpoint must predict without; a visit without counts stays 0.
    """

    def __call__(self, values: Values, platforms: Sequence[str] = ()) -> Values:
        total = np.nansum(values, axis=1, keepdims=True, dtype=np.float64)
        per_million = np.divide(1e6, total, out=np.ones_like(total), where=total > 0)
        return np.log1p(values * per_million).astype(np.float32)


class Log1p(_Stateless):
    """log(1 + value), for values already normalised over the visit, such as TPM."""

    def __call__(self, values: Values, platforms: Sequence[str] = ()) -> Values:
        return np.log1p(values)


class Rescale(_Stateless):
    """A constant factor, to bring log10 or natural logarithms to log2."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, values: Values, platforms: Sequence[str] = ()) -> Values:
        return (values * self.factor).astype(np.float32)


class Log2AboveFloor:
    """log2 of positive intensities or abundances; lower values are lifted to a floor per feature.

    The floor is half of the smallest positive training value: a measured zero stays the lowest value without
    becoming minus infinity.
    """

    def __init__(self) -> None:
        self.floor = np.zeros(0, dtype=np.float32)

    def fit(self, values: Values, platforms: Sequence[str] = ()) -> "Log2AboveFloor":
        positive = np.where(values > 0, values, np.inf)
        floor = positive.min(axis=0, initial=np.inf) / 2
        self.floor = np.where(np.isfinite(floor), floor, 1.0).astype(np.float32)
        return self

    def __call__(self, values: Values, platforms: Sequence[str] = ()) -> Values:
        return np.log2(np.maximum(values, self.floor))  # NaN stays NaN in maximum

    def spec(self) -> dict[str, Any]:
        return {"_target_": "omicsfm.data.transforms.Log2AboveFloor"}

    def arrays(self) -> dict[str, np.ndarray]:
        return {"floor": self.floor}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.floor = arrays["floor"]


class RobustZ:
    """(value - median) / (interquartile range / 1.349) per feature and platform, clipped.

    Where the range is zero (a feature that is mostly one value) the standard deviation takes its place, and 1
    where that is zero too. A platform with fewer than ``min_rows`` values of a feature, or one never seen in
    training, takes the statistics over all platforms.
    """

    def __init__(self, *, clip: float = 8.0, min_rows: int = 10, platforms: Sequence[str] = ()) -> None:
        self.clip = clip
        self.min_rows = min_rows
        self.platforms = tuple(platforms)
        self.center = np.zeros((1, 0), dtype=np.float32)
        self.spread = np.ones((1, 0), dtype=np.float32)

    def fit(self, values: Values, platforms: Sequence[str] = ()) -> "RobustZ":
        self.platforms = tuple(sorted(set(platforms)))
        pooled = _location_and_spread(values)
        rows = [pooled]
        for platform in self.platforms:
            own = values[np.asarray(platforms) == platform]
            enough = (~np.isnan(own)).sum(axis=0) >= self.min_rows
            center, spread = _location_and_spread(own)
            rows.append((np.where(enough, center, pooled[0]), np.where(enough, spread, pooled[1])))
        self.center = np.stack([center for center, _ in rows]).astype(np.float32)
        self.spread = np.stack([spread for _, spread in rows]).astype(np.float32)
        return self

    def __call__(self, values: Values, platforms: Sequence[str] = ()) -> Values:
        known = {platform: 1 + i for i, platform in enumerate(self.platforms)}
        row = np.array([known.get(platform, 0) for platform in platforms]) if len(platforms) else 0
        scaled = (values - self.center[row]) / self.spread[row]
        return np.clip(scaled, -self.clip, self.clip).astype(np.float32)

    def spec(self) -> dict[str, Any]:
        return {
            "_target_": "omicsfm.data.transforms.RobustZ",
            "clip": self.clip,
            "min_rows": self.min_rows,
            "platforms": list(self.platforms),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        return {"center": self.center, "spread": self.spread}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.center, self.spread = arrays["center"], arrays["spread"]


def _location_and_spread(values: Values) -> tuple[np.ndarray, np.ndarray]:
    measured = ~np.isnan(values)
    empty = ~measured.any(axis=0)
    filled = np.where(empty, 0.0, values)  # nanmedian warns on a column without a value
    if len(filled) == 0:
        filled = np.zeros((1, values.shape[1]))
    low, center, high = np.nanpercentile(filled, [25, 50, 75], axis=0)
    spread = (high - low) / 1.349
    spread = np.where(spread > 1e-6, spread, np.nanstd(filled, axis=0))
    return center, np.where(spread > 1e-6, spread, 1.0)


class Chain:
    """Steps applied in order; each is fitted on what the one before it returns."""

    def __init__(self, *, steps: Sequence[Transform]) -> None:
        self.steps = list(steps)

    def fit(self, values: Values, platforms: Sequence[str] = ()) -> "Chain":
        """Fit every step on training rows, ``values`` in the declared scale."""
        for step in self.steps:
            values = step.fit(values, platforms)(values, platforms)
        return self

    def __call__(self, values: Values, platforms: Sequence[str] = ()) -> Values:
        """The rows on the model scale."""
        for step in self.steps:
            values = step(values, platforms)
        return values

    def spec(self) -> dict[str, Any]:
        """What ``build`` needs to make this chain again."""
        return {"_target_": "omicsfm.data.transforms.Chain", "steps": [step.spec() for step in self.steps]}

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything fitted, named ``<step number>.<array>``."""
        return {f"{i}.{name}": array for i, step in enumerate(self.steps) for name, array in step.arrays().items()}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put back everything fitted."""
        for i, step in enumerate(self.steps):
            step.load({n.removeprefix(f"{i}."): a for n, a in arrays.items() if n.startswith(f"{i}.")})


_STEPS_TO_LOG: dict[str, tuple[dict[str, Any], ...]] = {
    "counts": ({"_target_": "omicsfm.data.transforms.Log1pCPM"},),
    "tpm": ({"_target_": "omicsfm.data.transforms.Log1p"},),
    "raw": ({"_target_": "omicsfm.data.transforms.Log2AboveFloor"},),
    "relative_abundance": ({"_target_": "omicsfm.data.transforms.Log2AboveFloor"},),
    "log2": (),
    "log10": ({"_target_": "omicsfm.data.transforms.Rescale", "factor": LOG2_OF_10},),
    "ln": ({"_target_": "omicsfm.data.transforms.Rescale", "factor": LOG2_OF_E},),
    "identity": (),
}
SCALES = tuple(_STEPS_TO_LOG)
"""The scales a COHORT.yaml may declare."""


def to_model_scale(scale: str) -> Chain:
    """The steps from a declared scale to a logarithmic one, without standardising; not yet fitted.

    Raises:
        InputError: The scale is not one of ``SCALES``.
    """
    if scale not in _STEPS_TO_LOG:
        raise InputError(f"scale '{scale}' is not known; known: {', '.join(SCALES)}.")
    return Chain(steps=[build(step) for step in _STEPS_TO_LOG[scale]])


def default_transform(scale: str) -> Chain:
    """``to_model_scale`` followed by a robust z per feature and platform; not yet fitted."""
    return Chain(steps=[*to_model_scale(scale).steps, RobustZ()])
