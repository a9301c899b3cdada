"""A matrix on its way into a store, seen in blocks of rows: what the readers give and what the checks take.

No step of the intake holds a whole matrix. A reader knows the keys and the features in full and gives the values in
blocks; a check sees every block that belongs to the cohort's visits and speaks at the end.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int
from scipy import sparse

Key = str
"""What identifies a visit: one text, or several joined. A million keys of one part cost no more than their texts."""
JOINT = "\x1f"  # ASCII's unit separator, which no identifier holds
Values: TypeAlias = np.ndarray | sparse.csr_matrix | sparse.csr_array
BEYOND_FLOAT32 = np.errstate(over="ignore")
"""Around what becomes float32: 1e39 becomes infinite, which the check of the scale refuses by place."""
CELLS = 2_000_000
"""Most cells of a dense block, or stored entries of a sparse one; one row may hold more."""


def keys_from(parts: Sequence[pd.Series]) -> list[Key | None]:
    """The keys whose parts stand in these columns of text; None where a part is empty."""
    first, *others = (part.tolist() for part in parts)
    if not others:
        return first
    rows = zip(first, *others, strict=True)
    return [None if any(part is None for part in row) else JOINT.join(row) for row in rows]


def shown(key: Key | None) -> str:
    """A key for people."""
    return (key or "").replace(JOINT, " / ")


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a matrix, in the order of its file."""

    start: int
    """Row of the matrix that the block begins with."""
    values: Values
    """float32. Dense: NaN is not measured. CSR: an entry that is not stored is a measured zero."""
    below_limit: Bool[np.ndarray, "rows features"] | None = None
    unlimited: Bool[np.ndarray, "rows features"] | None = None
    """Cells below a limit that the file does not give; their value is NaN until the limit is known."""
    part: int = 0
    """Which of the matrix's parts the rows stand in."""

    @property
    def rows(self) -> slice:
        """The rows of the matrix."""
        return slice(self.start, self.start + self.values.shape[0])


@runtime_checkable
class MatrixSource(Protocol):
    """The matrix of one modality as it stands in its file, after ``where``, ``columns`` and ``drop``."""

    keys: list[Key | None]
    """The visit key of each row; None where a part of it is empty."""
    features: list[str]
    parts: tuple[int, ...]
    """First row of each file whose rows continue each other; a block lies within one."""
    has: Bool[np.ndarray, "parts features"]
    """Which features each part has."""
    states_limits: bool
    """A cell may say that it lies below a limit."""

    def entries(self) -> Int[np.ndarray, " rows"] | None:
        """Stored entries of each row of a CSR matrix, at most; None where the matrix is dense."""

    def blocks(self, start: int, wanted: Bool[np.ndarray, " rows"]) -> Iterator[Block]:
        """Blocks from row ``start`` on; those without a ``wanted`` row may be left out."""

    def finish(self) -> None:
        """Called after all blocks were read.

        Raises:
            InputError: Some cell was no number; the message names the first column that has one.
        """


@dataclass(frozen=True)
class Matched:
    """The rows of one block that belong to visits of the cohort."""

    values: Values
    visits: Int[np.ndarray, " rows"]
    """Place of each row in the table of visits."""


@runtime_checkable
class Check(Protocol):
    """What looks at a matrix block by block, and speaks when all blocks were seen.

    ``seen`` is all that it remembers, as arrays, so that an interrupted intake can go on where it stopped.
    """

    seen: dict[str, np.ndarray]

    def update(self, block: Matched) -> None:
        """Look at one block."""

    def finish(self, again: Callable[[], Iterable[Matched]]) -> None:
        """Judge. ``again`` gives the blocks once more, to count and to place what is wrong.

        Raises:
            InputError: The matrix is refused.
        """
