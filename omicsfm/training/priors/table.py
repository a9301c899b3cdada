"""Vectors that the user has: of a protein language model, a text model, molecular fingerprints."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from omicsfm.errors import InputError
from omicsfm.training.priors.base import Known, Vectors

ID = "feature_id"
FEWEST = 0.05


class Table:
    """A parquet file with a column ``feature_id`` and one column for each dimension of the vectors.

    Ids are those of the cohort's features, of any modality; features that the file lacks get no prior.
    """

    def __init__(self, *, path: str) -> None:
        self.path = Path(path)

    @property
    def dim(self) -> int:
        """Number of dimensions in the file."""
        return self._vectors.shape[1]

    @cached_property
    def _vectors(self) -> pd.DataFrame:
        try:
            table = pd.read_parquet(self.path)
        except (OSError, ValueError) as error:
            raise InputError(f"prior.path: {self.path} cannot be read as parquet ({error}).") from error
        if ID not in table:
            raise InputError(
                f"prior.path: {self.path} has no column '{ID}' (columns: {', '.join(map(str, table))[:200]})."
            )
        table = table.set_index(table[ID].astype(str)).drop(columns=ID)
        wrong = [str(name) for name in table if not pd.api.types.is_numeric_dtype(table[name])]
        if wrong or not len(table.columns):
            raise InputError(
                f"prior.path: {self.path} needs a column of numbers for each dimension beside '{ID}'"
                + (f"; '{wrong[0]}' holds none." if wrong else ".")
            )
        if not table.index.is_unique:
            raise InputError(f"prior.path: {self.path} has '{table.index[table.index.duplicated()][0]}' twice.")
        if not np.isfinite(table.to_numpy(dtype=np.float64)).all():
            raise InputError(f"prior.path: {self.path} holds values that are missing or infinite. Leave such rows out.")
        return table

    def vectors(self, known: Known) -> Mapping[str, Vectors]:
        """Zeros for features that the file does not have.

        Raises:
            InputError: The file has hardly any of the features.
        """
        found = {name: self._vectors.reindex(space.ids) for name, space in known.features.items()}
        shares = {name: float(own.iloc[:, 0].notna().mean()) for name, own in found.items() if len(own)}
        if max(shares.values(), default=0.0) < FEWEST:
            first = next(iter(known.features.values()))
            raise InputError(
                f"prior.path: {self.path} has under {FEWEST:.0%} of the features of every modality (its first id: "
                f"'{self._vectors.index[0]}'; {first.modality}'s: '{first.ids[0]}', namespace {first.namespace}). "
                "Write its ids as the cohort does."
            )
        return {name: own.fillna(0.0).to_numpy() for name, own in found.items()}
