"""Age and sex as a block of their own: the control that omics must beat to be worth measuring.

Methods see it when they ask for it: ``linear[clinical]`` is age and sex alone, ``linear[clinical+proteome]`` both.
"""

import numpy as np
import pandas as pd
from jaxtyping import Int

from omicsfm.baselines.base import Block
from omicsfm.data.store import OmicsStore

CLINICAL = "clinical"
COVARIATES = ("age", "sex")


def has_clinical(store: OmicsStore) -> bool:
    """Whether the cohort's visits have an age or a sex."""
    return any(name in store.visits and store.visits[name].notna().any() for name in COVARIATES)


def clinical_block(store: OmicsStore, rows: Int[np.ndarray, " rows"]) -> Block:
    """Age in years and one 0/1 column per further value of sex, NaN where not known."""
    visits = store.visits.iloc[rows]
    columns: list[np.ndarray] = []
    for name in COVARIATES:
        if name not in store.visits:
            continue
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
