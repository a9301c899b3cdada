"""The dry run: what it counts, and what it calls a problem."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.inspect import inspect
from omicsfm.data.inspect.cost import EPOCHS, MAX_FEATURES
from omicsfm.data.store import Matrix, OmicsStore, write_store
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace
from omicsfm.training.main import compose

GENES = tuple(f"ENSG{n:011d}" for n in range(10))
PROTEINS = ("IL6", "TNF", "CRP", "ALB")


def store(
    folder: Path, *, namespace: str = "protein_symbol", severe: tuple[str, ...] = ("no", "yes"), **changes: object
) -> OmicsStore:
    """Thirty visits of twenty people: genes at 24, proteins at 20, both at 14."""
    people = [f"P{n}" for n in range(20)] + [f"P{n}" for n in range(10)]
    visits = pd.DataFrame(
        {"participant_id": people, "visit": ["1"] * 20 + ["2"] * 10, "time_days": [0.0] * 20 + [90.0] * 10}
    )
    rng = np.random.default_rng(0)
    genes = rng.poisson(5, (24, 10)).astype(np.float32)
    proteins = rng.normal(5, 1, (20, 4)).astype(np.float32)
    proteins[:, 3] = np.nan
    below = np.zeros((20, 4), dtype=bool)
    below[0, :3] = True
    outcomes = pd.DataFrame(
        {
            "severe": pd.Series([severe[n % len(severe)] for n in range(30)], dtype="string"),
            "death.time_days": np.arange(30.0),
            "death.event": np.arange(30) % 3 == 0,
        }
    ).astype({"death.event": float})
    given = {
        "name": "small",
        "visits": visits,
        "outcomes": outcomes,
        "outcome_specs": {
            "severe": OutcomeSpec("severe", "class", "visit", ("no", "yes")),
            "death": OutcomeSpec("death", "survival", "participant"),
        },
        "matrices": {
            "transcriptome": Matrix(
                FeatureSpace("transcriptome", GENES, "ensembl_gene", "counts"), np.arange(24), genes
            ),
            "proteome": Matrix(
                FeatureSpace("proteome", PROTEINS, namespace, "log2"), np.arange(10, 30), proteins, below
            ),
        },
    } | changes
    return write_store(folder / "store", **given)  # type: ignore[arg-type]


def checkpoint(folder: Path, ids: dict[str, tuple[str, ...]]) -> Path:
    namespaces = {"transcriptome": ("ensembl_gene", "counts"), "proteome": ("protein_symbol", "log2")}
    rows = [(m, i, *namespaces.get(m, ("metabolite_name", "raw"))) for m, names in ids.items() for i in names]
    columns = ["modality", "feature_id", "namespace", "scale"]
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "features.parquet")
    return folder


def test_a_good_store_is_counted_and_has_no_problem(tmp_path: Path) -> None:
    report = inspect(store(tmp_path).path)
    assert report.problems == []
    for line in (
        "small: 20 participants, 30 visits",
        "transcriptome: 10 features (ensembl_gene, counts) at 24 visits of 20 participants; 0.0% not measured",
        "proteome: 4 features (protein_symbol, log2) at 20 visits of 20 participants; 25.0% not measured, 5.0% below",
        "identifiers: 100.0% have the form of ensembl_gene",
        "visits per participant (participants): 1 (10), 2 (10)",
        "days between visits: median 90, from 90 to 90",
        "severe (class, by visit): no 15, yes 15; 30 known in 20 participants, 0 missing",
        "death (survival, by participant): 7 events, 13 censored, median follow-up 10 days; 20 known",
        "memory: 1.28 kB as dense float32 (transcriptome 960 B, proteome 320 B)",
        "time: 300 tokens an epoch",
        "problems: none",
    ):
        assert line in report.text


def test_the_missingness_map_counts_each_combination(tmp_path: Path) -> None:
    lines = inspect(store(tmp_path).path).text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("what a visit has"))
    rows = [line.split() for line in lines[start + 2 : start + 5]]
    assert rows == [["x", "x", "14", "46.7%", "14"], ["x", ".", "10", "33.3%", "10"], [".", "x", "6", "20.0%", "6"]]


def test_features_never_measured_and_few_events_are_notes_not_problems(tmp_path: Path) -> None:
    report = inspect(store(tmp_path).path)
    assert "proteome: 1 features are measured at no visit (first: 'ALB')" in report.text
    assert "outcome death: 7 events; with so few" in report.text


def test_ids_of_another_form_than_the_namespace_are_a_problem(tmp_path: Path) -> None:
    problems = inspect(store(tmp_path, namespace="uniprot").path).problems
    assert len(problems) == 1
    assert "proteome: only 0.0% of the ids have the form of namespace uniprot (first other 'IL6')" in problems[0]
    assert "protein_symbol" in problems[0]


def test_an_outcome_of_one_class_is_a_problem(tmp_path: Path) -> None:
    assert inspect(store(tmp_path, severe=("no",)).path).problems == [
        "outcome severe: only one class occurs; two are needed."
    ]


def test_an_outcome_without_events_is_a_problem(tmp_path: Path) -> None:
    outcomes = pd.DataFrame({"death.time_days": np.arange(30.0), "death.event": np.zeros(30)})
    specs = {"death": OutcomeSpec("death", "survival", "participant")}
    assert "there is no event" in inspect(store(tmp_path, outcomes=outcomes, outcome_specs=specs).path).problems[0]


def test_a_modality_without_a_config_is_reported(tmp_path: Path) -> None:
    space = FeatureSpace("immunome", ("T", "B"), "local", "relative_abundance")
    own = {"immunome": Matrix(space, np.arange(30), np.full((30, 2), 0.5, dtype=np.float32))}
    report = inspect(store(tmp_path, matrices=own).path)
    assert (
        "immunome: has no file in configs/modality, so it gets the generic one for scale relative_abundance"
        in report.text
    )


def test_a_checkpoint_is_matched_feature_by_feature(tmp_path: Path) -> None:
    directory = checkpoint(tmp_path, {"transcriptome": (*GENES[:8], "ENSG99999999999"), "metabolome": ("glucose",)})
    report = inspect(store(tmp_path).path, checkpoint=directory)
    assert report.problems == []
    assert "transcriptome: 8 of 9 features match (88.9%)" in report.text
    assert "of the store's 10: 8 matched, 0 mapped, 0 ambiguous, 0 repeated, 2 unknown" in report.text
    assert "metabolome: 1 features; the store has no metabolome" in report.text
    assert "proteome: the checkpoint does not know this modality" in report.text


def test_a_checkpoint_that_shares_few_features_is_a_problem(tmp_path: Path) -> None:
    directory = checkpoint(tmp_path, {"proteome": ("IL6", "X1", "X2", "X3")})
    problems = inspect(store(tmp_path).path, checkpoint=directory).problems
    assert len(problems) == 1
    assert "the checkpoint knows 4 features" in problems[0]


def test_a_checkpoint_of_other_modalities_is_a_problem(tmp_path: Path) -> None:
    directory = checkpoint(tmp_path, {"metabolome": ("glucose",)})
    assert "it shares no modality with the store" in inspect(store(tmp_path).path, checkpoint=directory).problems[0]


def test_the_features_without_a_place_that_vary_most_come_first(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(0, 1, (20, 4)).astype(np.float32) * np.array([1, 9, 3, 1], np.float32)
    space = FeatureSpace("proteome", PROTEINS, "protein_symbol", "log2")
    own = store(tmp_path, matrices={"proteome": Matrix(space, np.arange(20), values)})
    directory = checkpoint(tmp_path, {"proteome": ("IL6", "ALB")})
    text = inspect(own.path, checkpoint=directory).text
    assert "unmatched with the largest variance: 'TNF' (unknown, " in text
    assert text.index("'TNF' (unknown") < text.index("'CRP' (unknown")


def test_a_mapping_matches_a_checkpoint_in_another_namespace_and_the_report_counts_it(tmp_path: Path) -> None:
    rows = [("proteome", i, "uniprot", "log2") for i in ("P05231", "P01375", "P02741")]
    columns = ["modality", "feature_id", "namespace", "scale"]
    pd.DataFrame(rows, columns=columns).to_parquet(tmp_path / "features.parquet")
    table = tmp_path / "proteins.csv"
    table.write_text("uniprot,protein_symbol\nP05231,IL6\nP01375,TNF\nP02741,CRP\nP02768,ALB\nP02769,ALB\n")
    own = store(tmp_path)
    assert "the store's in protein_symbol" in inspect(own.path, checkpoint=tmp_path).problems[0]
    report = inspect(own.path, checkpoint=tmp_path, mapping=[table])
    assert report.problems == []
    assert "proteome: 3 of 3 features match (100.0%); store protein_symbol, checkpoint uniprot" in report.text
    assert "of the store's 4: 0 matched, 3 mapped, 1 ambiguous, 0 repeated, 0 unknown" in report.text
    assert "unmatched with the largest variance: 'ALB' (ambiguous, 0)" in report.text


def test_symbols_that_a_spreadsheet_turned_into_dates_are_noted(tmp_path: Path) -> None:
    space = FeatureSpace("proteome", ("2-Sep", "IL6", "TNF", "CRP"), "protein_symbol", "log2")
    own = store(tmp_path, matrices={"proteome": Matrix(space, np.arange(20), np.ones((20, 4), np.float32))})
    assert "proteome: 1 ids look like dates (first '2-Sep')" in inspect(own.path).text


def no_file(folder: Path) -> None:
    pass


def no_table(folder: Path) -> None:
    (folder / "features.parquet").write_bytes(b"PAR1")


def no_namespace(folder: Path) -> None:
    pd.DataFrame({"modality": ["proteome"], "feature_id": ["IL6"]}).to_parquet(folder / "features.parquet")


@pytest.mark.parametrize("spoil", [no_file, no_table, no_namespace])
def test_an_unreadable_checkpoint_is_named(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(tmp_path)
    with pytest.raises(InputError, match=r"features\.parquet"):
        inspect(store(tmp_path).path, checkpoint=tmp_path)


def test_a_cohort_is_prepared_in_a_temporary_folder_and_looked_at(simulated_cohort: Path) -> None:
    before = sorted(simulated_cohort.parent.iterdir())
    report = inspect(simulated_cohort)
    assert report.problems == []
    assert "transcriptome: 24 features (ensembl_gene, counts)" in report.text
    assert sorted(simulated_cohort.parent.iterdir()) == before


def test_a_folder_without_a_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a store"):
        inspect(tmp_path)


def test_the_forecast_of_time_is_of_the_epochs_and_features_that_a_run_takes() -> None:
    config = compose(["task=pretrain", "data.store=none", "run_dir=none"])
    assert (config["task"]["epochs"], config["data"]["max_features"]) == (EPOCHS, MAX_FEATURES)
