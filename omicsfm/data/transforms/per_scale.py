"""Rows of several declared scales on one: each by the steps of its own scale."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from omicsfm.data.transforms.base import NO_LABELS, Labels, Values, target
from omicsfm.data.transforms.chain import Chain


class PerScale:
    """A chain for each declared scale, fitted on the training rows of that scale; ``scale`` labels the rows.

    For a modality whose cohorts declare different scales. Raw intensities and log2 values become logarithms both, and
    what still differs between the cohorts is left to the steps after this one.
    """

    columns: tuple[str, ...] = ("scale",)

    def __init__(self, *, chains: Mapping[str, Chain]) -> None:
        self.chains = dict(chains)

    def fit(self, values: Values, labels: Labels = NO_LABELS) -> "PerScale":
        for scale, chain in self.chains.items():
            chain.fit(values[_rows(labels, scale)])
        return self

    def __call__(self, values: Values, labels: Labels = NO_LABELS) -> Values:
        out = np.full(values.shape, np.nan, dtype=np.float32)
        for scale, chain in self.chains.items():
            rows = _rows(labels, scale)
            out[rows] = chain(values[rows])
        return out

    def spec(self) -> dict[str, Any]:
        return {"_target_": target(self), "chains": {scale: chain.spec() for scale, chain in self.chains.items()}}

    def arrays(self) -> dict[str, np.ndarray]:
        return {f"{scale}.{name}": a for scale, chain in self.chains.items() for name, a in chain.arrays().items()}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        for scale, chain in self.chains.items():
            chain.load({n.removeprefix(f"{scale}."): a for n, a in arrays.items() if n.startswith(f"{scale}.")})


def _rows(labels: Labels, scale: str) -> np.ndarray:
    return np.flatnonzero(np.asarray(labels["scale"]) == scale)
