"""What flexynesis is given of a fold, and how its predictions come back."""

import numpy as np
import pandas as pd

from benchmarks.flexynesis_data import positions, read_predictions, write_fold
from omicsfm.evaluation.benchmark import folds_for
from omicsfm.evaluation.task import make_task


def test_a_folder_holds_the_visits_of_the_fold_on_a_logarithm_and_nothing_of_the_test_in_training(
    simulated_store, tmp_path
) -> None:
    task = make_task(simulated_store, "severity")
    split = folds_for(task, repeats=1, folds=4, seed=0)
    train, test = positions(task, split, 0, 1)
    write_fold(task, ["proteome", "metabolome"], train, test, tmp_path)
    columns = {}
    for part, rows in (("train", train), ("test", test)):
        truth = pd.read_csv(tmp_path / part / "clin.csv", index_col=0)
        columns[part] = set(truth.index)
        assert truth["outcome"].tolist() == [task.target.classes[k] for k in task.target[rows].class_id]
        for layer in ("proteome", "metabolome"):
            values = pd.read_csv(tmp_path / part / f"{layer}.csv", index_col=0)
            assert list(values.columns) == list(truth.index)
            assert len(values) == len(simulated_store.modalities[layer].features)
    assert not columns["train"] & columns["test"]
    raw = simulated_store.modalities["metabolome"].read(task.rows[train])[0].T
    written = pd.read_csv(tmp_path / "train" / "metabolome.csv", index_col=0).to_numpy()
    known = ~np.isnan(raw)
    np.testing.assert_allclose(written[known], np.log2(raw[known]), rtol=1e-4)


def test_predictions_come_back_to_their_visits_and_classes_in_any_order(simulated_store, tmp_path, rng) -> None:
    task = make_task(simulated_store, "severity")
    split = folds_for(task, repeats=1, folds=4, seed=0)
    _, test = positions(task, split, 0, 0)
    classes = task.target.classes
    share = rng.dirichlet(np.ones(len(classes)), size=len(test))
    said = [
        {"sample_id": f"v{visit}", "class_label": label, "probability": share[row, place], "split": "test"}
        for row, visit in enumerate(test)
        for place, label in enumerate(classes)
    ]
    file = tmp_path / "job.predicted_labels.csv"
    pd.DataFrame(said).sample(frac=1, random_state=0).to_csv(file, index=False)
    found = read_predictions(file, task, test, repeat=0, fold=0)
    np.testing.assert_allclose(found[[f"p_{label}" for label in classes]].to_numpy(), share, atol=1e-12)
    assert found["participant_id"].tolist() == task.participant_ids[test].tolist()
