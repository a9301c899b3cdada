"""One participant's way through time, for a report: observed values, and the path of the pretrained state."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from omicsfm.data.splits import Split
from omicsfm.errors import InputError
from omicsfm.evaluation.forecast.task import ForecastTask
from omicsfm.evaluation.predictions import write_parquet
from omicsfm.evaluation.pretrained import Encoders
from omicsfm.inference import evidence, reader_for
from omicsfm.seeding import derive

FILE = "trajectory.parquet"
OTHERS = 1000
"""Visits of training participants that the path is drawn among, at most."""


def write_path(task: ForecastTask, encoders: Encoders, person: str, *, split: Split, seed: int, out: Path) -> None:
    """Write OUT/trajectory.parquet: ``participant_id`` (empty for others), ``visit``, ``time_days``, ``observed``, and
    ``x``, ``y``: the first two principal components of the state among training participants, by an encoder that has
    not seen this one.

    Raises:
        InputError: Nothing is forecast of such a participant, or the split does not test it.
    """
    place = np.flatnonzero(task.participant_ids == person)
    if not len(place):
        raise InputError(f"--person {person}: no visit of such a participant is forecast.")
    train, fold_seed = _fold_of(task, split, int(place[0]), person, seed)
    opened = encoders.of_fold(task, train, seed=fold_seed)
    visits, ids = task.store.visits, task.store.visits["participant_id"].astype(str).to_numpy(dtype=str)
    own = task.histories.order[ids[task.histories.order] == person]
    others = np.flatnonzero(np.isin(ids, task.participant_ids[train]))
    if len(others) > OTHERS:
        others = np.sort(np.random.default_rng(derive(seed, "others")).choice(others, OTHERS, replace=False))
    places = opened.model.evidence
    state = places.get("trajectory", places["embedding"])
    reader = reader_for(opened, task.store)
    among, path = (evidence(opened.model, reader, rows)[:, state].astype(np.float64) for rows in (others, own))
    axes = _principal_axes(among)
    rows = np.concatenate([others, own])
    table = visits.iloc[rows][["visit", "time_days"]].astype({"visit": str}).reset_index(drop=True)
    table.insert(0, "participant_id", [""] * len(others) + [person] * len(own))
    table["observed"] = np.where(table["participant_id"] == person, task.known[rows], np.nan)
    table[["x", "y"]] = (np.concatenate([among, path]) - among.mean(axis=0)) @ axes
    write_parquet(table, out / FILE)


def _fold_of(task: ForecastTask, split: Split, place: int, person: str, seed: int) -> tuple[np.ndarray, int]:
    """The training rows and the seed of the first fold that tests the participant."""
    for repeat, fold in split.folds():
        train, test = split.masks(task.visits, repeat, fold)
        if test[place]:
            return np.flatnonzero(train), derive(seed, "fold", repeat, fold)
    raise InputError(f"--person {person}: the split tests this participant in no fold.")


def _principal_axes(state: Float[np.ndarray, "visits state"]) -> Float[np.ndarray, "state two"]:
    return np.linalg.svd(state - state.mean(axis=0), full_matrices=False)[2][:2].T
