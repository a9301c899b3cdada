"""What a clinician knows of a visit without any assay, as one more modality: age, sex, or what the cohort lists.

Omics that add nothing to age and sex are not worth measuring, and a model that may not see them loses to one that may.
The columns are those that COHORT.yaml lists under ``clinical``, else age and sex. They stay in the table of the visits;
nothing is stored twice.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from omicsfm.data.stored_matrix import StoredMatrix
from omicsfm.features import COVARIATE, FeatureSpace

if TYPE_CHECKING:
    from omicsfm.data.store import OmicsStore

CLINICAL = "clinical"
USUAL = ("age", "sex")


def covariates(store: "OmicsStore") -> list[str]:
    """Columns of the visits that the modality is made of."""
    said = store.manifest.get("clinical")
    return [name for name in (USUAL if said is None else said) if name in store.visits]


class CovariateMatrix(StoredMatrix):
    """A number as it is, one 0/1 feature ``column=value`` for each further value of a text; NaN where not known."""

    def __init__(self, store: "OmicsStore") -> None:
        features: dict[str, np.ndarray] = {}
        for name in covariates(store):
            column = store.visits[name]
            if pd.api.types.is_numeric_dtype(column):
                features[name] = column.to_numpy(dtype=np.float32, na_value=np.nan)
                continue
            known, text = column.notna().to_numpy(), column.astype(str)
            for value in sorted(text[known].unique())[1:]:
                features[f"{name}={value}"] = np.where(known, (text == value).to_numpy(), np.nan).astype(np.float32)
        values = np.stack(list(features.values()), axis=1) if features else np.zeros((len(store), 0), np.float32)
        self.rows: Int[np.ndarray, " measured"] = np.flatnonzero(~np.isnan(values).all(axis=1))
        self.features = FeatureSpace(CLINICAL, tuple(features), COVARIATE, COVARIATE, cohort=store.name)
        self._of_visits = values

    def read(
        self, rows: Int[np.ndarray, " visits"]
    ) -> tuple[Float[np.ndarray, "visits features"], Bool[np.ndarray, "visits features"]]:
        """Values (NaN where not known) of these visits; none is below a limit."""
        values = self._of_visits[rows]
        return values, np.zeros(values.shape, dtype=bool)
