"""A checkpoint tested on a cohort: whom it may be tested on, what must fit, and what is written."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from omicsfm.checkpoint import Checkpoint, hash_participants, load_checkpoint, save_checkpoint
from omicsfm.contracts import OutcomeSpec
from omicsfm.data.folds import make_split
from omicsfm.data.splits import Split
from omicsfm.data.store import Matrix, OmicsStore, write_store
from omicsfm.errors import InputError
from omicsfm.evaluation.embed import embedding_data, require_writable
from omicsfm.evaluation.evaluate import METHOD, evaluate
from omicsfm.evaluation.output import require_own, staged
from omicsfm.evaluation.predictions import read_curves, read_prediction, read_truth
from omicsfm.evaluation.scoring import score_predictions
from omicsfm.features import FeatureSpace
from omicsfm.metrics import metrics_for
from omicsfm.report import evaluation_report
from omicsfm.training.assemble import backbone_spec, build_model, fitted_transforms, head_spec
from omicsfm.training.main import compose

Opened = tuple[Checkpoint, Split]
DRAWS = {"resamples": 40}


@pytest.fixture(scope="session")
def folder(small_store: OmicsStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with an untrained encoder and a head of random weights for every outcome, and its split.csv."""
    folder = tmp_path_factory.mktemp("checkpoint")
    split = make_split(small_store.visits, repeats=1, folds=3, seed=0)
    split.write(folder / "split.csv")
    train, _ = split.masks(small_store.visits, 0, 1)
    config = compose(["task=pretrain", "model=tiny", "kernel=none", f"data.store={small_store.path}", "run_dir=unused"])
    features = {name: matrix.features for name, matrix in small_store.modalities.items()}
    spec = backbone_spec(config, features)
    dim = build_model(spec, seed=0, purpose="size").evidence_dim
    outcomes = tuple(small_store.outcome_specs.values())
    rows = np.flatnonzero(train & small_store.outcomes.notna().all(axis=1).to_numpy())
    spec["heads"] = {one.name: head_spec(config, small_store, one, rows, dim) for one in outcomes}
    model = build_model(spec, seed=0, purpose="weights")
    with torch.no_grad():
        for head in model.heads.values():
            head.linear.weight.normal_(std=0.3)
        cox = model.heads["death"]
        cox.baseline_time_days.copy_(torch.linspace(10, 2000, 64))
        cox.baseline_cumulative_hazard.copy_(torch.linspace(0.01, 1.5, 64))
    people = sorted(small_store.visits["participant_id"].iloc[rows].unique())
    save_checkpoint(
        folder / "checkpoint",
        model=model,
        model_spec=spec,
        features=features,
        transforms=fitted_transforms(small_store, rows),
        outcomes=outcomes,
        provenance={
            "stores": [
                {"name": "small", "fingerprint": small_store.fingerprint, "participants": 40, "visits": len(rows)}
            ],
            "participants": [{"people": "small", "salt": "s", "sha256": hash_participants(people, "s")}],
            "split": {"sha256": split.sha256, "repeat": 0, "fold": 1},
        },
    )
    return folder


@pytest.fixture(scope="session")
def opened(folder: Path) -> Opened:
    return load_checkpoint(folder / "checkpoint"), Split.read(folder / "split.csv")


def copied(
    store: OmicsStore,
    path: Path,
    *,
    order: np.ndarray | None = None,
    specs: dict[str, OutcomeSpec] | None = None,
    outcomes: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table,
    visits: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table,
    features: Callable[[FeatureSpace], FeatureSpace | None] = lambda space: space,
    policy: dict[str, int] | None = None,
) -> OmicsStore:
    """The store written again: rows in another order, or a part of it changed; a modality whose features are None
    is left out.
    """
    order = np.arange(len(store)) if order is None else order
    matrices = {}
    for matrix in store.modalities.values():
        space = features(matrix.features)
        if space is not None:
            rows = np.flatnonzero(np.isin(order, matrix.rows))
            matrices[space.modality] = Matrix(space, rows, matrix.read(order[rows])[0])
    return write_store(
        path,
        name="copy",
        visits=visits(store.visits.iloc[order].reset_index(drop=True)),
        outcomes=outcomes(store.outcomes.iloc[order].reset_index(drop=True)),
        outcome_specs={**store.outcome_specs, **(specs or {})},
        matrices=matrices,
        policy=policy,
    )


