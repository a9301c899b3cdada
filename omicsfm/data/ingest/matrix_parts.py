"""A matrix of several files, or of features that another table names, as one matrix."""

from collections.abc import Iterator, Sequence

import numpy as np

from omicsfm.data.ingest.blocks import CELLS, Block, Key, MatrixSource
from omicsfm.data.ingest.cohort import ModalitySpec
from omicsfm.data.ingest.columns import as_text, column_of
from omicsfm.data.ingest.tables import read_table, repeated_in
from omicsfm.errors import InputError

LOGARITHM_OF = {"log2": 2.0, "npx": 2.0, "log10": 10.0, "ln": np.e}
AMOUNTS = ("raw", "concentration", "tpm")
"""Scales whose logarithm may be taken without a look at the rest of the visit."""


class Stacked:
    """The rows of all parts, one below the other, in the scale of the modality; a feature that a part does not have
    is not measured in its rows. A ``MatrixSource``, always dense.

    Raises:
        InputError: A part has no feature of the first, or its scale cannot become that of the modality.
    """

    states_limits = True

    def __init__(self, spec: ModalitySpec, sources: Sequence[MatrixSource]) -> None:
        self.spec, self._sources = spec, sources
        self.features = list(dict.fromkeys(feature for source in sources for feature in source.features))
        place = {feature: number for number, feature in enumerate(self.features)}
        for own, source in zip(spec.parts, sources, strict=True):
            if not set(source.features) & set(sources[0].features):
                raise InputError(
                    f"{spec.name}: {_name(own)} has no feature of {_name(spec.parts[0])}: '{source.features[0]}' and "
                    f"'{sources[0].features[0]}', say. Files of one modality measure the same; else make it another "
                    "modality."
                )
            _check_scale(own, spec)
        self.keys: list[Key | None] = [key for source in sources for key in source.keys]
        self.parts = tuple(np.cumsum([0, *(len(source.keys) for source in sources[:-1])]).tolist())
        self._columns = [np.array([place[feature] for feature in source.features]) for source in sources]
        self.has = np.zeros((len(sources), len(self.features)), bool)
        for own_has, columns in zip(self.has, self._columns, strict=True):
            own_has[columns] = True
        self._not_positive = np.zeros(len(sources), np.int64)

    def entries(self) -> None:
        """The matrix is dense."""

    def blocks(self, start: int, wanted: np.ndarray) -> Iterator[Block]:
        """Blocks from row ``start`` on."""
        self._not_positive[:] = 0
        for part, (source, first) in enumerate(zip(self._sources, self.parts, strict=True)):
            rows = len(source.keys)
            if start >= first + rows:
                continue
            for block in source.blocks(max(start - first, 0), wanted[first : first + rows]):
                yield from self._pieces(part, block)

    def finish(self) -> None:
        """Judge the cells of every part.

        Raises:
            InputError: Some cell was no number, or has no logarithm where one is taken.
        """
        for own, source, wrong in zip(self.spec.parts, self._sources, self._not_positive, strict=True):
            source.finish()
            if wrong:
                raise InputError(
                    f"{self.spec.name}: {wrong:,} values of {_name(own)} are 0 or less, of which there is no "
                    f'logarithm. If 0 means not detected, set below_limit: "0" for that file.'
                )

    def _pieces(self, part: int, block: Block) -> Iterator[Block]:
        """The block with all features, dense, in pieces that fit in memory."""
        step = max(1, CELLS // len(self.features))
        for low in range(0, block.values.shape[0], step):
            piece = slice(low, low + step)
            dense = block.values[piece]
            dense = dense if isinstance(dense, np.ndarray) else dense.toarray()
            values = self._widened(part, self._rescaled(part, dense), np.float32(np.nan))
            below, unlimited = (
                None if marks is None else self._widened(part, marks[piece], False)
                for marks in (block.below_limit, block.unlimited)
            )
            yield Block(self.parts[part] + block.start + low, values, below, unlimited, part)

    def _widened(self, part: int, array: np.ndarray, fill: object) -> np.ndarray:
        wide = np.full((len(array), len(self.features)), fill, dtype=array.dtype)
        wide[:, self._columns[part]] = array
        return wide

    def _rescaled(self, part: int, values: np.ndarray) -> np.ndarray:
        """Values of a part in the scale of the modality: a logarithm of amounts, or one logarithm for another."""
        own, whole = self.spec.parts[part].scale, self.spec.scale
        if own == whole:
            return values
        if own in LOGARITHM_OF:
            return values * np.float32(np.log(LOGARITHM_OF[own]) / np.log(LOGARITHM_OF[whole]))
        self._not_positive[part] += int((values <= 0).sum())
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(values) / np.float32(np.log(LOGARITHM_OF[whole]))


def renamed(spec: ModalitySpec, features: list[str]) -> list[str]:
    """The features called as ``feature_names`` says.

    Raises:
        InputError: A feature has no name there, or two have the same.
    """
    if spec.feature_names is None:
        return features
    table, where = read_table(spec.feature_names.path), f"{spec.name}: features {spec.feature_names.path.name}"
    codes, names = (
        as_text(column_of(table, column, where)) for column in (spec.feature_names.code, spec.feature_names.name)
    )
    known = {code: name for code, name in zip(codes, names, strict=True) if code is not None and name is not None}
    nameless = [feature for feature in features if feature not in known]
    if nameless:
        raise InputError(
            f"{where}: {len(nameless):,} of {len(features):,} features have no name there (first: "
            f"'{nameless[0]}'). Add them to it, or to drop."
        )
    new = [known[feature] for feature in features]
    if twice := repeated_in(new):
        raise InputError(
            f"{where}: {len(twice):,} names belong to two features (first: '{twice[0]}'). Tell them apart there."
        )
    return new


def _check_scale(own: ModalitySpec, whole: ModalitySpec) -> None:
    if own.scale != whole.scale and (whole.scale not in LOGARITHM_OF or own.scale not in (*AMOUNTS, *LOGARITHM_OF)):
        raise InputError(
            f"{whole.name}: {_name(own)} is in scale '{own.scale}', which cannot become the modality's "
            f"'{whole.scale}'. Files of several scales meet in a logarithm: scale: log2."
        )


def _name(spec: ModalitySpec) -> str:
    return spec.path.name if spec.path is not None else spec.name
