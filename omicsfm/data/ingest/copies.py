"""Whether a feature equals an outcome, found while the matrix is read in blocks."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from omicsfm.data.ingest.blocks import Matched
from omicsfm.data.ingest.columns import as_text
from omicsfm.errors import InputError

MIN_ROWS = 8
"""Rows below which a feature may agree with an outcome by chance."""
CELLS_AT_ONCE = 500_000
EXACT = 1e-9
"""1 - r squared of a copy, at most: what rounding to float32 leaves."""
REFUTED = 1e-6
"""1 - r squared from which on a part of the rows shows that a feature is no copy."""
VARIES = 1e-6  # of the sum of squares: a spread that rounding to float32 cannot have made


class CopyCheck:
    """Whether a feature equals an outcome in all visits that have both, scaled and shifted or not.

    Means and centred sums of products are merged block by block (Chan, Golub, LeVeque 1983), so that no digits are
    lost to large values. Almost every feature is refuted by the first rows and not looked at again.
    """

    def __init__(self, name: str, features: Sequence[str], sources: Mapping[str, pd.Series]) -> None:
        """``sources`` maps a description of each outcome column to its values by visit."""
        self.name, self.features = name, features
        numbers = {described: _numbers(series) for described, series in sources.items()}
        self._targets = {described: number for described, number in numbers.items() if number is not None}
        shape = (len(self._targets), len(features))
        sums = ("rows", "mean_x", "mean_y", "xx", "yy", "xy", "square")
        self.seen = {"possible": np.ones(shape, bool)} | {name: np.zeros(shape) for name in sums}

    def update(self, block: Matched) -> None:
        """Look at one block."""
        for target, number in enumerate(self._targets.values()):
            y = number[block.visits]
            rows, start = np.flatnonzero(~np.isnan(y)), 0
            while start < len(rows) and (features := np.flatnonzero(self.seen["possible"][target])).size:
                piece = rows[start : start + max(1, CELLS_AT_ONCE // len(features))]
                start += len(piece)
                x = block.values[piece][:, features]
                dense = np.asarray(x if isinstance(x, np.ndarray) else x.toarray(), dtype=np.float64)
                self._merge(target, features, dense, y[piece])

    def finish(self, again: Callable[[], Iterable[Matched]]) -> None:
        """Judge.

        Raises:
            InputError: The message names the feature and the outcome.
        """
        seen = self.seen
        copied = seen["possible"] & (seen["rows"] >= MIN_ROWS) & (seen["xx"] > 1e-12 * seen["square"])
        copied &= (seen["yy"] > 0) & (self._unexplained() < EXACT)
        for described, found in zip(self._targets, copied, strict=True):
            if found.any():
                raise InputError(
                    f"{self.name}: feature '{self.features[int(np.argmax(found))]}' equals {described} in all visits "
                    "that have both. It gives the outcome away: add it to drop."
                )

    def _merge(self, target: int, features: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
        both = np.isfinite(x)
        x, y = np.where(both, x, 0.0), np.where(both, y[:, None], 0.0)
        rows = both.sum(axis=0)
        share = 1 / np.maximum(rows, 1)
        mean_x, mean_y = x.sum(axis=0) * share, y.sum(axis=0) * share
        square = (x**2).sum(axis=0)
        x, y = np.where(both, x - mean_x, 0.0), np.where(both, y - mean_y, 0.0)
        new = {"xx": (x**2).sum(axis=0), "yy": (y**2).sum(axis=0), "xy": (x * y).sum(axis=0)}
        seen = {name: sums[target, features] for name, sums in self.seen.items()}
        total = np.maximum(seen["rows"] + rows, 1)
        step = {"x": mean_x - seen["mean_x"], "y": mean_y - seen["mean_y"]}
        weight = seen["rows"] * rows / total
        for product, added in new.items():
            seen[product] = seen[product] + added + weight * step[product[0]] * step[product[1]]
        for variable in step:
            seen[f"mean_{variable}"] = seen[f"mean_{variable}"] + step[variable] * rows / total
        seen["rows"], seen["square"] = seen["rows"] + rows, seen["square"] + square
        for name, sums in seen.items():
            self.seen[name][target, features] = sums
        self.seen["possible"][target, features] = ~self._refuted(target, features)

    def _refuted(self, target: int, features: np.ndarray) -> np.ndarray:
        """Features that vary where the outcome does not, or the reverse, or not with it."""
        seen = {name: sums[target, features] for name, sums in self.seen.items()}
        x_varies = seen["xx"] > VARIES * seen["square"]
        y_varies = seen["yy"] > VARIES * (seen["yy"] + seen["rows"] * seen["mean_y"] ** 2)
        apart = (x_varies & (seen["yy"] == 0)) | (y_varies & (seen["xx"] == 0))
        unlike = x_varies & y_varies & (seen["rows"] >= MIN_ROWS)
        return apart | (unlike & (self._unexplained()[target, features] > REFUTED))

    def _unexplained(self) -> np.ndarray:
        """1 - r squared."""
        seen = self.seen
        with np.errstate(invalid="ignore", divide="ignore"):
            return 1 - seen["xy"] ** 2 / (seen["xx"] * seen["yy"])


def _numbers(series: pd.Series) -> np.ndarray | None:
    """An outcome as numbers by visit; None where it has no order to compare with, or does not vary."""
    text = as_text(series)
    number = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    if np.isnan(number).all():
        codes, _ = pd.factorize(text)
        number = np.where(codes < 0, np.nan, codes).astype(np.float64)
        if np.nanmax(number, initial=0) > 1:
            return None  # text of several classes
    known = number[~np.isnan(number)]
    return number if len(known) >= MIN_ROWS and len(np.unique(known)) > 1 else None
