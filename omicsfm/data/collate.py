"""Rows of a store -> Batch."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Int

from omicsfm.contracts import Batch, ClassLabel, Measurement, Outcome, OutcomeSpec, Quantity, Survival
from omicsfm.data.row_labels import at_rows, row_labels
from omicsfm.data.sampling import choose_features
from omicsfm.data.store import OmicsStore
from omicsfm.data.stored_matrix import StoredMatrix
from omicsfm.data.transforms import Chain
from omicsfm.features import FeatureSpace
from omicsfm.seeding import derive


class BatchReader:
    """Reads visits of a store in the feature space and on the scale of a model.

    ``features`` and ``transforms`` are the model's, so the same visit gives the same batch whichever store it is
    read from. A modality that the store lacks stays in the batch with nothing observed.
    """

    def __init__(
        self,
        store: OmicsStore,
        *,
        features: Mapping[str, FeatureSpace],
        transforms: Mapping[str, Chain],
        outcomes: Sequence[OutcomeSpec] = (),
        max_features: int | None = None,
        cache_bytes: int = 2**30,
    ) -> None:
        """``max_features`` caps the tokens per visit and modality; ``cache_bytes`` bounds the memory kept for
        transformed values, above which they are transformed again at each reading.
        """
        self.store = store
        self.features = dict(features)
        self.transforms = dict(transforms)
        self.outcomes = {spec.name: spec for spec in outcomes}
        self.max_features = max_features
        self._labels = {
            name: row_labels(store, name, chain.columns)
            for name, chain in self.transforms.items()
            if name in store.modalities
        }
        self._columns = {
            name: space.align(store.modalities[name].features).position
            for name, space in self.features.items()
            if name in store.modalities
        }
        size = sum(4 * len(store.modalities[m].rows) * len(self.features[m]) for m in self._columns)
        self._cache: dict[str, np.ndarray] | None = {} if size <= cache_bytes else None

    def read(self, rows: Int[np.ndarray, " visits"], *, seed: int = 0) -> Batch:
        """The visits at ``rows``, in that order. ``seed`` decides which features are sampled."""
        rows = np.asarray(rows, dtype=np.int64)
        return Batch(
            participant=torch.from_numpy(self.store.participant_number[rows].astype(np.int64)),
            time_days=torch.from_numpy(np.nan_to_num(self.store.visits["time_days"].to_numpy(np.float32)[rows])),
            row=torch.from_numpy(rows),
            measurements={name: self._measurement(name, rows, seed) for name in self.features},
            outcomes={name: read_outcome(self.store, spec, rows) for name, spec in self.outcomes.items()},
            seed=seed,
        )

    def _measurement(self, name: str, rows: np.ndarray, seed: int) -> Measurement:
        values, below = self._values(name, rows)
        observed = ~np.isnan(values)
        seed = derive(seed, "features", name)
        chosen, kept = choose_features(observed, max_features=self.max_features, seed=seed, visits=rows)
        if values.shape[1]:
            values = np.take_along_axis(values, chosen, axis=1)
            below = np.take_along_axis(below, chosen, axis=1)
        else:
            values, below = np.zeros(chosen.shape, np.float32), np.zeros(chosen.shape, bool)
        return Measurement(
            feature_ids=torch.from_numpy(np.where(kept, chosen, 0)),
            values=torch.from_numpy(np.where(kept, values, 0.0).astype(np.float32)),
            observed=torch.from_numpy(kept),
            below_limit=torch.from_numpy(below & kept),
            queried=torch.zeros(kept.shape, dtype=torch.bool),
        )

    def _values(self, name: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Transformed values in the model's feature order, NaN where not measured."""
        if name not in self._columns:
            shape = (len(rows), 0)
            return np.zeros(shape, np.float32), np.zeros(shape, bool)
        matrix = self.store.modalities[name]
        if self._cache is None:
            return self._transformed(name, matrix, rows)
        if name not in self._cache:
            values, below = self._transformed(name, matrix, matrix.rows)
            self._cache[name] = values
            self._cache[f"{name}.below"] = below if below.any() else np.zeros((0, 0), bool)
            self._cache[f"{name}.place"] = np.full(len(self.store), -1)
            self._cache[f"{name}.place"][matrix.rows] = np.arange(len(matrix.rows))
        place = self._cache[f"{name}.place"][rows]
        values = self._cache[name][place]
        values[place < 0] = np.nan
        below = self._cache[f"{name}.below"]
        return values, below[place] & (place >= 0)[:, None] if below.size else np.zeros(values.shape, bool)

    def _transformed(self, name: str, matrix: StoredMatrix, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        columns = self._columns[name]
        raw, raw_below = matrix.read(rows)
        shape = (len(rows), len(self.features[name]))
        values, below = np.full(shape, np.nan, np.float32), np.zeros(shape, bool)
        known = columns >= 0
        values[:, columns[known]] = raw[:, known]
        below[:, columns[known]] = raw_below[:, known]
        return self.transforms[name](values, at_rows(self._labels[name], rows)), below


def fit_transforms(store: OmicsStore, *, rows: Int[np.ndarray, " training"], chains: Mapping[str, Chain]) -> None:
    """Fit each modality's chain on these visits of the store: training participants', nobody else's."""
    for name, chain in chains.items():
        matrix = store.modalities[name]
        measured = np.intersect1d(rows, matrix.rows)
        chain.fit(matrix.read(measured)[0], at_rows(row_labels(store, name, chain.columns), measured))


def read_outcome(store: OmicsStore, spec: OutcomeSpec, rows: Int[np.ndarray, " visits"]) -> Outcome:
    """An outcome of these visits; a visit without a value of it is not observed."""
    observed = torch.from_numpy(store.outcome_observed(spec.name)[rows])
    if spec.kind == "class":
        codes = store.outcomes[spec.name].iloc[rows].map({label: i for i, label in enumerate(spec.classes)})
        return ClassLabel(class_id=torch.from_numpy(codes.fillna(0).to_numpy(np.int64)), observed=observed)
    if spec.kind == "quantity":
        value = np.nan_to_num(store.outcomes[spec.name].to_numpy(np.float32)[rows])
        return Quantity(value=torch.from_numpy(value), observed=observed)
    time_days = np.nan_to_num(store.outcomes[f"{spec.name}.time_days"].to_numpy(np.float32)[rows])
    event = np.nan_to_num(store.outcomes[f"{spec.name}.event"].to_numpy(np.float32)[rows]) > 0
    return Survival(time_days=torch.from_numpy(time_days), event=torch.from_numpy(event), observed=observed)
