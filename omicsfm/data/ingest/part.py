"""One of several independent tasks that prepare a cohort together: the visits of a range of its participants."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.data.ingest.join import Match
from omicsfm.errors import InputError

TARGETS = "targets.parquet"
"""File of a part: what no feature may equal, by visit; judged when all parts are there."""


@dataclass(frozen=True)
class Part:
    """Part ``number`` (from 1) of ``of``."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Read '3/16'.

        Raises:
            InputError: It is not of that form, or there is no such part.
        """
        form = re.fullmatch(r"(\d+)/(\d+)", text)
        if form is None or not 1 <= int(form[1]) <= int(form[2]):
            raise InputError(f"--part {text}: expected NUMBER/PARTS, such as 1/16 to 16/16.")
        return cls(int(form[1]), int(form[2]))

    def folder(self, store: Path) -> Path:
        """Where the part of a store is written."""
        return store.with_name(f"{store.name}.part-{self.number}-of-{self.of}")

    def visits(self, participant_id: pd.Series) -> np.ndarray:
        """Which visits are the part's; all visits of a participant are in one part, and the parts are in order."""
        people, everybody = pd.factorize(participant_id)
        first, last = (len(everybody) * place // self.of for place in (self.number - 1, self.number))
        return np.asarray((people >= first) & (people < last))

    def own(self, match: Match, mine: np.ndarray) -> Match:
        """The match of a matrix with the part's visits only. Rows without a visit are counted by the first part."""
        visits = np.where((match.visits >= 0) & mine[match.visits], match.visits, -1)
        matched = int((visits >= 0).sum())
        rest = {key: own if self.number == 1 else 0 for key, own in match.counts.items()}
        strangers = rest["of_visits_set_aside"] + rest["unmatched"]
        return replace(
            match,
            visits=visits,
            counts={
                **rest,
                "rows": matched + strangers,
                "matched": matched,
                "visits_without_row": int(mine.sum()) - matched,
            },
        )

    def record(self, key: str, listed: dict[str, bool]) -> dict[str, Any]:
        """What the manifest of the part says, for ``merge``; ``listed`` are the outcomes whose classes are given."""
        return {"number": self.number, "of": self.of, "key": key, "classes_listed": listed}
