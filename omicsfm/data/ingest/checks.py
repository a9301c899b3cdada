"""What a matrix must not be: on another scale than declared. Judged from running sums over blocks of rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.data.ingest.blocks import Matched, Values
from omicsfm.data.ingest.cohort import ModalitySpec
from omicsfm.errors import InputError

NOT_NEGATIVE = ("counts", "tpm", "raw", "concentration", "relative_abundance")
LARGEST = {"log2": 64.0, "npx": 40.0, "log10": 20.0, "ln": 45.0}
"""No assay counts to 2^64, and NPX of 2^40 would be a trillion times the control: the logarithm was not taken."""
LARGEST_SUM = {"tpm": 1.05e6, "relative_abundance": 1.02}
"""What the values of a visit may sum to. Less is legal: a file may hold some of the features only."""
TPM_IN_LOG2 = 20.0  # log2 of a million
MANY = 1000  # genes, of which some has a TPM above 20 in any tissue
NARROW = 10.0  # highest over lowest value; log2 intensities lie within this, intensities do not
ROUNDING = 1e-9  # of the largest value


class ScaleCheck:
    """Whether one modality's values can be on the scale declared for them."""

    def __init__(self, spec: ModalitySpec, features: Sequence[str], visits: pd.DataFrame) -> None:
        """``visits`` name participant and visit of each place that a block gives."""
        self.spec, self.features, self.visits = spec, features, visits
        self.seen = {
            "measured": np.zeros((), np.int64),
            "lowest": np.array(np.inf),
            "highest": np.array(-np.inf),
            "smallest_positive": np.array(np.inf),
            "highest_sum": np.array(-np.inf),
            "infinite": np.zeros((), bool),
            "fractional": np.zeros((), bool),
        }

    def update(self, block: Matched) -> None:
        """Look at one block."""
        finite, seen = _stored(block.values), self.seen
        is_finite = np.isfinite(finite)
        measured = finite.size
        if not is_finite.all():
            measured -= int(np.isnan(finite).sum())
            finite = finite[is_finite]
        seen["measured"] += measured
        seen["infinite"] |= finite.size < measured
        if not finite.size:
            return
        lowest = finite.min()
        positive = lowest if lowest > 0 else finite.min(where=finite > 0, initial=np.inf)
        np.minimum(seen["lowest"], lowest, out=seen["lowest"])
        np.maximum(seen["highest"], finite.max(), out=seen["highest"])
        np.minimum(seen["smallest_positive"], positive, out=seen["smallest_positive"])
        if self.spec.scale == "counts":
            seen["fractional"] |= bool((finite != np.rint(finite)).any())
        if self.spec.scale in LARGEST_SUM:
            np.maximum(seen["highest_sum"], _sums(block.values).max(initial=-np.inf), out=seen["highest_sum"])

    def finish(self, again: Callable[[], Iterable[Matched]]) -> None:
        """Refuse values that the declared scale cannot hold, or that no assay gives on it.

        Raises:
            InputError: Infinite values; negative or fractional ones on a scale that has none; a logarithm never taken,
                or taken and not declared; visits that sum to more than all there is.
        """
        seen, scale = {name: value.item() for name, value in self.seen.items()}, self.spec.scale
        lowest, highest = seen["lowest"], seen["highest"]
        if seen["infinite"]:
            way_out = "A logarithm of zero, or a number beyond 3.4e38? Leave such cells empty."
            self._refuse(again, np.isinf, "infinite (first", way_out)
        if scale in NOT_NEGATIVE and lowest < -ROUNDING * max(highest, 0.0):
            way_out = "If these are NPX or log2 values, set scale: npx or log2 in COHORT.yaml; if they are z-scores, "
            self._refuse(again, lambda x: x < 0, "negative (lowest", f"{way_out}scale: identity.", extreme=lowest)
        if seen["fractional"]:
            way_out = "If these are TPM, set scale: tpm in COHORT.yaml; if other intensities, scale: raw or log2."
            self._refuse(again, lambda x: x != np.round(x), "not whole numbers (first", way_out)
        if scale == "relative_abundance" and highest > 1:
            way_out = "Divide percentages by 100, or set scale: counts or raw."
            self._refuse(again, lambda x: x > 1, "above 1 (highest", way_out, extreme=highest)
        if highest > (limit := LARGEST.get(scale, np.inf)):
            way_out = "Was the logarithm taken? If not, set scale: raw or concentration."
            self._refuse(again, lambda x: x > limit, f"above {limit:g} (highest", way_out, extreme=highest)
        if seen["highest_sum"] > (limit := LARGEST_SUM.get(scale, np.inf)):
            self._refuse_sums(again, limit)
        if scale == "tpm" and highest <= TPM_IN_LOG2 and len(self.features) >= MANY:
            raise InputError(
                f"{self.spec.name}: the highest of {seen['measured']:,} values is {highest:g}, but TPM of "
                f"{len(self.features):,} genes reach thousands. If the logarithm was taken, set scale: log2 (or ln) in "
                "COHORT.yaml."
            )
        if scale in ("raw", "concentration") and _like_log2(seen, len(self.features)):
            raise InputError(
                f"{self.spec.name}: all {seen['measured']:,} values lie between {seen['smallest_positive']:g} and "
                f"{highest:g}, as logarithms of intensities do and intensities of {len(self.features):,} features do "
                f"not, but scale is '{scale}'. If the logarithm was taken, set scale: log2, log10 or ln in COHORT.yaml;"
                " if these are ratios or z-scores, scale: identity."
            )

    def _refuse(
        self,
        again: Callable[[], Iterable[Matched]],
        bad: Callable[[np.ndarray], np.ndarray],
        what: str,
        way_out: str,
        extreme: float | None = None,
    ) -> None:
        """Count what is bad and show one of it: the extreme, or the first."""
        number, example = 0, ""
        for block in again():
            numbers = _stored(block.values)
            wrong = bad(numbers) & ~np.isnan(numbers)
            number += int(wrong.sum())
            shown = wrong if extreme is None else wrong & (numbers == np.float32(extreme))
            if shown.any() and not example:
                flat = int(np.argmax(shown))
                row, feature = _place(block.values, flat)
                example = f"{numbers.flat[flat]:g}, {self._whose(block, row)}, feature '{self.features[feature]}')"
        raise InputError(
            f"{self.spec.name}: {number:,} of {self.seen['measured'].item():,} values are {what} {example} but scale "
            f"is '{self.spec.scale}'. {way_out}"
        )

    def _refuse_sums(self, again: Callable[[], Iterable[Matched]], limit: float) -> None:
        number, rows, example, highest = 0, 0, "", self.seen["highest_sum"].item()
        for block in again():
            sums = _sums(block.values)
            rows, number = rows + len(sums), number + int((sums > limit).sum())
            if (sums == highest).any() and not example:
                example = self._whose(block, int(np.argmax(sums)))
        known, way_out = {
            "tpm": ("TPM sum to 1,000,000", "If they are counts, set scale: counts; other intensities, scale: raw."),
            "relative_abundance": ("shares sum to 1", "Keep one taxonomic level, or set scale: counts or raw."),
        }[self.spec.scale]
        raise InputError(
            f"{self.spec.name}: the values of {number:,} of {rows:,} visits sum to more than {limit:g} (most "
            f"{highest:g}, {example}), but {known} and scale is '{self.spec.scale}'. {way_out}"
        )

    def _whose(self, block: Matched, row: int) -> str:
        visit = self.visits.iloc[block.visits[row]]
        return f"participant {visit['participant_id']}, visit {visit['visit']}"


def _like_log2(seen: Mapping[str, Any], features: int) -> bool:
    """Twenty or more features that never leave one order of magnitude between 2 and 40."""
    lowest, highest = seen["smallest_positive"], seen["highest"]
    return features >= 20 and seen["measured"] >= MANY and lowest >= 2 and highest <= min(40.0, NARROW * lowest)


def _stored(values: Values) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else values.data


def _sums(values: Values) -> np.ndarray:
    """Of each row's measured values."""
    if isinstance(values, np.ndarray):
        return np.asarray(np.nansum(values, axis=1, dtype=np.float64))
    return np.asarray(values.sum(axis=1, dtype=np.float64)).ravel()


def _place(values: Values, flat: int) -> tuple[int, int]:
    """Row and column of a value: of a dense matrix by position, of a CSR matrix by stored entry."""
    if isinstance(values, np.ndarray):
        return int(flat // values.shape[1]), int(flat % values.shape[1])
    return int(np.searchsorted(values.indptr, flat, side="right") - 1), int(values.indices[flat])
