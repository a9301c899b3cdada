"""Rows of a store -> Batch."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from omicsfm.contracts import Batch, ClassLabel, CompetingRisks, Measurement, Outcome, OutcomeSpec, Quantity, Survival
from omicsfm.data.histories import ages_of
from omicsfm.data.row_labels import at_rows, row_labels
from omicsfm.data.rows_to_fit import rows_to_fit
from omicsfm.data.sampling import choose_features
from omicsfm.data.store import OmicsStore
from omicsfm.data.stored_matrix import StoredMatrix
from omicsfm.data.transforms import Chain
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace
from omicsfm.seeding import derive

CELLS_TO_FIT = 1 << 27
"""Values of one modality that transforms are fitted on at most: 512 MB, or 6,700 visits of 20,000 genes."""


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
        weights: Mapping[str, Float[np.ndarray, " features"]] | None = None,
        cache_bytes: int = 2**30,
        same_features: bool = False,
    ) -> None:
        """``max_features`` caps the tokens per visit and modality; ``weights`` say how often each feature of a
        modality is drawn then. ``cache_bytes`` bounds the memory kept for transformed values, above which they are
        transformed again at each reading. With ``same_features`` a draw takes the same features at all visits of a
        participant, as far as they are measured.
        """
        self.store = store
        self.features = dict(features)
        self.transforms = dict(transforms)
        self.outcomes = {spec.name: spec for spec in outcomes}
        self.max_features = max_features
        self.same_features = same_features
        self.weights = dict(weights or {})
        self._labels = {
            name: row_labels(store, name, chain.columns)
            for name, chain in self.transforms.items()
            if name in store.inputs
        }
        self._columns = {
            name: space.align(store.inputs[name].features).position
            for name, space in self.features.items()
            if name in store.inputs
        }
        self._sparse = {name: self._is_read_sparsely(name) for name in self._columns}
        kept = [name for name, sparse in self._sparse.items() if not sparse]
        size = sum(4 * len(store.inputs[name].rows) * len(self.features[name]) for name in kept)
        self._cache: dict[str, tuple[np.ndarray, np.ndarray | None, np.ndarray]] | None = (
            {} if size <= cache_bytes else None
        )

    def _is_read_sparsely(self, name: str) -> bool:
        """Whether only the features that become tokens are looked up, in rows that are mostly zeros."""
        capped = self.max_features is not None and self.max_features < len(self.features[name])
        return capped and self.store.inputs[name].layout == "csr" and self.transforms[name].is_pointwise

    def read(self, rows: Int[np.ndarray, " visits"], *, seed: int = 0) -> Batch:
        """The visits at ``rows``, in that order. ``seed`` decides which features are sampled."""
        rows = np.asarray(rows, dtype=np.int64)
        return Batch(
            participant=torch.from_numpy(self.store.participant_number[rows].astype(np.int64)),
            time_days=torch.from_numpy(np.nan_to_num(self.store.visits["time_days"].to_numpy(np.float32)[rows])),
            age_years=torch.from_numpy(ages_of(self.store.visits)[rows].astype(np.float32)),
            row=torch.from_numpy(rows),
            measurements={name: self._measurement(name, rows, seed) for name in self.features},
            outcomes={name: read_outcome(self.store, spec, rows) for name, spec in self.outcomes.items()},
            seed=seed,
        )

    def _measurement(self, name: str, rows: np.ndarray, seed: int) -> Measurement:
        seed = derive(seed, "features", name)
        read = self._drawn_then_read if self._sparse.get(name) else self._read_then_drawn
        chosen, kept, values, below = read(name, rows, seed)
        return Measurement(
            feature_ids=torch.from_numpy(np.where(kept, chosen, 0)),
            values=torch.from_numpy(np.where(kept, values, 0.0).astype(np.float32)),
            observed=torch.from_numpy(kept),
            below_limit=torch.from_numpy(below & kept),
            queried=torch.zeros(kept.shape, dtype=torch.bool),
        )

    def _read_then_drawn(self, name: str, rows: np.ndarray, seed: int) -> tuple[np.ndarray, ...]:
        values, below = self.values(name, rows)
        chosen, kept = self._choose(name, ~np.isnan(values), rows, seed)
        if not values.shape[1]:
            return chosen, kept, np.zeros(chosen.shape, np.float32), kept
        return chosen, kept, np.take_along_axis(values, chosen, axis=1), np.take_along_axis(below, chosen, axis=1)

    def _drawn_then_read(self, name: str, rows: np.ndarray, seed: int) -> tuple[np.ndarray, ...]:
        columns = self._columns[name]
        known = columns >= 0
        place = np.full(len(self.features[name]), -1)
        place[columns[known]] = np.flatnonzero(known)
        chosen, kept = self._choose(name, place[None] >= 0, rows, seed)
        picked = self.store.inputs[name].pick(rows, np.where(kept, place[chosen], -1), known)
        values = self.transforms[name].at(picked.values, chosen, at_rows(self._labels[name], rows), picked.total)
        return chosen, ~np.isnan(values), values, picked.below_limit

    def _choose(self, name: str, observed: np.ndarray, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        cap, weights = self.max_features, self.weights.get(name)
        whose = self.store.participant_number[rows].astype(np.int64) if self.same_features else rows
        return choose_features(observed, max_features=cap, seed=seed, visits=whose, weights=weights)

    def values(self, name: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Transformed values in the model's feature order, NaN where not measured."""
        if name not in self._columns:
            shape = (len(rows), 0)
            return np.zeros(shape, np.float32), np.zeros(shape, bool)
        matrix = self.store.inputs[name]
        if self._cache is None:
            return self._transformed(name, matrix, rows)
        if name not in self._cache:
            values, below = self._transformed(name, matrix, matrix.rows)
            place = np.full(len(self.store), -1)
            place[matrix.rows] = np.arange(len(matrix.rows))
            self._cache[name] = (values, below if below.any() else None, place)  # at once: threads read it too
        kept_values, kept_below, place = self._cache[name]
        places = place[rows]
        values = kept_values[places]
        values[places < 0] = np.nan
        return values, np.zeros(values.shape, bool) if kept_below is None else kept_below[places] & (places >= 0)[
            :, None
        ]

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
    """Fit each modality's chain on these visits of the store: training participants', nobody else's.

    Visits beyond ``CELLS_TO_FIT`` values of a modality are sampled (see ``rows_to_fit``): medians and quartiles gain
    nothing from more, and memory stays bounded.

    Raises:
        InputError: A step cannot be learnt from these visits; the message names the modality.
    """
    for name, chain in chains.items():
        matrix = store.inputs[name]
        labels = row_labels(store, name, chain.columns)
        measured = np.intersect1d(rows, matrix.rows)
        most, seed = max(1, CELLS_TO_FIT // max(len(matrix.features), 1)), derive(0, "visits to fit", name)
        chosen = rows_to_fit(chain, labels, measured, most=most, seed=seed)
        try:
            chain.fit(matrix.read(chosen)[0], at_rows(labels, chosen))
        except InputError as error:
            raise InputError(f"{name}: {error}") from None


def read_outcome(store: OmicsStore, spec: OutcomeSpec, rows: Int[np.ndarray, " visits"]) -> Outcome:
    """An outcome of these visits; a visit without a value of it is not observed."""
    observed = torch.from_numpy(store.outcome_observed(spec.name)[rows])
    if spec.kind == "class":
        codes = store.outcomes[spec.name].iloc[rows].map({label: i for i, label in enumerate(spec.classes)})
        return ClassLabel(class_id=torch.from_numpy(codes.fillna(0).to_numpy(np.int64)), observed=observed)
    if spec.kind == "quantity":
        value = np.nan_to_num(store.outcomes[spec.name].to_numpy(np.float32)[rows])
        return Quantity(value=torch.from_numpy(value), observed=observed)
    time, event, entry = (_days(store, f"{spec.name}.{key}", rows) for key in ("time_days", "event", "entry_days"))
    if spec.kind == "competing_risks":
        return CompetingRisks(time_days=time, cause=event.long(), observed=observed, entry_days=entry)
    return Survival(time_days=time, event=event > 0, observed=observed, entry_days=entry)


def _days(store: OmicsStore, column: str, rows: Int[np.ndarray, " visits"]) -> Float[torch.Tensor, " visits"]:
    """A column of the outcomes, 0 where nothing is known; 0 for all where the store has none (no delayed entry)."""
    if column not in store.outcomes:
        return torch.zeros(len(rows))
    return torch.from_numpy(np.nan_to_num(store.outcomes[column].to_numpy(np.float32)[rows]))
