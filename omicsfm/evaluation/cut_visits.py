"""Visits of a store that are cut into folds, whatever is predicted of them: who stays together, who may be read."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int, Shaped

from omicsfm.data.groups import families_in, inner_groups, outside
from omicsfm.data.splits import Split
from omicsfm.data.store import OmicsStore


class CutVisits:
    """What every task shares; a task is a dataclass with these among its fields."""

    store: OmicsStore
    rows: Int[np.ndarray, " rows"]
    """Store rows of the visits; everything else is in their order."""
    participant_ids: Shaped[np.ndarray, " rows"]
    split: Split | None
    """The split that the task is cut by, for what is nested in it."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def visits(self) -> pd.DataFrame:
        """The task's visits, with the cohort's own columns."""
        return self.store.visits.iloc[self.rows].reset_index(drop=True)

    @property
    def together(self) -> tuple[str, ...]:
        """Columns of the visits whose values no fold tears apart."""
        return families_in(self.visits) if self.split is None else self.split.together_in(self.visits)

    def readable(
        self, visits: pd.DataFrame, tested: Sequence[str] | Shaped[np.ndarray, " tested"]
    ) -> Bool[np.ndarray, " visits"]:
        """Which visits pretraining may read, whether the outcome is known or not, while these people are tested."""
        if self.split is not None:
            return self.split.readable(visits, tested)
        return outside(visits, tested, self.together)

    def inner_groups(self, train: Int[np.ndarray, " train"]) -> Shaped[np.ndarray, " train"]:
        """Whose rows the training rows are, for inner folds nested in the split."""
        return inner_groups(self.visits, self.together, train=train)[train]
