"""Sequencing depth: counts -> what share of a visit's reads a gene has."""

import numpy as np

from omicsfm.data.transforms.base import NO_LABELS, Features, Labels, Stateless, Total, Values


class Log1pCPM(Stateless):
    """log(1 + counts per million); the total is over the measured features of a visit.

    As scanpy's normalize_total and log1p, which a checkpoint must predict without; a visit without counts stays 0.
    """

    def __call__(self, values: Values, labels: Labels = NO_LABELS) -> Values:
        return self._scaled(values, np.asarray(np.nansum(values, axis=1, keepdims=True, dtype=np.float64)))

    def at(self, values: Values, features: Features, labels: Labels, total: Total) -> Values:
        return self._scaled(values, total)

    def _scaled(self, values: Values, total: Total) -> Values:
        per_million = np.divide(1e6, total, out=np.ones_like(total), where=total > 0)
        return np.log1p(values * per_million).astype(np.float32)