@pytest.mark.parametrize("outcome", ["ill", "score", "death"])
def test_every_metric_recomputes_exactly_from_the_written_predictions(
    outcome: str, small_store: OmicsStore, opened: Opened, tmp_path: Path
) -> None:
    evaluation = evaluate(opened[0], small_store, outcome, split=opened[1], **DRAWS)
    evaluation.write(tmp_path)
    written = json.loads((tmp_path / "metrics.json").read_text())
    table = pd.read_parquet(tmp_path / "predictions.parquet")
    spec = evaluation.task.outcome
    assert written["methods"] == score_predictions(table, spec, linear=(), seed=0, **DRAWS)["methods"]
    for name, metric in metrics_for(read_truth(table, spec)).items():
        given = read_curves(table) if metric.needs_curves else read_prediction(table, spec)
        if metric.needs_curves:
            days = written["counts"]["brier_grid_days"]
            place = [int(np.flatnonzero(given.times_days == day)[0]) for day in days]
            given = replace(given, times_days=np.array(days), probability=given.probability[:, place])
        assert written["methods"][METHOD]["metrics"][name]["value"] == metric(read_truth(table, spec), given)


def test_the_metrics_named_in_the_contract_are_there(small_store: OmicsStore, opened: Opened) -> None:
    promised = {
        "ill": {"auroc", "auprc", "brier", "log_loss", "calibration_slope", "calibration_intercept"},
        "score": {"r2", "rmse", "spearman"},
        "death": {"harrell_c", "uno_c", "integrated_brier"},
    }
    for outcome, names in promised.items():
        metrics = evaluate(opened[0], small_store, outcome, split=opened[1], **DRAWS).metrics
        assert names <= set(metrics["methods"][METHOD]["metrics"])
        assert metrics["checkpoint"]["digest"] == opened[0].provenance["digest"]
        assert metrics["provenance"]["store_fingerprint"] == small_store.fingerprint


def test_with_a_split_the_test_participants_of_the_checkpoints_own_fold_are_tested(
    small_store: OmicsStore, opened: Opened
) -> None:
    checkpoint, split = opened
    predictions = evaluate(checkpoint, small_store, "ill", split=split, **DRAWS).predictions
    fold = split.table[split.table["fold"] == 1]
    assert set(predictions["participant_id"]) == set(fold["participant_id"])
    assert set(zip(predictions["repeat"], predictions["fold"], strict=True)) == {(0, 1)}


def test_without_a_split_the_people_it_saw_are_left_out(small_store: OmicsStore, opened: Opened) -> None:
    evaluation = evaluate(opened[0], small_store, "ill", **DRAWS)
    people = evaluation.predictions["participant_id"].unique().tolist()
    assert not any(opened[0].saw(people))
    everybody = small_store.visits["participant_id"].unique().tolist()
    assert len(people) + evaluation.metrics["tested"]["excluded_participants"] == len(everybody)


def test_people_of_an_earlier_training_under_another_salt_count_as_seen(
    small_store: OmicsStore, opened: Opened
) -> None:
    everybody = small_store.visits["participant_id"].unique().tolist()
    earlier = {"people": "small", "salt": "t", "sha256": hash_participants(everybody, "t")}
    older = {**opened[0].provenance, "participants": [*opened[0].provenance["participants"], earlier]}
    with pytest.raises(InputError, match=r"saw all 60 .*Give --split"):
        evaluate(replace(opened[0], provenance=older), small_store, "ill")


def test_another_split_is_refused(small_store: OmicsStore, opened: Opened) -> None:
    other = make_split(small_store.visits, repeats=1, folds=3, seed=1)
    with pytest.raises(InputError, match="not the split that the checkpoint was trained with"):
        evaluate(opened[0], small_store, "ill", split=other)


def test_a_split_that_nothing_vouches_for_tests_nobody_whom_the_checkpoint_saw(
    small_store: OmicsStore, opened: Opened
) -> None:
    silent = replace(opened[0], provenance={**opened[0].provenance, "split": {}})
    other = make_split(small_store.visits, repeats=1, folds=3, seed=1)
    evaluation = evaluate(silent, small_store, "ill", split=other, **DRAWS)
    assert not any(silent.saw(evaluation.predictions["participant_id"].unique().tolist()))
    assert evaluation.metrics["tested"]["excluded_participants"] > 0


