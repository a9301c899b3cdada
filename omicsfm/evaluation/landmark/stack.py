"""omicsfm as a method of a landmark prediction: linear members weighted by held-out predictions, at each landmark.

    embedding            a probe on the pretrained embedding of the landmark's visit
    relative, kernel     its values relative to its own level, and random features of these
    each input           metabolome, clinical, ..., as last measured at or before the landmark
    all                  all of them together
    history              all of them, and how much each feature changed since it was first measured
    shared ...           all and history once more, learnt at every landmark at once, with coefficients that may change
                         along them

A weight of one for the member of all inputs is the Cox regression of the last visit, and weights come from predictions
of training participants that a member had not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from omicsfm.baselines.base import Predicted, held_out_of
from omicsfm.baselines.penalised import LinearFit, fit_penalised, to_prediction
from omicsfm.baselines.stack import stack
from omicsfm.evaluation.landmark.baselines import fit_supermodel, with_position
from omicsfm.evaluation.landmark.task import LandmarkTask
from omicsfm.evaluation.methods import Test, Train
from omicsfm.evaluation.pretrained import NAME, Pretrained, make_encoders
from omicsfm.inference import evidence, reader_for
from omicsfm.model.omics_model import KERNEL, RELATIVE

EMBEDDING = "embedding"


@dataclass(frozen=True)
class _Shared:
    """A model of all landmarks, and the features it reads of every row of the task."""

    fit: LinearFit
    features: Float[np.ndarray, "rows features"]


class LandmarkStack(Pretrained):
    """A pretrained encoder's evidence of each visit, and linear models of its parts."""

    def begin_fold(self, task: LandmarkTask, train: Train, *, seed: int) -> None:  # type: ignore[override]
        """Pretrain on all visits of the fold's training participants; fit what the landmarks share."""
        self._opened = self._encoders.of_fold(task, train, seed=seed)
        self._parts = self._read(task)
        self._train = train
        self._shared = []
        for part in ("all", "history"):
            features = with_position(self._parts[part], task, np.arange(len(task)))
            self._shared.append(_Shared(fit_supermodel(features[train], task, train, seed=seed), features))

    def fit_predict(self, task: LandmarkTask, train: Train, test: Test, *, seed: int) -> Predicted:  # type: ignore[override]
        """Fit the landmark's own members on ``train``, weigh them with the shared ones, predict ``test``."""
        assert self._opened is not None, "begin_fold comes first"
        if not self._encoders.config["data"]["allow_seen"]:
            self._refuse_seen(self._opened, task, test)
        target, groups = task.target[train], task.inner_groups(train)
        held_out, predicted, doubted = [], [], []
        for part, features in self._parts.items():
            if not np.ptp(features[train], axis=0).any():  # nothing of it was measured here
                continue
            fit = fit_penalised(features[train], target, groups=groups, seed=seed)
            held_out.append(fit.held_out)
            predicted.append(fit.linear_predictor(features[test]))
            doubted.append(part == EMBEDDING)
        place = np.searchsorted(self._train, train)
        for one in self._shared:
            held_out.append(one.fit.held_out[place])
            predicted.append(one.fit.linear_predictor(one.features[test]))
            doubted.append(False)
        stacked = stack(np.stack(held_out), target, np.array(doubted))
        combined = stacked.combine(np.stack(predicted))
        seen = held_out_of(task.target, stacked.combine(np.stack(held_out)))
        return Predicted(to_prediction(task.target.kind, combined), seen)

    def _read(self, task: LandmarkTask) -> dict[str, Float[np.ndarray, "rows features"]]:
        """What each member reads of every row of the task, on the scale that the encoder learnt in training."""
        assert self._opened is not None
        places, reader = self._opened.model.evidence, reader_for(self._opened, task.store)
        inputs = [name for name in places if name in task.store.inputs]
        asked = [task.rows, *(task.last_rows[n] for n in inputs), *(task.first_rows[n] for n in inputs)]
        read = np.unique(np.concatenate(asked))
        read = read[read >= 0]
        known = evidence(self._opened.model, reader, read).astype(np.float64)

        def at(rows: Int[np.ndarray, " rows"], name: str) -> Float[np.ndarray, "rows features"]:
            values = known[np.searchsorted(read, np.maximum(rows, read[0]))][:, places[name]]
            return np.where((rows >= 0)[:, None], values, 0.0)

        parts = {name: at(task.last_rows[name], name) for name in inputs}
        change = [parts[name] - at(task.first_rows[name], name) for name in inputs]
        everything = np.concatenate(list(parts.values()), axis=1)
        return {
            **{name: at(task.rows, name) for name in (EMBEDDING, RELATIVE, KERNEL) if name in places},
            **(parts if len(parts) > 1 else {}),
            "all": everything,
            "history": np.concatenate([everything, *change], axis=1),
        }


def landmark_stack(overrides: Sequence[str] = (), *, checkpoint: Path | None = None) -> LandmarkStack:
    """The method; ``overrides`` are key=value of the training config. Without a ``checkpoint`` each fold pretrains.

    Raises:
        InputError: The checkpoint does not open, or an override names no key.
    """
    return LandmarkStack(name=NAME, encoders=make_encoders(overrides, checkpoint=checkpoint), adaptation={})
