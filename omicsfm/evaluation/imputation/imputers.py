"""Ways to predict a hidden modality: the mean, ridge regression from the same inputs, and omicsfm.

mean              every feature at its training mean: what knowing nothing of the person scores
ridge             ridge regression of the whole profile on all features of the sources, one penalty by inner folds
omicsfm           the model decodes the hidden modality from what it encoded of the sources
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int

from omicsfm.baselines.multi_ridge import fit_multi_ridge
from omicsfm.checkpoint import Checkpoint
from omicsfm.data.collate import BatchReader
from omicsfm.errors import InputError, closest
from omicsfm.evaluation.imputation.hidden import HiddenModality
from omicsfm.evaluation.pretrained import NAME, Encoders
from omicsfm.inference import reader_for

Train = Int[np.ndarray, " train"]
Test = Int[np.ndarray, " test"]
Profile = Float[np.ndarray, "test features"]
METHODS = (NAME, "ridge", "mean")
IMPUTING = ("imputer=profile", "data.clinical=false")
"""How a model that is pretrained to impute differs from one that is not; it reads what ridge regression reads."""
MOST_MISSING = 0.5
BATCH = 64


@runtime_checkable
class Imputer(Protocol):
    """Something that learns from training visits and predicts the hidden modality of test visits."""

    name: str

    def predict(self, task: HiddenModality, train: Train, test: Test, *, seed: int) -> Profile:
        """Every feature of the target at the test visits, on the scale of ``task.values(target, train)``."""
        ...


class Mean:
    """Each feature's mean in training."""

    name = "mean"

    def predict(self, task: HiddenModality, train: Train, test: Test, *, seed: int) -> Profile:
        return np.tile(_mean(task.values(task.target, train)[train]), (len(test), 1))


class Ridge:
    """Ridge regression from every feature of the sources that at least half of the training visits have."""

    name = "ridge"

    def predict(self, task: HiddenModality, train: Train, test: Test, *, seed: int) -> Profile:
        inputs = np.concatenate([_filled(task.values(name, train), train) for name in task.sources], axis=1)
        target = task.values(task.target, train)[train]
        inputs = inputs / np.maximum(inputs[train].std(axis=0), 1e-6)
        return fit_multi_ridge(inputs[train], target, groups=task.inner_groups(train), seed=seed).predict(inputs[test])


class Pretrained:
    """omicsfm, pretrained on the training participants of the fold or opened from a checkpoint."""

    name = NAME

    def __init__(self, encoders: Encoders) -> None:
        self._encoders = encoders

    def predict(self, task: HiddenModality, train: Train, test: Test, *, seed: int) -> Profile:
        opened = self._encoders.of_fold(task, train, seed=seed)
        if task.target not in opened.features:
            raise InputError(
                f"the checkpoint does not know the modality '{task.target}'; {closest(task.target, opened.features)}."
            )
        self._refuse_seen(opened, task, test)
        return _on_scale(opened, task, train, test)

    def _refuse_seen(self, opened: Checkpoint, task: HiddenModality, test: Test) -> None:
        if self._encoders.config["data"]["allow_seen"]:
            return
        untouched = opened.untouched(task.store.visits, task.together, task.store.people)[task.rows[test]]
        if not untouched.all():
            seen = len(np.unique(task.participant_ids[test][~untouched]))
            raise InputError(
                f"the checkpoint was trained on {seen:,} of {len(np.unique(task.participant_ids[test])):,} "
                "participants whom this fold tests, or on their families or groups. Leave --checkpoint out to pretrain "
                "inside each fold, or go on all the same with --set data.allow_seen=true."
            )


def imputers(names: Sequence[str], encoders: Encoders | None) -> list[Imputer]:
    """Imputers by name.

    Raises:
        InputError: A name is not known.
    """
    known: dict[str, Imputer] = {Mean.name: Mean(), Ridge.name: Ridge()}
    if encoders is not None:
        known[NAME] = Pretrained(encoders)
    for name in names:
        if name not in known:
            raise InputError(f"--methods: '{name}' is not a way to impute; {closest(name, known)}.")
    return [known[name] for name in names]


def _mean(values: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, " features"]:
    measured = ~np.isnan(values)
    return np.nan_to_num(values).sum(axis=0) / np.maximum(measured.sum(axis=0), 1)


def _filled(values: Float[np.ndarray, "rows features"], train: Train) -> Float[np.ndarray, "rows kept"]:
    """Features known in half of the training rows or more, gaps at the training mean."""
    kept = np.isnan(values[train]).mean(axis=0) < MOST_MISSING
    values = values[:, kept]
    return np.where(np.isnan(values), _mean(values[train]), values)


def _on_scale(opened: Checkpoint, task: HiddenModality, train: Train, test: Test) -> Profile:
    """What the model says of the test visits, in the task's features and scale.

    A checkpoint from elsewhere standardised by its own cohort. Both scales are the same logarithm, shifted and
    stretched: the line between them is drawn through the training visits' measured values.
    """
    position = opened.features[task.target].align(task.store.modalities[task.target].features).position
    reader = reader_for(opened, task.store)
    said = _decoded(opened, reader, task, test)
    theirs, ours = reader.values(task.target, task.rows[train])[0], task.values(task.target, train)[train]
    predicted = np.zeros((len(test), ours.shape[1]))
    for feature, place in enumerate(position):
        if place >= 0:
            slope, offset = _line(theirs[:, place], ours[:, feature])
            predicted[:, feature] = slope * said[:, place] + offset
    return predicted


@torch.inference_mode()
def _decoded(opened: Checkpoint, reader: BatchReader, task: HiddenModality, test: Test) -> Profile:
    """The mean of every feature of the target that the model knows, in model scale: all but the sources is withheld."""
    model, parts = opened.model, []
    features = torch.arange(len(opened.features[task.target]))
    for start in range(0, len(test), BATCH):
        batch = reader.read(task.rows[test[start : start + BATCH]])
        for name in opened.features:
            if name not in task.sources:
                batch = batch.query(name, batch.measurements[name].observed)
        encoded = model.encode(batch)
        parts.append(model.decode(encoded, task.target, features.expand(len(batch), -1)).mean.float().numpy())
    return np.concatenate(parts)


def _line(x: Float[np.ndarray, " rows"], y: Float[np.ndarray, " rows"]) -> tuple[float, float]:
    known = ~np.isnan(x) & ~np.isnan(y)
    if known.sum() < 2 or np.ptp(x[known]) == 0:
        return 1.0, 0.0
    slope, offset = np.polyfit(x[known], y[known], 1)
    return float(slope), float(offset)