def test_tested_people_whose_measurements_pretraining_saw_are_a_caution(
    small_store: OmicsStore, opened: Opened
) -> None:
    everybody = small_store.visits["participant_id"].unique().tolist()
    known = [{"people": "small", "salt": "s", "sha256": hash_participants(everybody, "s")}]
    evaluation = evaluate(
        replace(opened[0], provenance={**opened[0].provenance, "participants": known}),
        small_store,
        "ill",
        split=opened[1],
        **DRAWS,
    )
    assert any("of 20 of 20 tested" in caution for caution in evaluation.metrics["cautions"])


def test_the_order_of_the_stores_rows_does_not_change_a_visits_prediction(
    small_store: OmicsStore, opened: Opened, tmp_path: Path, rng: np.random.Generator
) -> None:
    shuffled = copied(small_store, tmp_path / "shuffled", order=rng.permutation(len(small_store)))
    key = ["participant_id", "visit"]
    one, other = (
        evaluate(opened[0], store, "score", split=opened[1], **DRAWS).predictions.set_index(key).sort_index()["y_pred"]
        for store in (small_store, shuffled)
    )
    pd.testing.assert_series_equal(one, other, rtol=1e-5, atol=1e-5)


def test_a_modality_the_store_lacks_counts_as_missing_and_is_said(
    small_store: OmicsStore, opened: Opened, tmp_path: Path
) -> None:
    one = copied(small_store, tmp_path / "one", features=lambda s: s if s.modality == "proteome" else None)
    evaluation = evaluate(opened[0], one, "score", split=opened[1], **DRAWS)
    assert evaluation.metrics["features"]["metabolome"]["matched"] == 0
    assert evaluation.metrics["features"]["proteome"] == {
        "known": 15, "matched": 15, "share": 1.0, "unknown": 0, "mapped": 0, "ambiguous": 0, "repeated": 0,
        "measured_share": pytest.approx(0.95, abs=0.03),
    }  # fmt: skip
    assert any("metabolome: the store does not have it" in warning for warning in evaluation.warnings)


def test_local_ids_taken_for_the_same_in_another_cohort_are_a_warning(
    small_store: OmicsStore, opened: Opened, tmp_path: Path
) -> None:
    own = evaluate(opened[0], small_store, "score", split=opened[1], **DRAWS)
    other = evaluate(opened[0], copied(small_store, tmp_path / "copy"), "score", split=opened[1], **DRAWS)
    assert not own.warnings
    assert any("proteome: its ids are in namespace local" in warning for warning in other.warnings)


def test_no_shared_modality_is_refused(small_store: OmicsStore, opened: Opened, tmp_path: Path) -> None:
    def renamed(space: FeatureSpace) -> FeatureSpace | None:
        return replace(space, modality="immunome") if space.modality == "proteome" else None

    with pytest.raises(InputError, match="has no modality that the checkpoint knows"):
        evaluate(opened[0], copied(small_store, tmp_path / "other", features=renamed), "ill")


def test_too_few_shared_features_are_refused_with_how_many(
    small_store: OmicsStore, opened: Opened, tmp_path: Path
) -> None:
    def renamed(space: FeatureSpace) -> FeatureSpace:
        return replace(space, ids=tuple(f"{i}x" if place > 2 else i for place, i in enumerate(space.ids)))

    with pytest.raises(InputError, match=r"knows 15 features.*shares 3 of them"):
        evaluate(opened[0], copied(small_store, tmp_path / "other", features=renamed), "ill")


def test_another_scale_is_refused(small_store: OmicsStore, opened: Opened, tmp_path: Path) -> None:
    def declared(space: FeatureSpace) -> FeatureSpace:
        return replace(space, scale="raw")

    with pytest.raises(InputError, match=r"proteome: .*in scale log2; .*in raw.*prepare it without that modality"):
        evaluate(opened[0], copied(small_store, tmp_path / "other", features=declared), "ill")


def test_an_outcome_without_a_head_is_refused(small_store: OmicsStore, opened: Opened) -> None:
    bare = replace(opened[0], outcomes=opened[0].outcomes[:1])
    with pytest.raises(InputError, match=r"no head for outcome 'score' \(heads: ill\)"):
        evaluate(bare, small_store, "score")


def test_another_kind_of_outcome_is_refused(small_store: OmicsStore, opened: Opened, tmp_path: Path) -> None:
    graded = copied(
        small_store,
        tmp_path / "graded",
        specs={"ill": OutcomeSpec("ill", "quantity")},
        outcomes=lambda table: table.assign(ill=1.0),
    )
    with pytest.raises(InputError, match=r"the checkpoint predicts a class, .* has a quantity"):
        evaluate(opened[0], graded, "ill")


