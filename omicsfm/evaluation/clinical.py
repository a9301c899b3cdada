"""What a clinician knows, as a block of its own: the control that omics must beat to be worth measuring.

It is the columns that COHORT.yaml lists under ``clinical``, else age and sex. Methods see it when they ask for it:
``linear[clinical]`` is these alone, ``linear[clinical+proteome]`` both.
"""

import numpy as np
import pandas as pd
from jaxtyping import Int

from omicsfm.baselines.base import Block
from omicsfm.data.store import OmicsStore

CLINICAL = "clinical"
USUAL = ("age", "sex")


def covariates(store: OmicsStore) -> list[str]:
    """Columns of the visits that the block is made of."""
    said = store.manifest.get("clinical")
    return [name for name in (USUAL if said is None else said) if name in store.visits]


def has_clinical(store: OmicsStore) -> bool:
    """Whether any of them is known of anybody."""
    return any(store.visits[name].notna().any() for name in covariates(store))


def clinical_block(store: OmicsStore, rows: Int[np.ndarray, " rows"]) -> Block:
    """A number as it is and one 0/1 column per further value of a text, NaN where not known."""
    visits = store.visits.iloc[rows]
    columns: list[np.ndarray] = []
    for name in covariates(store):
        if pd.api.types.is_numeric_dtype(store.visits[name]):
            columns.append(visits[name].to_numpy(dtype=np.float64, na_value=np.nan))
            continue
        known = visits[name].notna().to_numpy()
        values = sorted(store.visits[name].dropna().astype(str).unique())
        columns.extend(
            np.where(known, (visits[name].astype(str) == value).to_numpy(dtype=float), np.nan) for value in values[1:]
        )
    stacked = np.stack(columns, axis=1) if columns else np.zeros((len(rows), 0))
    return Block(stacked, "identity")
