"""Omics -> a dense matrix, every step fitted on training rows: scale, feature filter, imputation."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from omicsfm.baselines.base import Block, OmicsTable
from omicsfm.data.row_labels import at_rows
from omicsfm.data.transforms import default_transform
from omicsfm.errors import InputError

MOST_MISSING = 0.5

Dense = Float[np.ndarray, "rows features"]


@dataclass(frozen=True)
class Matrices:
    """Training and test rows with the same features and no NaN."""

    train: Float[np.ndarray, "train features"]
    test: Float[np.ndarray, "test features"]


def to_matrices(train: OmicsTable, test: OmicsTable) -> Matrices:
    """All modalities side by side, through the transform the model gets: log scale, robust z per platform.

    Features that are missing in half of the training rows or more are left out, the rest of the gaps take the
    feature's training median. A visit without an assay is so at the median in all of it.

    Raises:
        InputError: A group has rows on both sides: what is fitted to one would have seen the other.
    """
    if len(both := np.intersect1d(train.groups, test.groups)):
        raise InputError(f"{len(both):,} groups are trained on and tested (first: '{both[0]}'). Make the split again.")
    parts = [_dense(block, test.blocks[name]) for name, block in train.blocks.items()]
    return Matrices(
        np.concatenate([part.train for part in parts], axis=1), np.concatenate([part.test for part in parts], axis=1)
    )


def _dense(train: Block, test: Block) -> Matrices:
    measured = train.measured
    if not measured.any():
        return Matrices(np.zeros((len(train.values), 0)), np.zeros((len(test.values), 0)))
    chain = default_transform(train.scale)
    chain.fit(train.values[measured], at_rows(train.labels, measured))
    fitted, applied = _apply(chain, train), _apply(chain, test)
    kept = np.isnan(fitted).mean(axis=0) < MOST_MISSING
    fitted, applied = fitted[:, kept], applied[:, kept]
    median = np.nanmedian(fitted, axis=0) if kept.any() else np.zeros(0)
    return Matrices(np.where(np.isnan(fitted), median, fitted), np.where(np.isnan(applied), median, applied))


def _apply(chain, block: Block) -> Dense:  # type: ignore[no-untyped-def]
    """Transform the measured rows; a depth normalisation has no meaning on an empty one."""
    measured = block.measured
    out = np.full(block.values.shape, np.nan)
    if measured.any():
        out[measured] = chain(block.values[measured], at_rows(block.labels, measured))
    return out
