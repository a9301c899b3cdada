"""Folds of a task as the folders that flexynesis reads: train/ and test/, a CSV a layer with a column a visit.

Values are omicsfm's before it standardises them: logarithms by the declared scale, fitted to training visits.
Flexynesis selects features, fills gaps and scales by itself.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from omicsfm.data.splits import Split
from omicsfm.data.transforms.scales import to_model_scale
from omicsfm.evaluation.predictions import prediction_rows
from omicsfm.evaluation.task import Task
from omicsfm.metrics.targets import ClassTarget, SurvivalTarget


def positions(task: Task, split: Split, repeat: int, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and test visits of a fold, as positions in the task's rows."""
    train, test = (np.flatnonzero(mask) for mask in split.masks(task.visits, repeat, fold))
    return train, test


def write_fold(task: Task, layers: list[str], train: np.ndarray, test: np.ndarray, folder: Path) -> None:
    """Write ``folder/train`` and ``folder/test``; visits are named v0, v1, ... by their position."""
    for part in ("train", "test"):
        (folder / part).mkdir(parents=True)
    for layer in layers:
        matrix = task.store.modalities[layer]
        scale = to_model_scale(matrix.features.scale).fit(matrix.read(task.rows[train])[0])
        names = [f"{layer}_{place}" for place in range(len(matrix.features))]
        for part, rows in (("train", train), ("test", test)):
            values = scale(matrix.read(task.rows[rows])[0])
            pd.DataFrame(values.T, index=names, columns=_names(rows)).to_csv(folder / part / f"{layer}.csv")
    for part, rows in (("train", train), ("test", test)):
        _outcome(task, rows).to_csv(folder / part / "clin.csv")


def read_predictions(file: Path, task: Task, test: np.ndarray, *, repeat: int, fold: int) -> pd.DataFrame:
    """What flexynesis predicted for the test visits, as rows of a predictions.parquet."""
    said = pd.read_csv(file)
    said = said[said["split"] == "test"]
    if isinstance(task.target, ClassTarget):
        wide = said.pivot(index="sample_id", columns="class_label", values="probability")
        predicted = wide.loc[_names(test), list(task.target.classes)].to_numpy(dtype=np.float64)
    else:
        predicted = said.set_index("sample_id").loc[_names(test), "predicted_label"].to_numpy(dtype=np.float64)
    return prediction_rows(task, test, predicted, method="flexynesis", repeat=repeat, fold=fold)


def _outcome(task: Task, rows: np.ndarray) -> pd.DataFrame:
    truth = task.target[rows]
    if isinstance(truth, SurvivalTarget):
        columns = {"time": truth.time_days, "event": truth.event.astype(int)}
    else:
        assert isinstance(truth, ClassTarget)
        columns = {"outcome": [truth.classes[k] for k in truth.class_id]}
    return pd.DataFrame(columns, index=_names(rows))


def _names(rows: np.ndarray) -> list[str]:
    return [f"v{place}" for place in rows]
