"""Bridging: the same samples on two platforms say by how much each feature is read higher on one of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.data.transforms.base import NO_LABELS, Labels, Values
from omicsfm.data.transforms.batches import BatchMap, largest_batch
from omicsfm.errors import InputError


class Bridging(BatchMap):
    """Adds to each platform, per feature, the median of the paired differences from the reference platform.

    As Olink bridges NPX of two projects (OlinkAnalyze, olink_normalization). A sample is on two platforms where visits
    of both agree in the ``sample`` columns. A feature with fewer than ``min_samples`` pairs takes the difference of
    the two platforms' medians, which supposes that they measured like people.
    """

    def __init__(
        self,
        *,
        column: str = "platform",
        sample: Sequence[str] = ("participant_id", "time_days"),
        reference: str | None = None,
        min_samples: int = 8,
        batches: Sequence[str] = (),
    ) -> None:
        """``reference``: the platform that the others are brought to; where None or absent, the one with most rows."""
        super().__init__(column=column, batches=batches)
        self.sample = tuple(sample)
        self.reference = reference
        self.min_samples = min_samples

    @property
    def columns(self) -> tuple[str, ...]:
        """The platform, and what identifies a sample."""
        return (self.column, *self.sample)

    def fit(self, values: Values, labels: Labels = NO_LABELS) -> "Bridging":
        """Learn from the training rows of bridge samples.

        Raises:
            InputError: A column of ``sample`` is not in the visits, or a platform shares fewer than ``min_samples``
                samples with the reference.
        """
        number = self.begin(values, labels)
        if len(self.batches) < 2:
            return self
        self.reference = reference_batch(self.reference, labels, self.column, self.batches)
        if missing := [name for name in self.sample if name not in labels]:
            raise InputError(
                f"harmonise=bridging: the visits have no column '{missing[0]}', which harmonise.sample names to tell "
                "samples apart. Keep it in COHORT.yaml (visits: keep: [...]), or name others."
            )
        parts = [np.asarray(labels[name], dtype=str) for name in self.sample]
        key = pd.Series(["/".join(row) if all(row) else "" for row in zip(*parts, strict=True)])
        ours = self._by_sample(values, number, key, self.reference)
        for place, batch in enumerate(self.batches):
            if batch == self.reference:
                continue
            theirs = self._by_sample(values, number, key, batch)
            bridges = ours.index.intersection(theirs.index)
            if len(bridges) < self.min_samples:
                raise InputError(
                    f"harmonise=bridging: {len(bridges)} training samples were measured on both {self.reference} and "
                    f"{batch} ({self.column}), told apart by {', '.join(self.sample)}; at least {self.min_samples} are "
                    "needed. Name the column that marks bridge samples (harmonise.sample=[COLUMN]), or take "
                    "harmonise=combat or quantiles, which need none."
                )
            difference = ours.loc[bridges].to_numpy() - theirs.loc[bridges].to_numpy()
            enough = (~np.isnan(difference)).sum(axis=0) >= self.min_samples
            whole = _median(values[number == 1 + self.batches.index(self.reference)]) - _median(
                values[number == 1 + place]
            )
            self.offset[1 + place] = np.where(enough, _median(difference), np.nan_to_num(whole))
        return self

    def _by_sample(self, values: Values, number: np.ndarray, key: pd.Series, batch: str) -> pd.DataFrame:
        """Mean of each sample's values on one platform; a sample measured twice there counts once."""
        own = (number == 1 + self.batches.index(batch)) & (key != "").to_numpy()
        return pd.DataFrame(values[own].astype(np.float64)).groupby(key[own].to_numpy()).mean()

    def spec(self) -> dict[str, Any]:
        """What ``build`` needs to make this step again."""
        own = {"sample": list(self.sample), "reference": self.reference, "min_samples": self.min_samples}
        return {**super().spec(), **own}


def reference_batch(wanted: str | None, labels: Labels, column: str, known: Sequence[str]) -> str:
    """The batch that others are brought to: the one that was asked for, or, where no row is of it, the largest."""
    return wanted if wanted is not None and wanted in known else largest_batch(labels, column, known)


def _median(values: np.ndarray) -> np.ndarray:
    """Of each column; NaN, without a warning, where nothing was measured."""
    empty = np.isnan(values).all(axis=0)
    return np.where(empty, np.nan, np.nanmedian(np.where(empty, 0.0, values), axis=0))
