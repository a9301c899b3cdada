"""What a matrix must not be: on another scale than declared, or a copy of the clinical table."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from omicsfm.data.ingest.cohort import ModalitySpec
from omicsfm.data.ingest.columns import as_text
from omicsfm.data.ingest.join import Joined
from omicsfm.data.ingest.matrices import Values
from omicsfm.errors import InputError

NOT_NEGATIVE = ("counts", "tpm", "raw", "relative_abundance")
LARGEST_LOG = {"log2": 64.0, "log10": 20.0, "ln": 45.0}
"""No assay counts to 2^64; a larger value means that the logarithm was not taken."""
ROUNDING = 1e-9  # of the largest value
MIN_ROWS = 8
"""Rows below which a feature may agree with an outcome by chance."""


def check_scale(spec: ModalitySpec, joined: Joined, visits: pd.DataFrame) -> None:
    """Refuse values that the declared scale cannot hold.

    Raises:
        InputError: Infinite values; negative or fractional ones on a scale that has none; a logarithm never taken.
    """
    values = joined.matrix.values
    numbers: np.ndarray = values if isinstance(values, np.ndarray) else values.data
    measured = int((~np.isnan(numbers)).sum())
    if not measured:
        return  # a sparse matrix of zeros, all of them measured

    def refuse(bad: np.ndarray, what: str, example: int, way_out: str) -> None:
        if not bad.any():
            return
        row, feature = _place(values, example)
        visit = visits.iloc[joined.visits[row]]
        raise InputError(
            f"{spec.name}: {int(bad.sum()):,} of {measured:,} values are {what} {numbers.flat[example]:g}, participant "
            f"{visit['participant_id']}, visit {visit['visit']}, feature '{joined.matrix.features[feature]}') "
            f"but scale is '{spec.scale}'. {way_out}"
        )

    lowest, highest = int(np.nanargmin(numbers)), int(np.nanargmax(numbers))
    infinite = np.isinf(numbers)
    refuse(infinite, "infinite (first", int(np.argmax(infinite)), "A logarithm of zero? Leave such cells empty.")
    if spec.scale in NOT_NEGATIVE:
        way_out = (
            "If these are NPX or log2 values, set scale: log2 in COHORT.yaml; if they are z-scores, scale: identity."
        )
        refuse(numbers < 0, "negative (lowest", lowest, way_out)
    if spec.scale == "counts":
        fractional = ~np.isnan(numbers) & (numbers != np.round(numbers))
        way_out = "If these are TPM, set scale: tpm in COHORT.yaml; if other intensities, scale: raw or log2."
        refuse(fractional, "not whole numbers (first", int(np.argmax(fractional)), way_out)
    if spec.scale == "relative_abundance":
        refuse(numbers > 1, "above 1 (highest", highest, "Divide percentages by 100, or set scale: counts or raw.")
    if spec.scale in LARGEST_LOG:
        limit = LARGEST_LOG[spec.scale]
        refuse(
            numbers > limit, f"above {limit:g} (highest", highest, "Was the logarithm taken? If not, set scale: raw."
        )


def settle_zeros(spec: ModalitySpec, joined: Joined) -> Joined:
    """Zero for values that only rounding has made negative, as batch correction upstream does; counted.

    Values further below zero stay, for ``check_scale`` to refuse.
    """
    values = joined.matrix.values
    numbers: np.ndarray = values if isinstance(values, np.ndarray) else values.data
    if spec.scale not in NOT_NEGATIVE or not numbers.size:
        return joined
    noise = (numbers < 0) & (numbers > -ROUNDING * np.nanmax(numbers))
    if not noise.any():
        return joined
    numbers[noise] = 0.0  # in place: the matrix was read for this store alone
    return replace(joined, counts={**joined.counts, "values_rounded_to_zero": int(noise.sum())})


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


def _place(values: Values, flat: int) -> tuple[int, int]:
    """Row and column of a value: of a dense matrix by position, of a CSR matrix by stored entry."""
    if isinstance(values, np.ndarray):
        return int(flat // values.shape[1]), int(flat % values.shape[1])
    return int(np.searchsorted(values.indptr, flat, side="right") - 1), int(values.indices[flat])


def _plain(name: str) -> str:
    return re.sub(r"[^0-9A-Za-z]+", ".", name)
