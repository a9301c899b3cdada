"""What a matrix must not hold: a clinical column, or a copy of an outcome."""

import re
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from omicsfm.data.ingest.cohort import ModalitySpec
from omicsfm.data.ingest.columns import as_text
from omicsfm.data.ingest.join import Joined
from omicsfm.data.ingest.matrices import Values
from omicsfm.errors import InputError

MIN_ROWS = 8
"""Rows below which a feature may agree with an outcome by chance."""


def check_names(spec: ModalitySpec, features: Iterable[str], clinical: Iterable[str], table: str) -> None:
    """Refuse features that bear the name of a clinical column; R's make.names writes '/' and ' ' as '.', so
    punctuation does not count.

    Raises:
        InputError: The message names the columns; ``allow`` lets a true feature of that name pass.
    """
    columns = {_plain(name): name for name in clinical}
    found = [f for f in features if _plain(f) in columns and f not in spec.allow]
    if found:
        file = spec.path.name if spec.path is not None else "the matrix"
        listed = ", ".join(f"'{name}'" for name in found[:20]) + (", ..." if len(found) > 20 else "")
        raise InputError(
            f"{spec.name}: {len(found)} columns of {file} are also in the clinical table {table}: {listed}. A "
            f"clinical column among "
            "the features can give the outcome away. Add them to drop; a true feature that shares a name goes into "
            "allow."
        )


def check_copies(spec: ModalitySpec, joined: Joined, sources: Mapping[str, pd.Series]) -> None:
    """Refuse a feature that equals an outcome, scaled and shifted or not.

    ``sources`` maps a description of each outcome column to its values by visit.

    Raises:
        InputError: The message names the feature and the outcome.
    """
    matrix = joined.matrix
    for described, series in sources.items():
        own = series.iloc[joined.visits].reset_index(drop=True)
        number = pd.to_numeric(as_text(own), errors="coerce").to_numpy(dtype=np.float64)
        if np.isnan(number).all():
            codes, _ = pd.factorize(as_text(own))
            number = np.where(codes < 0, np.nan, codes).astype(np.float64)
            if np.nanmax(number, initial=0) > 1:
                continue  # text of several classes has no order to compare with
        known = np.flatnonzero(~np.isnan(number))
        if len(known) < MIN_ROWS or len(np.unique(number[known])) < 2:
            continue
        for feature in _copies(matrix.values, known, number[known]):
            raise InputError(
                f"{spec.name}: feature '{matrix.features[feature]}' equals {described} in all visits that have both. "
                "It gives the outcome away: add it to drop."
            )


def _copies(values: Values, rows: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Features whose correlation with the target is 1 or -1 over at least MIN_ROWS shared visits."""
    found = []
    for start in range(0, values.shape[1], 2048):  # blocks, so that a large matrix is not copied at once
        block = values[:, start : start + 2048]
        block = np.asarray(block if isinstance(block, np.ndarray) else block.toarray(), dtype=np.float64)[rows]
        both = ~np.isnan(block)
        number = both.sum(axis=0)
        x = np.where(both, block, 0.0)
        y = np.where(both, target[:, None], 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            x = np.where(both, x - x.sum(axis=0) / number, 0.0)
            y = np.where(both, y - y.sum(axis=0) / number, 0.0)
            spread = (x**2).sum(axis=0) * (y**2).sum(axis=0)
            varies = (x**2).sum(axis=0) > 1e-12 * (np.where(both, block, 0.0) ** 2).sum(axis=0)  # not rounding only
            correlation = (x * y).sum(axis=0) ** 2 / spread
        found.append(start + np.flatnonzero((number >= MIN_ROWS) & (spread > 0) & varies & (correlation > 1 - 1e-9)))
    return np.concatenate(found)


def _plain(name: str) -> str:
    return re.sub(r"[^0-9A-Za-z]+", ".", name)
