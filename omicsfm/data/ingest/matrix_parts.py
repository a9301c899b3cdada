"""A matrix of several files, or of features that another table names, as one matrix."""

from collections.abc import Sequence

import numpy as np

from omicsfm.data.ingest.cohort import ModalitySpec
from omicsfm.data.ingest.columns import as_text, column_of
from omicsfm.data.ingest.matrices import RawMatrix
from omicsfm.data.ingest.tables import read_table
from omicsfm.errors import InputError

LOGARITHM_OF = {"log2": 2.0, "npx": 2.0, "log10": 10.0, "ln": np.e}
AMOUNTS = ("raw", "concentration", "tpm")
"""Scales whose logarithm may be taken without a look at the rest of the visit."""


def stacked(spec: ModalitySpec, parts: Sequence[RawMatrix]) -> RawMatrix:
    """The rows of all parts, one below the other, in the scale of the modality; a feature that a part does not have
    is not measured in its rows.

    Raises:
        InputError: A part has no feature of the first, or its scale cannot become that of the modality.
    """
    if not spec.parts:
        return parts[0]
    features = list(dict.fromkeys(feature for part in parts for feature in part.features))
    place = {feature: number for number, feature in enumerate(features)}
    values = np.full((sum(len(part.keys) for part in parts), len(features)), np.nan, dtype=np.float32)
    below = np.zeros(values.shape, dtype=bool)
    start = 0
    for own, part in zip(spec.parts, parts, strict=True):
        if not set(part.features) & set(parts[0].features):
            raise InputError(
                f"{spec.name}: {_name(own)} has no feature of {_name(spec.parts[0])}: '{part.features[0]}' and "
                f"'{parts[0].features[0]}', say. Files of one modality measure the same; else make it another modality."
            )
        rows, columns = slice(start, start + len(part.keys)), [place[feature] for feature in part.features]
        dense = part.values if isinstance(part.values, np.ndarray) else part.values.toarray()
        values[rows, columns] = _rescaled(dense, own, spec)
        if part.below_limit is not None:
            below[rows, columns] = part.below_limit
        start += len(part.keys)
    keys = [key for part in parts for key in part.keys]
    without = list(dict.fromkeys(name for part in parts for name in part.without_limit if name not in place))
    return RawMatrix(keys, features, values, below if below.any() else None, without)


def named(spec: ModalitySpec, matrix: RawMatrix) -> RawMatrix:
    """The matrix with its features called as ``feature_names`` says.

    Raises:
        InputError: A feature has no name there, or two have the same.
    """
    if spec.feature_names is None:
        return matrix
    table, where = read_table(spec.feature_names.path), f"{spec.name}: features {spec.feature_names.path.name}"
    codes, names = (
        as_text(column_of(table, column, where)) for column in (spec.feature_names.code, spec.feature_names.name)
    )
    known = {code: name for code, name in zip(codes, names, strict=True) if code is not None and name is not None}
    nameless = [feature for feature in matrix.features if feature not in known]
    if nameless:
        raise InputError(
            f"{where}: {len(nameless):,} of {len(matrix.features):,} features have no name there (first: "
            f"'{nameless[0]}'). Add them to it, or to drop."
        )
    new = [known[feature] for feature in matrix.features]
    if twice := [name for place, name in enumerate(new) if name in new[:place]]:
        raise InputError(
            f"{where}: {len(twice):,} names belong to two features (first: '{twice[0]}'). Tell them apart there."
        )
    return RawMatrix(matrix.keys, new, matrix.values, matrix.below_limit, matrix.without_limit)


def _rescaled(values: np.ndarray, own: ModalitySpec, whole: ModalitySpec) -> np.ndarray:
    """Values of a part in the scale of the modality: a logarithm of amounts, or one logarithm for another."""
    if own.scale == whole.scale:
        return values
    if whole.scale not in LOGARITHM_OF or own.scale not in (*AMOUNTS, *LOGARITHM_OF):
        raise InputError(
            f"{whole.name}: {_name(own)} is in scale '{own.scale}', which cannot become the modality's "
            f"'{whole.scale}'. Files of several scales meet in a logarithm: scale: log2."
        )
    if own.scale in LOGARITHM_OF:
        return values * np.float32(np.log(LOGARITHM_OF[own.scale]) / np.log(LOGARITHM_OF[whole.scale]))
    if (values <= 0).any():
        raise InputError(
            f"{whole.name}: {int((values <= 0).sum()):,} values of {_name(own)} are 0 or less, of which there is no "
            f'logarithm. If 0 means not detected, set below_limit: "0" for that file.'
        )
    return np.log(values) / np.float32(np.log(LOGARITHM_OF[whole.scale]))


def _name(spec: ModalitySpec) -> str:
    return spec.path.name if spec.path is not None else spec.name
