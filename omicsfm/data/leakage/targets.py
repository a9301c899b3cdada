"""What no feature and no identifier may tell: outcomes, and the clinical columns that they come from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from omicsfm.data.leakage.association import NONE, Association, with_class, with_quantity
from omicsfm.data.store import OmicsStore

FEWEST_OF_A_CLASS = 10
MOST_CLASSES = 20


@dataclass(frozen=True)
class Target:
    """One column by visit, as numbers: codes of classes, or a quantity; NaN where not known."""

    described: str
    value: Float[np.ndarray, " visits"]
    is_class: bool
    by_participant: bool = False

    def among(self, rows: Int[np.ndarray, " rows"], participant: Int[np.ndarray, " visits"]) -> np.ndarray:
        """Those of the store rows that have a value; of a participant's value one row."""
        known = rows[~np.isnan(self.value[rows])]
        if not self.by_participant:
            return known
        return known[np.unique(participant[known], return_index=True)[1]]

    def classes(self, rows: Int[np.ndarray, " rows"]) -> Iterator[np.ndarray]:
        """For each class that is large enough, which rows are of it; of two classes once."""
        codes, counts = np.unique(self.value[rows], return_counts=True)
        large = codes[counts >= FEWEST_OF_A_CLASS][:MOST_CLASSES]
        for code in large[-1:] if len(codes) == 2 else large:
            yield self.value[rows] == code

    def followed_by(self, x: Float[np.ndarray, " rows"], rows: Int[np.ndarray, " rows"]) -> Association:
        """How closely ``x`` follows it at these store rows, or that of its classes that ``x`` follows most closely."""
        if not self.is_class:
            return with_quantity(x, self.value[rows])
        found = [with_class(x, of_class) for of_class in self.classes(rows)]
        return max(found, key=lambda one: one.strength, default=NONE)


def targets_of(store: OmicsStore, sources: Mapping[str, pd.Series] | None = None) -> list[Target]:
    """Every outcome column of the store, then ``sources`` (described columns by visit) that are none of them."""
    found: list[Target] = []
    for name in store.outcomes:
        spec = store.outcome_specs.get(str(name)) or store.outcome_specs.get(str(name).rsplit(".", 1)[0])
        participant = spec is not None and spec.level == "participant"
        found += _target(f"outcome {name}", store.outcomes[name], participant)
    for described, series in (sources or {}).items():
        for target in _target(described, series, False):
            if not any(np.array_equal(target.value, other.value, equal_nan=True) for other in found):
                found.append(target)
    return found


def _target(described: str, series: pd.Series, by_participant: bool) -> list[Target]:
    """None where nothing varies."""
    number = pd.to_numeric(series, errors="coerce").astype(float).to_numpy()
    is_class = bool(np.isnan(number).all())
    if is_class:
        codes, _ = pd.factorize(series, sort=True)
        number = np.where(codes < 0, np.nan, codes).astype(np.float64)
    distinct = len(np.unique(number[~np.isnan(number)]))
    if distinct < 2 or (is_class and distinct > len(number) // 2):
        return []
    return [Target(described, number, is_class or distinct == 2, by_participant)]
