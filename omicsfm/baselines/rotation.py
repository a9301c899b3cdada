"""Rotated coordinates of features: as many columns as rows or features, whichever are fewer, under the same penalty.

With X = U S V^T a ridge penalty on the coefficients of X is the same penalty on the coefficients of US (Hastie and
Tibshirani, Biostatistics 2004). Features are read a block of columns at a time: beside them nothing of their size is
held, and they may stay in single precision while everything is computed in double.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import eigh
from scipy.linalg.blas import dsyrk

BLOCK = 256
ROUNDING = 1e-12
"""Of the largest: smaller eigenvalues of a Gram matrix are its rounding errors."""


class Rotation:
    """US of the singular value decomposition of centred features, each divided by its ``spread``."""

    def __init__(
        self, features: Float[np.ndarray, "rows features"], *, order: Int[np.ndarray, " rows"], standardise: bool
    ) -> None:
        """With ``standardise`` the spread is a feature's standard deviation on these rows; a constant says nothing.

        ``order`` is that of the rotated rows.
        """
        self._features, self._order = features, order
        rows, columns = features.shape
        self.mean, self.spread = np.empty(columns), np.ones(columns)
        for block in self._places():
            own = features[:, block].astype(np.float64)
            self.mean[block] = own.mean(axis=0)
            if standardise:
                self.spread[block] = own.std(axis=0)
        constant = self.spread <= 1e-12 * np.maximum(np.abs(self.mean), 1.0)
        self.spread[constant] = np.inf
        wide = columns > rows
        gram = self._gram(wide)
        squares, vectors = eigh(gram, lower=False, overwrite_a=True, check_finite=False)
        del gram
        first = int(np.searchsorted(squares, ROUNDING * squares.max(initial=1e-300), side="right"))
        self._squares, vectors = squares[first:], vectors[:, first:]
        self._turn = None if wide else vectors
        self.rotated: Float[np.ndarray, "rows rank"]
        if wide:
            self.rotated = vectors[order]
            self.rotated *= np.sqrt(self._squares)
        else:
            self.rotated = self._standardised(slice(None))[order] @ vectors

    @property
    def rank(self) -> int:
        """How many columns the rotated features have."""
        return len(self._squares)

    def back(self, rotated: Float[np.ndarray, "rank outputs"]) -> Float[np.ndarray, "features outputs"]:
        """Coefficients of the features as they are, from those of the rotated ones."""
        if self._turn is not None:
            return self._turn @ rotated / self.spread[:, None]
        along = np.empty((len(self._order), rotated.shape[1]))
        along[self._order] = self.rotated @ (rotated / self._squares[:, None])
        parts = [self._standardised(block).T @ along / self.spread[block, None] for block in self._places()]
        return np.concatenate(parts)

    def _gram(self, wide: bool) -> Float[np.ndarray, "side side"]:
        """Products of rows where there are more features, else of features: its upper triangle."""
        if not wide:
            whole = self._standardised(slice(None))
            return whole.T @ whole
        gram = np.zeros((len(self._order),) * 2, order="F")
        for block in self._places():
            gram = dsyrk(1.0, self._standardised(block).T, trans=True, beta=1.0, c=gram, overwrite_c=True)
        return gram

    def _places(self) -> Iterator[slice]:
        columns = self._features.shape[1]
        yield from (slice(begin, min(begin + BLOCK, columns)) for begin in range(0, columns, BLOCK))

    def _standardised(self, block: slice) -> Float[np.ndarray, "rows block"]:
        own = self._features[:, block].astype(np.float64)
        own -= self.mean[block]
        own /= self.spread[block]
        return own
