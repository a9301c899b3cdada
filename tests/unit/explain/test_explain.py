"""From models and a store to a table of features: averages over people, over models, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.splits import Split
from omicsfm.errors import InputError
from omicsfm.evaluation.benchmark import folds_for
from omicsfm.evaluation.pretrained import pretrained_methods
from omicsfm.evaluation.task import make_task
from omicsfm.explain.checkpoints import explain_checkpoints
from omicsfm.explain.folds import explain_folds
from omicsfm.explain.importance import Explained, Importance
from omicsfm.explain.output import require_place
from omicsfm.explain.summary import summarise
from omicsfm.features import FeatureSpace
from omicsfm.placement import Meaning
from omicsfm.training.finetune import finetune
from omicsfm.training.main import compose
from omicsfm.training.pretrain import pretrain

TINY = ("model=tiny", "model.dim=8", "model.num_latents=2", "task.epochs=1", "logger=none")
BMI = OutcomeSpec("bmi", "quantity")


def importance(total, name="a", ids=("P1", "P2", "P2"), features=("P00001", "P00002")) -> Importance:
    """An importance made by hand of attributions [visits, features]."""
    total = np.asarray(total, dtype=np.float32)
    values = np.ones_like(total)
    explained = Explained(np.array(ids), values, values > 0)
    sizes = explained.mean(total)[None]
    return Importance(
        name=name,
        spaces=(FeatureSpace("proteome", tuple(features), "uniprot"),),
        outputs=("bmi",),
        explained=explained,
        total=total[None],
        mean_absolute=sizes,
        slope=explained.slope(total)[None],
        embedding=0.25 * sizes,
        beside=0.75 * sizes,
        gap=0.0,
    )


def summed(models, store, number=1):
    return summarise(models, BMI, store=store, number=number, whom="all")


def test_a_participant_counts_once_however_many_visits(simulated_store) -> None:
    once = summed([importance([[1, 0], [3, 0], [5, 0]])], simulated_store).table.set_index("feature_id")
    assert once.loc["P00001", "importance"] == pytest.approx((1 + (3 + 5) / 2) / 2)


def test_what_models_attribute_with_opposite_signs_is_not_important_to_their_mean(simulated_store) -> None:
    up, down = importance([[2, 1]] * 3), importance([[-2, 1]] * 3, name="b")
    found = summed([up, down], simulated_store)
    table = found.table.set_index("feature_id")
    assert table.loc["P00001", "importance"] == 0
    assert table.loc["P00001", "mean_abs_ig"] == 2
    assert table.loc["P00002", "importance"] == 1
    assert table.loc["P00002", "direction"] == 1
    assert table.loc["P00002", "direction_agreement"] == 1
    assert found.record["stability"]["bmi"]["embedding_share"] == pytest.approx(0.25)


def test_models_that_read_different_features_are_not_put_side_by_side(simulated_store) -> None:
    other = importance([[2, 1]] * 3, name="other", features=("P00001", "P00009"))
    with pytest.raises(InputError, match="other and a read different features"):
        summed([importance([[2, 1]] * 3), other], simulated_store)


class Named:
    """A translator that knows one protein."""

    def translate(self, ids, source, target):
        assert (source, target) == ("uniprot", "protein_symbol")
        return [Meaning(("TNF",)) if feature == "P00002" else Meaning() for feature in ids]


def test_a_table_of_identifiers_names_the_features(simulated_store) -> None:
    matrix = simulated_store.modalities["proteome"]
    features = matrix.features
    try:
        matrix.features = replace(features, translator=Named())
        table = summed([importance([[1, 0]] * 3)], simulated_store).table.set_index("feature_id")
    finally:
        matrix.features = features
    assert table["name"].to_dict() == {"P00001": "P00001", "P00002": "TNF"}


@pytest.fixture(scope="module")
def models(simulated_store, tmp_path_factory):
    """Two models of bmi that differ in their seed, and the split whose fold 0 neither saw."""
    folder = tmp_path_factory.mktemp("models")
    task = make_task(simulated_store, "bmi")
    split = folds_for(task, repeats=1, folds=3, seed=0)
    split.write(folder / "split.csv")
    train = np.flatnonzero(split.masks(simulated_store.visits, 0, 0)[0])
    from omicsfm.checkpoint import load_checkpoint

    record = {"sha256": split.sha256, "repeat": 0, "fold": 0, "kept_together": []}
    for seed in (0, 1):
        config = compose(["run_dir=none", "data.store=none", "task=pretrain", *TINY, f"seed={seed}"])
        pretrain(
            simulated_store, rows=train, config=config, directory=folder / f"pretrained{seed}", split_record=record
        )
        config = compose(["run_dir=none", "data.store=none", "task=finetune", *TINY, f"seed={seed}"])
        finetune(
            simulated_store,
            checkpoint=load_checkpoint(folder / f"pretrained{seed}"),
            outcome=simulated_store.outcome("bmi"),
            rows=train,
            config=config,
            directory=folder / f"run{seed}" / "checkpoint",
            split_record=record,
        )
    return folder


def test_checkpoints_are_explained_on_the_people_whom_their_split_holds_out(models, simulated_store) -> None:
    split = Split.read(models / "split.csv")
    places = [models / "run0" / "checkpoint", models / "run1" / "checkpoint"]
    found = explain_checkpoints(places, simulated_store, "bmi", split=split, number=5)
    held_out = split.masks(simulated_store.visits, 0, 0)[1]
    assert found.record["participants"] <= simulated_store.visits["participant_id"][held_out].nunique()
    assert found.record["models"] == ["run0", "run1"]
    assert found.record["completeness_gap"] < 0.01
    features = sum(len(matrix.features) for matrix in simulated_store.inputs.values())
    assert len(found.table) == found.record["features"] == features
    assert found.table["share"].sum() == pytest.approx(1.0)
    assert found.table["importance"].is_monotonic_decreasing
    everybody = explain_checkpoints(places, simulated_store, "bmi", number=5)
    assert everybody.record["participants"] > found.record["participants"]


def test_an_average_over_too_few_people_is_refused(models, simulated_store) -> None:
    with pytest.raises(InputError, match="4 participants to explain; an average over fewer than 10"):
        explain_checkpoints([models / "run0" / "checkpoint"], simulated_store, "bmi", most=4)


def test_an_outcome_without_a_head_is_refused(models, simulated_store) -> None:
    with pytest.raises(InputError, match="no head for outcome 'death'"):
        explain_checkpoints([models / "run0" / "checkpoint"], simulated_store, "death")


def test_each_fold_of_a_split_gives_one_model(simulated_store) -> None:
    task = make_task(simulated_store, "severity")
    (method,) = pretrained_methods(["omicsfm"], overrides=[*TINY, "task.validation_fraction=0.3"]).values()
    split = folds_for(task, repeats=1, folds=2, seed=0)
    found = explain_folds(task, method, split, number=5, most=20)
    assert found.record["models"] == ["repeat 0, fold 0", "repeat 0, fold 1"]
    assert found.record["participants"] == 20
    assert set(found.record["outputs"]) == set(found.table["output"])


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"thesis.docx": "x"}, "holds something else"),
        ({"metrics.json": '{"cohort": "other", "outcome": "bmi"}'}, "results of other, outcome 'bmi'"),
        ({"metrics.json": "{"}, "cannot be read"),
    ],
)
def test_a_folder_of_something_else_is_left_alone(tmp_path, files, said) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        require_place(tmp_path, cohort="own", outcome="bmi")


def test_the_folder_of_the_results_that_are_explained_is_welcome(tmp_path) -> None:
    require_place(tmp_path / "new", cohort="own", outcome="bmi")
    (tmp_path / "metrics.json").write_text('{"cohort": "own", "outcome": "bmi"}')
    require_place(tmp_path, cohort="own", outcome="bmi")