def test_a_class_the_head_does_not_know_is_refused(small_store: OmicsStore, opened: Opened, tmp_path: Path) -> None:
    spelled = copied(
        small_store,
        tmp_path / "spelled",
        specs={"ill": OutcomeSpec("ill", "class", "visit", ("No", "Yes"))},
        outcomes=lambda table: table.assign(ill=table["ill"].str.title()),
    )
    with pytest.raises(InputError, match=r"class 'No', which the checkpoint cannot predict; it knows no, yes"):
        evaluate(opened[0], spelled, "ill")


def test_classes_in_another_order_are_scored_alike(small_store: OmicsStore, opened: Opened, tmp_path: Path) -> None:
    turned = copied(
        small_store, tmp_path / "turned", specs={"ill": OutcomeSpec("ill", "class", "visit", ("yes", "no"))}
    )
    one, other = (evaluate(opened[0], store, "ill", split=opened[1], **DRAWS) for store in (small_store, turned))
    for name, score in one.metrics["methods"][METHOD]["metrics"].items():
        assert other.metrics["methods"][METHOD]["metrics"][name]["value"] == pytest.approx(score["value"], abs=1e-6)


def test_one_class_in_the_test_set_gives_null_and_a_note(
    small_store: OmicsStore, opened: Opened, tmp_path: Path
) -> None:
    healthy = copied(
        small_store,
        tmp_path / "healthy",
        specs={"ill": OutcomeSpec("ill", "class", "visit", ("no",))},
        outcomes=lambda table: table.assign(ill="no"),
    )
    evaluation = evaluate(opened[0], healthy, "ill", split=opened[1], **DRAWS)
    scores = evaluation.metrics["methods"][METHOD]["metrics"]
    assert scores["auroc"] == {"value": None, "low": None, "high": None}
    assert scores["brier"]["value"] > 0
    assert any("auroc" in note and "Every tested visit is 'no'" in note for note in evaluation.metrics["notes"])
    evaluation.write(tmp_path)
    assert "not defined" in evaluation_report(tmp_path).read_text()


def test_no_event_in_the_test_set_gives_null_and_a_note(
    small_store: OmicsStore, opened: Opened, tmp_path: Path
) -> None:
    alive = copied(small_store, tmp_path / "alive", outcomes=lambda table: table.assign(**{"death.event": 0.0}))
    evaluation = evaluate(opened[0], alive, "death", split=opened[1], **DRAWS)
    assert evaluation.metrics["methods"][METHOD]["metrics"]["harrell_c"]["value"] is None
    assert any("No event was seen" in note for note in evaluation.metrics["notes"])
    evaluation.write(tmp_path)
    evaluation_report(tmp_path)


def test_small_subgroups_have_no_number_at_all(small_store: OmicsStore, opened: Opened, tmp_path: Path) -> None:
    grouped = copied(
        small_store,
        tmp_path / "grouped",
        visits=lambda table: table.assign(
            hand=np.where(table["participant_id"].isin(sorted(table["participant_id"].unique())[::8]), "left", "right")
        ),
        policy={"min_cell_count": 5},
    )
    evaluation = evaluate(opened[0], grouped, "ill", split=opened[1], subgroups=["hand", "site"], **DRAWS)
    rows = pd.DataFrame(evaluation.metrics["subgroups"])
    left, right = rows[(rows["level"] == "left")], rows[(rows["level"] == "right") & (rows["metric"] == "auroc")]
    assert left[["participants", "value", "low", "high"]].isna().all(axis=None)
    assert len(left) == 1
    assert right["participants"].isna().all()  # it and the total would tell the other
    assert right["value"].notna().all()
    assert (rows.loc[rows["variable"] == "site", "participants"] >= 5).all()
    evaluation.write(tmp_path)
    page = evaluation_report(tmp_path, min_cell_count=5).read_text()
    assert "&lt;5" in page
    assert "hand: right" in page


def test_a_subgroup_column_that_is_not_there_or_no_group_is_refused(small_store: OmicsStore, opened: Opened) -> None:
    with pytest.raises(InputError, match=r"no column 'sit'; did you mean 'site'"):
        evaluate(opened[0], small_store, "ill", subgroups=["sit"])
    with pytest.raises(InputError, match="'participant_id' has 60 different values"):
        evaluate(opened[0], small_store, "ill", subgroups=["participant_id"])


