"""The encoders of a forecast's folds, and which training participants each has not seen."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from omicsfm.evaluation.methods import Train
from omicsfm.evaluation.pretrained import Encoders, make_encoders
from omicsfm.evaluation.task import Task

DEFAULTS = ("objective=[masked_features,cross_modal,forecast]", "task.validation_fraction=0.2")
"""A fifth of the training participants chooses the best epoch, and how far the network is to be believed."""


def forecast_encoders(overrides: Sequence[str] = (), *, checkpoint: Path | None = None) -> Encoders:
    """Encoders pretrained to forecast too, unless one of the ``overrides`` says otherwise.

    Raises:
        InputError: The checkpoint does not open, or an override names no key.
    """
    return make_encoders([*DEFAULTS, *overrides], checkpoint=checkpoint)


def unseen(encoders: Encoders, task: Task, train: Train, *, seed: int) -> Bool[np.ndarray, " train"]:
    """Training rows of participants to whom the weights of the fold's encoder were not fitted.

    What a network forecasts of those it was fitted to looks better than it is, so that it cannot be weighed by them.
    """
    opened, visits = encoders.checkpoint, task.store.visits
    if opened is not None:
        return opened.untouched(visits, task.together, task.store.people)[task.rows[train]]
    from omicsfm.training.pretrain import to_train_and_choose

    tested = np.setdiff1d(task.participant_ids, task.participant_ids[train])
    rows = np.flatnonzero(task.readable(visits, tested))
    together = [name for name in task.together if name in visits]
    chosen = to_train_and_choose(task.store, rows, {**encoders.config, "seed": seed}, together).validation
    return np.isin(task.participant_ids[train], visits["participant_id"].astype(str).to_numpy(dtype=str)[chosen])
