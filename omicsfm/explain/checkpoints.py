"""Trained models, explained on a store."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from omicsfm.checkpoint import Checkpoint, load_checkpoint
from omicsfm.contracts import OutcomeSpec
from omicsfm.data.splits import Split
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError
from omicsfm.evaluation.evaluate import matching_outcome
from omicsfm.evaluation.matching import match_features
from omicsfm.evaluation.task import predicted_rows
from omicsfm.evaluation.tested import held_out_visits
from omicsfm.explain.importance import importance_of
from omicsfm.explain.people import require_enough, sampled
from omicsfm.explain.summary import Explanation, summarise
from omicsfm.inference import reader_for


def explain_checkpoints(
    directories: Sequence[Path],
    store: OmicsStore,
    outcome: str,
    *,
    split: Split | None = None,
    number: int = 25,
    most: int = 200,
    seed: int = 0,
) -> Explanation:
    """Explain each checkpoint on at most ``most`` participants: those that ``split``, the split of its training, holds
    out, or everybody. ``number`` is how many features of each are compared as a set.

    Raises:
        InputError: A checkpoint and the store do not fit, two checkpoints do not, or too few people are left.
    """
    opened = [(_named(directory), load_checkpoint(directory)) for directory in directories]
    spec, rows = explained_rows(opened[0][1], store, outcome, split)
    for name, checkpoint in opened[1:]:
        if not np.array_equal(explained_rows(checkpoint, store, outcome, split)[1], rows):
            raise InputError(
                f"{opened[0][0]} and {name} hold out, or can read, different people. Leave --split out to explain "
                "everybody, or explain them one at a time."
            )
    rows = sampled(store, rows, most=most, seed=seed)
    require_enough(store, rows)
    models = (importance_of(each.model, reader_for(each, store), rows, spec, name=name) for name, each in opened)
    whom = "everybody with the outcome" if split is None else "the people whom the split of the training held out"
    return summarise(models, spec, store=store, number=number, whom=whom)


def explained_rows(
    checkpoint: Checkpoint, store: OmicsStore, outcome: str, split: Split | None
) -> tuple[OutcomeSpec, Int[np.ndarray, " rows"]]:
    """The outcome, and the store rows at which it is known and predicted.

    Raises:
        InputError: Checkpoint and store do not fit in outcome or features, or the split is another one.
    """
    spec = matching_outcome(checkpoint, store, outcome)
    read = [name for name, entry in match_features(checkpoint, store).items() if entry["matched"]]
    everybody = np.ones(len(store), dtype=bool)
    among = everybody if split is None else held_out_visits(checkpoint, store, split).visits
    return spec, predicted_rows(store, spec, among=among, modalities=read)


def _named(directory: Path) -> str:
    """The run that a checkpoint is of."""
    directory = directory.resolve()
    return directory.parent.name if directory.name == "checkpoint" else directory.name