def test_a_perfect_score_is_called_no_certainty(small_store: OmicsStore, opened: Opened, tmp_path: Path) -> None:
    first = evaluate(opened[0], small_store, "ill", split=opened[1], **DRAWS).predictions
    sick = first.set_index(["participant_id", "visit"])["p_yes"] > first["p_yes"].median()

    def as_predicted(table: pd.DataFrame) -> pd.DataFrame:
        keys = list(zip(small_store.visits["participant_id"], small_store.visits["visit"], strict=True))
        return table.assign(ill=["yes" if sick.get(key, False) else "no" for key in keys])

    perfect = copied(small_store, tmp_path / "perfect", outcomes=as_predicted)
    cautions = evaluate(opened[0], perfect, "ill", split=opened[1], **DRAWS).metrics["cautions"]
    assert any("not certainty" in caution for caution in cautions)


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "features.parquet",
        "transforms.safetensors",
        "model.safetensors",
        "MODEL_CARD.md",
        "provenance.json",
    ],
)
def test_a_flipped_byte_anywhere_is_refused_naming_the_file(name: str, folder: Path, tmp_path: Path) -> None:
    source = folder / "checkpoint"
    for file in source.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    whole = (source / name).read_bytes()
    for place in np.linspace(0, len(whole) - 1, 25).astype(int):
        spoiled = bytearray(whole)
        spoiled[place] ^= 1
        (tmp_path / name).write_bytes(spoiled)
        with pytest.raises(InputError, match=name):
            load_checkpoint(tmp_path)


def test_a_newer_format_and_a_folder_that_is_no_checkpoint_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a checkpoint"):
        load_checkpoint(tmp_path)
    record = json.loads((folder / "checkpoint" / "provenance.json").read_text())
    (tmp_path / "provenance.json").write_text(json.dumps({**record, "schema": 99}))
    with pytest.raises(InputError, match=r"format 99; .*Update omicsfm"):
        load_checkpoint(tmp_path)


def test_out_with_other_content_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("my only copy")
    with pytest.raises(InputError, match=r"holds something else.*thesis\.docx"):
        require_own(tmp_path)
    (tmp_path / "metrics.json").write_text(json.dumps({"methods": {}}))  # a benchmark's
    with pytest.raises(InputError, match="holds something else"):
        require_own(tmp_path)


def test_an_earlier_evaluation_is_replaced_whole_and_other_files_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with staged(out) as partial:
        (partial / "metrics.json").write_text('{"what": "evaluation"}')
        (partial / "embedding.parquet").write_text("old")
    (out / "notes.txt").write_text("mine")
    with staged(out) as partial:
        (partial / "metrics.json").write_text('{"what": "evaluation", "new": 1}')
    assert sorted(file.name for file in out.iterdir()) == ["metrics.json", "notes.txt"]
    assert "new" in (out / "metrics.json").read_text()


def test_a_failure_leaves_nothing_half_written(tmp_path: Path) -> None:
    def fail() -> None:
        with staged(tmp_path / "out") as partial:
            (partial / "metrics.json").write_text("{}")
            raise InputError("stop")

    with pytest.raises(InputError, match="stop"):
        fail()
    assert not list(tmp_path.iterdir())


def test_an_embedding_has_a_row_for_every_visit_and_says_where_it_comes_from(
    small_store: OmicsStore, opened: Opened
) -> None:
    data = embedding_data(opened[0], small_store)
    assert data.shape == (len(small_store), 64)
    assert data.obs["participant_id"].tolist() == small_store.visits["participant_id"].tolist()
    assert data.obs["time_days"].tolist() == small_store.visits["time_days"].tolist()
    measured = np.isin(np.arange(len(small_store)), small_store.modalities["metabolome"].rows)
    np.testing.assert_array_equal(data.obs["measured_metabolome"], measured)
    assert data.uns["omicsfm"]["checkpoint"] == opened[0].provenance["digest"]
    assert data.uns["omicsfm"]["store_fingerprint"] == small_store.fingerprint


def test_a_file_that_is_no_embedding_of_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "other.h5ad").write_bytes(b"somebody's data")
    with pytest.raises(InputError, match="is not an embedding by omicsfm"):
        require_writable(tmp_path / "other.h5ad")
    with pytest.raises(InputError, match=r"written as \.h5ad"):
        require_writable(tmp_path / "other.csv")


def test_an_out_that_cannot_be_written_is_said_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"), staged(tmp_path / "file" / "out"):
        pytest.fail("got this far")
