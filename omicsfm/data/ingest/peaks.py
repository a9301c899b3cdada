"""Peaks that nobody has identified: they keep their own id, with what the instrument says of them."""

import re

import numpy as np
import pandas as pd

from omicsfm.data.ingest.cohort import ModalitySpec, Peaks
from omicsfm.data.ingest.columns import as_number, as_text, column_of
from omicsfm.data.ingest.modality_entry import MEASURES
from omicsfm.data.ingest.tables import read_table
from omicsfm.errors import InputError


def read_peaks(spec: ModalitySpec, features: list[str]) -> pd.DataFrame:
    """The features that are unidentified peaks, as index, with ``mz`` and ``retention_time`` as far as they are given
    (NaN where not; the retention time in the cohort's own unit).

    Raises:
        InputError: No feature is a peak by what ``peaks`` says, or a number is none.
    """
    if spec.peaks is None:
        return pd.DataFrame(columns=list(MEASURES), dtype=np.float64)
    where = f"{spec.name}: peaks"
    found = _by_pattern(spec.peaks, features) if spec.peaks.path is None else _by_table(spec.peaks, features, where)
    if not len(found):
        how = f"pattern '{spec.peaks.pattern}'" if spec.peaks.path is None else f"{spec.peaks.path.name}"
        raise InputError(f"{where}: {how} names none of the {len(features):,} features (first '{features[0]}').")
    for name in MEASURES:
        given = found[name] if name in found else pd.Series(None, index=found.index, dtype=object)
        found[name] = as_number(given, f"{where}: {name}")
    return found[list(MEASURES)].astype(np.float64)


def _by_pattern(peaks: Peaks, features: list[str]) -> pd.DataFrame:
    matches = {feature: re.fullmatch(peaks.pattern, feature) for feature in features}
    rows = {feature: match.groupdict() for feature, match in matches.items() if match}
    return pd.DataFrame(list(rows.values()), index=pd.Index(rows, dtype=object), dtype=object)


def _by_table(peaks: Peaks, features: list[str], where: str) -> pd.DataFrame:
    assert peaks.path is not None  # the caller asked
    table = read_table(peaks.path)
    where = f"{where} {peaks.path.name}"
    ids = as_text(column_of(table, peaks.id, where))
    columns = {name: getattr(peaks, name) for name in MEASURES if getattr(peaks, name)}
    found = pd.DataFrame({name: column_of(table, column, where).to_numpy() for name, column in columns.items()})
    found.index = pd.Index(ids)
    if (twice := found.index[found.index.duplicated()]).size:
        raise InputError(f"{where}: '{twice[0]}' stands there twice; a peak has one m/z and one retention time.")
    return found.loc[[feature for feature in features if feature in found.index]].copy()
