"""The reader of a modality's matrix, whatever kind of file it stands in."""

from collections.abc import Sequence
from pathlib import Path

from omicsfm.data.ingest.annotated import AnnotatedMatrix
from omicsfm.data.ingest.annotated_file import AnnotatedFile
from omicsfm.data.ingest.blocks import MatrixSource
from omicsfm.data.ingest.cohort import ModalitySpec
from omicsfm.data.ingest.matrix_parts import Stacked, renamed
from omicsfm.data.ingest.repeats import take_keys_of_repeats
from omicsfm.data.ingest.tables import kind_of
from omicsfm.data.ingest.tabular import ColumnsAreVisits, RowsAreVisits
from omicsfm.errors import InputError


def open_matrix(spec: ModalitySpec, key_columns: Sequence[tuple[str, ...]], scratch: Path) -> MatrixSource:
    """Keys and features of a modality, and its values in blocks.

    ``key_columns`` are the columns that hold the visit key in each of its files; a file that is larger than memory
    and must be turned is turned in the folder ``scratch``. In the blocks NaN is not measured, and a value below the
    limit is the limit with its flag set.

    Raises:
        InputError: A file is unreadable, or a named column is missing.
    """
    parts = [_open(part, columns, scratch) for part, columns in zip(spec.parts or (spec,), key_columns, strict=True)]
    source = Stacked(spec, parts) if spec.parts else parts[0]
    source.features = renamed(spec, source.features)
    take_keys_of_repeats(source)
    return source


def _open(spec: ModalitySpec, key_columns: tuple[str, ...], scratch: Path) -> MatrixSource:
    assert spec.path is not None  # a .h5mu's own matrices do not come through here
    if kind_of(spec.path) in ("h5ad", "h5mu"):
        return AnnotatedMatrix(spec, AnnotatedFile(spec.path), key_columns)
    if spec.layer is not None:
        raise InputError(
            f"{spec.name}: layer '{spec.layer}' needs a .h5ad or .h5mu; {spec.path.name} is a plain table."
        )
    if spec.layout == "columns_are_visits":
        return ColumnsAreVisits(spec, spec.path, scratch)
    return RowsAreVisits(spec, spec.path, key_columns)
