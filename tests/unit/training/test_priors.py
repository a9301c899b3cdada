"""Priors: what each knows of a feature, and what a wrong file is told."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from omicsfm.data.collate import BatchReader
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace
from omicsfm.placement import Meaning
from omicsfm.training.assemble import fitted_transforms
from omicsfm.training.priors import Known
from omicsfm.training.priors.comeasurement import CoMeasurement
from omicsfm.training.priors.links import Links
from omicsfm.training.priors.random import Random
from omicsfm.training.priors.table import Table


class Genes:
    """A protein P00001 is made by gene G1, and so on."""

    def translate(self, ids, source, target):
        return [Meaning((f"G{feature[-1]}",)) for feature in ids]


@pytest.fixture
def known(cohort, tmp_path) -> Known:
    store = cohort(tmp_path, "A")
    rows = np.arange(len(store))
    features = {name: matrix.features for name, matrix in store.modalities.items()}
    reader = BatchReader(store, features=features, transforms=fitted_transforms(store, rows))
    return Known(features, reader, rows[:20], 0)


def two(known: Known, translator: Genes | None) -> Known:
    features = {
        "transcriptome": FeatureSpace("transcriptome", ("G1", "G2"), "hgnc_symbol", "log2"),
        "proteome": FeatureSpace("proteome", ("P00001", "P00003"), "uniprot", "log2", translator=translator),
    }
    return replace(known, features=features)


def test_co_measurement_is_fitted_to_training_visits_alone(known) -> None:
    before = CoMeasurement(dim=2).vectors(known)["proteome"]
    values = known.reader.values("proteome", np.arange(30))[0]
    values[20:] += 50.0
    cache = known.reader._cache["proteome"]
    known.reader._cache["proteome"] = (np.where(np.arange(len(cache[0]))[:, None] < 20, cache[0], 99.0), *cache[1:])
    np.testing.assert_allclose(CoMeasurement(dim=2).vectors(known)["proteome"], before, atol=1e-6)
    assert before.shape == (3, 2)


def test_random_vectors_are_the_same_for_a_seed_and_say_nothing_of_order(known) -> None:
    first, again = (Random(dim=4).vectors(known)["proteome"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.linalg.matrix_rank(first) == 3


def test_a_protein_has_the_vector_of_its_gene(known) -> None:
    found = Links(dim=8).vectors(two(known, Genes()))
    np.testing.assert_array_equal(found["proteome"][0], found["transcriptome"][0])
    assert not np.allclose(found["proteome"][1], found["transcriptome"][1])


def test_links_without_a_table_of_identifiers_say_what_is_needed(known) -> None:
    with pytest.raises(InputError, match=r"links their namespaces \(hgnc_symbol, uniprot\) with data\.mapping="):
        Links(dim=8).vectors(two(known, None))


def test_a_table_gives_its_vectors_by_feature_and_nothing_to_others(known, tmp_path) -> None:
    table = pd.DataFrame({"feature_id": ["P00003", "P00001", "X"], "a": [1.0, 2.0, 3.0], "b": [0.0, 5.0, 1.0]})
    table.to_parquet(tmp_path / "vectors.parquet")
    prior = Table(path=str(tmp_path / "vectors.parquet"))
    assert prior.dim == 2
    np.testing.assert_array_equal(prior.vectors(known)["proteome"], [[2, 5], [0, 0], [1, 0]])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"id": ["P00001"], "a": [1.0]}, "has no column 'feature_id'"),
        ({"feature_id": ["P00001"], "a": ["x"]}, "'a' holds none"),
        ({"feature_id": ["P00001", "P00001"], "a": [1.0, 2.0]}, "has 'P00001' twice"),
        ({"feature_id": ["P00001"], "a": [np.nan]}, "missing or infinite"),
        ({"feature_id": ["ENSG1"], "a": [1.0]}, "Write its ids as the cohort does"),
    ],
)
def test_a_wrong_table_is_told_what_is_wrong(known, tmp_path, table, message) -> None:
    pd.DataFrame(table).to_parquet(tmp_path / "vectors.parquet")
    with pytest.raises(InputError, match=message):
        Table(path=str(tmp_path / "vectors.parquet")).vectors(known)


def test_a_missing_table_is_named(tmp_path) -> None:
    with pytest.raises(InputError, match="cannot be read as parquet"):
        _ = Table(path=str(tmp_path / "none.parquet")).dim
