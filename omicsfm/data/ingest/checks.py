"""What a matrix must not be: on another scale than declared."""

from dataclasses import replace

import numpy as np
import pandas as pd

from omicsfm.data.ingest.cohort import ModalitySpec
from omicsfm.data.ingest.join import Joined
from omicsfm.data.ingest.matrices import Values
from omicsfm.errors import InputError

NOT_NEGATIVE = ("counts", "tpm", "raw", "relative_abundance")
LARGEST_LOG = {"log2": 64.0, "log10": 20.0, "ln": 45.0}
"""No assay counts to 2^64; a larger value means that the logarithm was not taken."""
ROUNDING = 1e-9  # of the largest value


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


def _place(values: Values, flat: int) -> tuple[int, int]:
    """Row and column of a value: of a dense matrix by position, of a CSR matrix by stored entry."""
    if isinstance(values, np.ndarray):
        return int(flat // values.shape[1]), int(flat % values.shape[1])
    return int(np.searchsorted(values.indptr, flat, side="right") - 1), int(values.indices[flat])
