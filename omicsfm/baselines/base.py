"""What every baseline is given and gives back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from omicsfm.data.row_labels import at_rows
from omicsfm.data.transforms import Labels
from omicsfm.metrics.registry import SurvivalCurves
from omicsfm.metrics.targets import CompetingTarget, SurvivalTarget, Target


@dataclass(frozen=True)
class Block:
    """One modality's values in its declared scale, NaN where not measured."""

    values: Float[np.ndarray, "rows features"]
    scale: str
    labels: Labels = field(default_factory=dict)
    """What is said of each row, such as its platform."""

    def __getitem__(self, rows: Int[np.ndarray, " chosen"]) -> "Block":
        return Block(self.values[rows], self.scale, at_rows(self.labels, rows))

    @property
    def measured(self) -> Bool[np.ndarray, " rows"]:
        """Which rows have any value of this modality."""
        return ~np.isnan(self.values).all(axis=1)


@dataclass(frozen=True)
class OmicsTable:
    """The omics of some visits, and whose visits they are."""

    blocks: Mapping[str, Block]
    groups: Shaped[np.ndarray, " rows"]
    """Whose row it is, a participant's or a family's: a group is on one side of every fold, inner ones too."""

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, rows: Int[np.ndarray, " chosen"]) -> "OmicsTable":
        return OmicsTable({name: block[rows] for name, block in self.blocks.items()}, self.groups[rows])

    def only(self, modalities: Sequence[str]) -> "OmicsTable":
        """The same visits with these modalities alone."""
        return OmicsTable({name: self.blocks[name] for name in modalities}, self.groups)

    def grouped(self, groups: Shaped[np.ndarray, " rows"]) -> "OmicsTable":
        """The same visits in other groups."""
        return OmicsTable(self.blocks, groups)


@dataclass(frozen=True)
class Predicted:
    """Predictions for the test rows.

    ``test`` holds class probabilities [rows, classes], quantities [rows] or log hazards [rows]. ``held_out`` holds, for
    a survival outcome, log hazards of the *training* rows by models that had not seen their participants (inner folds,
    or out-of-bag trees), NaN where there is none: survival curves are calibrated on them. Without them a method is
    ranked but has no survival curves. Of competing risks both have a column a cause. ``curves`` are the survival curves
    of a method that predicts risks itself.
    """

    test: Float[np.ndarray, "..."]
    held_out: Float[np.ndarray, " train"] | Float[np.ndarray, "train causes"] | None = None
    curves: SurvivalCurves | None = None


def held_out_of(target: Target, predictor: Float[np.ndarray, "train outputs"]) -> Float[np.ndarray, "..."] | None:
    """``Predicted.held_out`` from linear predictors of held-out training rows: nothing but for a time to an event."""
    if isinstance(target, CompetingTarget):
        return predictor
    return predictor[:, 0] if isinstance(target, SurvivalTarget) else None


@runtime_checkable
class Baseline(Protocol):
    """A method of prediction that fits on one table and predicts another."""

    def fit_predict(self, train: OmicsTable, target: Target, test: OmicsTable, *, seed: int) -> Predicted:
        """Fit on ``train`` alone, every transform and imputation included, and predict ``test``."""
        ...
