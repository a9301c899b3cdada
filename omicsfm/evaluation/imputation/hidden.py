"""The task of imputation: a whole modality of test participants is hidden and predicted from their others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from omicsfm.data.collate import fit_transforms
from omicsfm.data.row_labels import at_rows, row_labels
from omicsfm.data.splits import Split
from omicsfm.data.store import OmicsStore
from omicsfm.data.transforms import default_transform
from omicsfm.errors import InputError, closest
from omicsfm.evaluation.cut_visits import CutVisits

Rows = Int[np.ndarray, " rows"]
Values = Float[np.ndarray, "rows features"]
FEWEST_VISITS = 20


@dataclass(frozen=True)
class HiddenModality(CutVisits):
    """Predict ``target`` from ``sources``, at the store rows ``rows`` where it and one of them were measured."""

    store: OmicsStore
    target: str
    sources: tuple[str, ...]
    rows: Rows
    participant_ids: Shaped[np.ndarray, " rows"]
    split: Split | None = None
    """The split that the task is cut by."""

    def values(self, modality: str, train: Int[np.ndarray, " train"]) -> Values:
        """A modality at every row of the task, NaN where not measured: on the logarithmic scale, each feature (of each
        platform) with median 0 and spread 1 in the rows ``train``, which alone the transform is fitted to.
        """
        matrix = self.store.modalities[modality]
        chain = default_transform(matrix.features.scale)
        fit_transforms(self.store, rows=self.rows[train], chains={modality: chain})
        labels = at_rows(row_labels(self.store, modality, chain.columns), self.rows)
        values = np.full((len(self), len(matrix.features)), np.nan)
        measured = np.isin(self.rows, matrix.rows)
        read = matrix.read(self.rows[measured])[0]
        values[measured] = chain(read, at_rows(labels, np.flatnonzero(measured)))
        return values


def hide_modality(store: OmicsStore, target: str, sources: Sequence[str] | None = None) -> HiddenModality:
    """The task of predicting ``target`` from ``sources``, or from every other modality of the store.

    Raises:
        InputError: A modality is not in the store, or too few visits have both.
    """
    for name in (target, *(sources or ())):
        if name not in store.modalities:
            raise InputError(f"{store.path} has no modality '{name}'; {closest(name, store.modalities)}.")
    chosen = tuple(sources) if sources else tuple(name for name in store.modalities if name != target)
    if target in chosen:
        raise InputError(f"'{target}' is to be predicted and cannot be read. Leave it out of --sources.")
    if not chosen:
        raise InputError(f"{store.path} has one modality, '{target}': there is nothing to predict it from.")
    read = np.unique(np.concatenate([store.modalities[name].rows for name in chosen]))
    rows = np.intersect1d(store.modalities[target].rows, read)
    if len(rows) < FEWEST_VISITS:
        raise InputError(
            f"{store.path}: {len(rows)} visits have both {target} and {' or '.join(chosen)}; at least {FEWEST_VISITS} "
            "are needed to tell how well one foretells the other."
        )
    ids = store.visits["participant_id"].astype(str).to_numpy(dtype=str)[rows]
    return HiddenModality(store, target, chosen, rows, ids)
