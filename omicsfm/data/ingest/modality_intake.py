"""One modality on its way into a store: matched to the visits, scanned, and written, in two passes over its file."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.data.ingest.blocks import Check
from omicsfm.data.ingest.checks import NOT_NEGATIVE, ROUNDING, ScaleCheck
from omicsfm.data.ingest.copies import CopyCheck
from omicsfm.data.ingest.join import Match
from omicsfm.data.ingest.mapped_matrix import Named
from omicsfm.data.ingest.progress import Progress
from omicsfm.data.ingest.scan import Scan, Scanned
from omicsfm.data.store_writer import SMALL_IDS, StoreWriter
from omicsfm.features import FeatureSpace

COUNTS_OF_ROWS = (
    "rows",
    "matched",
    "of_visits_set_aside",
    "unmatched",
    "without_values",
    "visits_without_row",
    "values_rounded_to_zero",
)
"""Counts of a modality that add up over parts of it."""
Tell = Callable[[int], None]
"""Called with the rows of a pass that are done."""


class ModalityIntake:
    """One modality of a cohort, of which no more than a block is ever in memory."""

    def __init__(
        self,
        named: Named,
        match: Match,
        *,
        visits: pd.DataFrame,
        outcomes: Mapping[str, pd.Series],
        may_be_empty: bool = False,
    ) -> None:
        """``visits`` are the visits as the store will have them, ``outcomes`` what no feature may equal, by visit;
        a part of a matrix ``may_be_empty``.
        """
        self._may_be_empty = may_be_empty
        spec, source = named.spec, named.source
        self.spec, self.source, self.visits, self.about = spec, source, match.visits, named.about
        self.counts = {**match.counts, **named.counts}
        self._scale = ScaleCheck(spec, source.features, visits)
        checks: dict[str, Check] = {"scale": self._scale, "copies": CopyCheck(spec.name, source.features, outcomes)}
        self._scan = Scan(source, self.visits, checks)
        self._scanned: Scanned | None = None

    @property
    def rows(self) -> int:
        """Rows of the matrix."""
        return len(self.source.keys)

    def bytes_needed(self) -> int:
        """Most that the modality will take on the disk."""
        entries, features = self.source.entries(), len(self.source.features)
        matched = self.visits >= 0
        if entries is None:
            return int(matched.sum()) * features * 4
        return int(entries[matched].sum()) * (6 if features < SMALL_IDS else 8) + int(matched.sum()) * 16

    def scan(self, progress: Progress, tell: Tell) -> None:
        """The first pass.

        Raises:
            InputError: The matrix is refused; see ``Scan.finish``.
        """
        step = f"{self.spec.name}.scan"
        if (saved := progress.saved(step)) is not None:
            self._scan.restore(saved)

        def after(done: int) -> None:
            tell(done)
            if progress.due:
                progress.save(step, self._scan.saved())

        self._scan.run(after)
        if progress.begun:
            progress.save(step, self._scan.saved())
        self._scanned = self._scan.finish(self.spec.name, self._may_be_empty)
        self.counts["without_values"] = int(((self.visits >= 0) & ~self._scanned.measured).sum())

    @property
    def scanned(self) -> Scanned:
        """What the first pass found."""
        assert self._scanned is not None  # scan comes first
        return self._scanned

    def measured_visits(self) -> np.ndarray:
        """Places of the visits that the modality has values of."""
        return np.sort(self.visits[self.scanned.measured])

    def write(self, writer: StoreWriter, kept: np.ndarray, progress: Progress, tell: Tell) -> dict[str, Any]:
        """The second pass: every row of a visit in ``kept`` to its place. Returns the entry of the manifest."""
        scanned, source, spec = self.scanned, self.source, self.spec
        stored = np.full(max(int(kept.max(initial=0)), int(self.visits.max())) + 1, -1, dtype=np.int64)
        stored[kept] = np.arange(len(kept))
        row_in_store = np.where(scanned.measured, stored[self.visits], -1)
        order = np.flatnonzero(row_in_store >= 0)
        order = order[np.argsort(row_in_store[order])]
        places = np.full(self.rows, -1, dtype=np.int64)
        places[order] = np.arange(len(order))
        features = tuple(np.array(source.features, dtype=object)[scanned.features])
        space = FeatureSpace(spec.name, features, spec.namespace, spec.scale, spec.platform)
        entries = scanned.stored[order] if source.entries() is not None else None
        about = self.about.iloc[scanned.features]
        own = writer.add(space, row_in_store[order], about=about, entries=entries, below_limit=scanned.below)
        step, done, zeroed = f"{spec.name}.write", 0, 0
        if (saved := progress.saved(step)) is not None:
            done, zeroed, own.missing, own.below_limit = saved["counts"].tolist()
        for block in source.blocks(done, places >= 0):
            here = places[block.rows]
            inside = np.flatnonzero(here >= 0)
            values, below = scanned.settle(block, inside)
            zeroed += self._settle_zeros(values)
            own.write(here[inside], values, below)
            tell(block.rows.stop)
            if progress.due:
                own.flush()
                counts = [block.rows.stop, zeroed, own.missing, own.below_limit]
                progress.save(step, {"counts": np.array(counts)})
        tell(self.rows)
        if zeroed:
            self.counts["values_rounded_to_zero"] = zeroed
        return own.close()

    def _settle_zeros(self, values: Any) -> int:
        """Zero for values that only rounding has made negative, as batch correction upstream does; their number.

        Values further below zero were refused.
        """
        seen = self._scale.seen
        if self.spec.scale not in NOT_NEGATIVE or seen["lowest"] >= 0:
            return 0
        numbers = values if isinstance(values, np.ndarray) else values.data
        noise = (numbers < 0) & (numbers > -ROUNDING * seen["highest"])
        numbers[noise] = 0.0
        return int(noise.sum())
