"""The first pass over a matrix: what must be known of all of it before a value is written."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from omicsfm.data.ingest.blocks import Block, Check, Matched, MatrixSource, Values
from omicsfm.errors import InputError

Saved = dict[str, np.ndarray]


class Scan:
    """What one pass over a matrix tells: which rows hold values, how many, and the limits that the file does not give.

    ``state`` is all of it, as arrays, so that an interrupted pass can go on where it stopped.
    """

    def __init__(self, source: MatrixSource, visits: np.ndarray, checks: Mapping[str, Check]) -> None:
        """``visits`` is the place of each row in the table of visits, -1 where it has none."""
        self.source, self.visits, self.checks = source, visits, checks
        rows, shape = len(source.keys), (len(source.parts), len(source.features))
        self.state: Saved = {
            "next": np.zeros((), np.int64),
            "measured": np.zeros(rows, bool),
            "stored": np.zeros(rows if source.entries() is not None else 0, np.int32),
            "below": np.zeros((), bool),
            "lowest": np.full(shape, np.nan, np.float32),
            "unlimited": np.zeros(shape, bool),
            "undecided": np.zeros((0, 2), np.int64),
        }

    def restore(self, saved: Saved) -> None:
        """Go on from what ``saved`` was told."""
        self.state = {name: saved[name] for name in self.state}
        for name, check in self.checks.items():
            check.seen = {part: saved[f"{name}.{part}"] for part in check.seen}

    def saved(self) -> Saved:
        """What to keep, to go on from here later."""
        return self.state | {
            f"{name}.{part}": a for name, check in self.checks.items() for part, a in check.seen.items()
        }

    def run(self, after_block: Callable[[int], None]) -> None:
        """Read every block that is left; ``after_block`` is told how many rows are done."""
        for block in self.source.blocks(int(self.state["next"]), self.visits >= 0):
            self._limits(block)
            matched = self._matched(block)
            for check in self.checks.values():
                check.update(matched)
            self._rows(block)
            self.state["next"][()] = block.rows.stop
            after_block(block.rows.stop)
        self.state["next"][()] = len(self.source.keys)
        after_block(len(self.source.keys))

    def finish(self, name: str, may_be_empty: bool = False) -> "Scanned":
        """Judge.

        Raises:
            InputError: No row that belongs to a visit holds a value, or a check refuses the matrix.
        """
        self.source.finish()
        state, found = self.state, self.visits >= 0
        measured = state["measured"] & found
        if not (measured.any() or may_be_empty):
            raise InputError(
                f"{name}: {int(found.sum()):,} rows match a visit but hold no value. An empty modality cannot be "
                "prepared: leave it out of modalities, or check columns and the file."
            )
        for check in self.checks.values():
            check.finish(self._again)
        lost = state["unlimited"] & np.isnan(state["lowest"])  # every value below a limit that is not given
        features: np.ndarray = np.asarray((self.source.has & ~lost).any(axis=0))
        return Scanned(measured, state["stored"], bool(state["below"]), state["lowest"], features)

    def _again(self) -> Iterator[Matched]:
        for block in self.source.blocks(0, self.visits >= 0):
            yield self._matched(block)

    def _matched(self, block: Block) -> Matched:
        visits = self.visits[block.rows]
        inside = np.flatnonzero(visits >= 0)
        if len(inside) == len(visits):
            return Matched(block.values, visits)
        return Matched(block.values[inside], visits[inside])

    def _limits(self, block: Block) -> None:
        if not self.source.states_limits:
            return
        lowest = self.state["lowest"][block.part]
        np.fmin(lowest, np.fmin.reduce(block.values, axis=0), out=lowest)
        if block.unlimited is not None:
            self.state["unlimited"][block.part] |= block.unlimited.any(axis=0)

    def _rows(self, block: Block) -> None:
        """Which rows hold a value. One whose cells all lie below limits that are not given waits until one is known."""
        values, state = block.values, self.state
        if not isinstance(values, np.ndarray):
            state["measured"][block.rows] = True  # an entry that is not stored is a measured zero
            state["stored"][block.rows] = np.diff(values.indptr)
        else:
            state["measured"][block.rows] = ~np.isnan(values).all(axis=1)
        state["below"] |= block.below_limit is not None and bool(block.below_limit[self.visits[block.rows] >= 0].any())
        if block.unlimited is not None:
            rows, features = np.nonzero(block.unlimited & ~state["measured"][block.rows, None])
            cells = np.stack([rows + block.start, features], axis=1)
            state["undecided"] = np.concatenate([state["undecided"], cells])
        if len(state["undecided"]):
            rows, features = state["undecided"].T
            parts = np.searchsorted(self.source.parts, rows, side="right") - 1
            state["measured"][rows[~np.isnan(state["lowest"][parts, features])]] = True
            state["undecided"] = state["undecided"][~state["measured"][rows]]


@dataclass(frozen=True)
class Scanned:
    """What the first pass found."""

    measured: np.ndarray
    """Rows of the matrix that belong to a visit and hold a value."""
    stored: np.ndarray
    """Stored entries of each row of a CSR matrix."""
    below: bool
    """Some value lies below its limit."""
    lowest: np.ndarray
    """Lowest value of each feature in each part of the matrix, which stands for a limit that is not given."""
    features: np.ndarray
    """Features that are kept; the others have no value above a limit that is not given."""

    def settle(self, block: Block, rows: np.ndarray) -> tuple[Values, np.ndarray | None]:
        """Values and flags of these rows of a block, limits in their places, with the features that are kept."""
        values, below, unlimited = block.values, block.below_limit, block.unlimited
        if len(rows) < values.shape[0]:
            values, below = values[rows], None if below is None else below[rows]
        if unlimited is not None and below is not None:
            lowest = self.lowest[block.part]
            values = np.where(unlimited[rows], lowest, values)
            below = below & ~(unlimited[rows] & np.isnan(lowest))
        if self.features.all():
            return values, below
        return values[:, self.features], None if below is None else below[:, self.features]
