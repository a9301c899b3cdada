"""The map of what was measured, and the map of the visits."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from omicsfm.data.store import Matrix, OmicsStore, write_store
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace
from omicsfm.report import benchmark_report
from omicsfm.report.embedding import embedding_plot, embedding_table, umap_of, write_embedding
from omicsfm.report.missingness import missingness_cells, missingness_table, write_missingness
from omicsfm.report.read import write_table


@pytest.fixture
def store(tmp_path: Path) -> OmicsStore:
    visits = pd.DataFrame(
        {
            "participant_id": [f"P{i}" for i in range(30) for _ in range(2)],
            "visit": ["day 0", "day 9"] * 30,
            "time_days": [0.0, 9.0] * 30,
        }
    )
    rows = np.arange(0, 60, 2)
    values = np.ones((30, 4), dtype=np.float32)
    values[:, 0] = np.nan
    below = np.zeros((30, 4), dtype=bool)
    below[:15, 1] = True
    matrix = Matrix(FeatureSpace("proteome", ("a", "b", "c", "d")), rows, values, below)
    return write_store(
        tmp_path / "store",
        name="c",
        visits=visits,
        outcomes=pd.DataFrame(index=visits.index),
        outcome_specs={},
        matrices={"proteome": matrix},
    )


def test_the_table_counts_people_and_values(store: OmicsStore) -> None:
    table = missingness_table(store).set_index("visit")
    assert table.loc["day 0", ["participants", "measured"]].tolist() == [30, 30]
    assert table.loc["day 9", ["participants", "measured"]].tolist() == [30, 0]
    assert table.loc["day 0", "missing_share"] == 0.25
    assert table.loc["day 0", "below_limit_share"] == 0.125
    assert np.isnan(table.loc["day 9", "missing_share"])


def test_a_long_store_is_counted_on_evenly_spaced_rows(store: OmicsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = missingness_table(store)
    monkeypatch.setattr("omicsfm.report.missingness.ROWS_COUNTED", 10)
    assert missingness_table(store).loc[0, "missing_share"] == whole.loc[0, "missing_share"]
    assert missingness_table(store).loc[0, "below_limit_share"] == pytest.approx(0.125)


def test_the_optional_files_become_sections_of_the_report(store: OmicsStore, tmp_path: Path) -> None:
    prediction = {"method": "linear", "repeat": 0, "fold": 0, "outcome": "bmi", "y_true": 1.0, "y_pred": 1.5}
    write_table(store.visits.assign(**prediction), tmp_path / "out" / "predictions.parquet")
    scored = {"outcome": "bmi", "kind": "quantity", "methods": {"linear": {"metrics": {"pearson": 0.5}}}}
    (tmp_path / "out" / "metrics.json").write_text(json.dumps(scored))
    assert "Who was measured" not in benchmark_report(tmp_path / "out").read_text()
    write_missingness(store, tmp_path / "out")
    people = store.visits
    colours = pd.DataFrame({"responder": ["yes", "no"] * 30})
    write_embedding(tmp_path / "out", np.random.default_rng(0).normal(size=(60, 3)), visits=people, colours=colours)
    page = benchmark_report(tmp_path / "out").read_text()
    assert "Who was measured for what?" in page
    assert "Coloured by responder" in page
    pd.DataFrame({"visit": []}).to_parquet(tmp_path / "out" / "missingness.parquet")
    with pytest.raises(InputError, match=r"missingness\.parquet: column 'modality' is missing"):
        benchmark_report(tmp_path / "out")


def test_the_map_shows_shares_but_not_of_few_people(store: OmicsStore) -> None:
    table = missingness_table(store)
    header, (row,) = missingness_cells(table, least=10)
    assert header == ["", "visit day 0", "visit day 9", "values missing", "below limit"]
    assert [cell["text"] for cell in row] == ["proteome", "100%", "0%", "25.0%", "12.5%"]
    table["measured"] = [26, 4]
    _, (row,) = missingness_cells(table, least=10)
    assert [cell["text"] for cell in row[1:3]] == ["nearly all", "few"]


@pytest.mark.parametrize("visits", [1, 2, 5, 12])
def test_a_tiny_cohort_still_gets_a_map(visits: int) -> None:
    place = umap_of(np.random.default_rng(0).normal(size=(visits, 3)))
    assert place.shape == (visits, 2)
    assert np.isfinite(place).all()


def test_umap_keeps_two_far_clouds_apart() -> None:
    rng = np.random.default_rng(0)
    clouds = np.concatenate([rng.normal(size=(30, 5)), rng.normal(size=(30, 5)) + 20])
    place = umap_of(clouds)
    within = np.linalg.norm(place[:30] - place[:30].mean(axis=0), axis=1).max()
    assert np.linalg.norm(place[:30].mean(axis=0) - place[30:].mean(axis=0)) > within


def test_groups_of_few_people_are_drawn_together() -> None:
    people = pd.DataFrame({"participant_id": [f"P{i}" for i in range(40)], "visit": "1"})
    site = pd.DataFrame({"site": ["Groningen"] * 30 + ["Drenthe"] * 4 + ["Friesland"] * 6})
    table = embedding_table(np.random.default_rng(0).normal(size=(40, 4)), visits=people, colours=site)
    assert list(table.columns) == ["participant_id", "visit", "umap_1", "umap_2", "site"]
    svg = embedding_plot(table, "site", least=10, name="map")
    assert svg is not None
    assert "Groningen" in svg
    assert "other" in svg
    assert "Drenthe" not in svg
    assert embedding_plot(table.head(6), "site", least=10, name="map") is None
