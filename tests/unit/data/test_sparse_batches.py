"""A sparse store under a cap: features are drawn first and then looked up, as if whole rows had been read."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from omicsfm.data.collate import BatchReader
from omicsfm.data.sampling import FLOOR, expression_weights
from omicsfm.data.store import Matrix, OmicsStore, write_store
from omicsfm.data.transforms import default_transform
from omicsfm.features import FeatureSpace

VISITS, GENES = 40, 300
ROWS = np.delete(np.arange(VISITS), [6, 21])


def counts() -> np.ndarray:
    """Genes from never to always expressed; one visit without a single count."""
    generator = np.random.default_rng(0)
    table = generator.poisson(np.geomspace(0.01, 6, GENES), (VISITS, GENES)).astype(np.float32)
    table[11] = 0
    return table


def cohort(path, table: np.ndarray, genes=range(GENES), *, dense: bool = False) -> OmicsStore:
    space = FeatureSpace("rna", tuple(f"G{n}" for n in genes), "local", "counts")
    values = table[ROWS][:, [n % GENES for n in genes]]
    return write_store(
        path,
        name="c",
        visits=pd.DataFrame({"participant_id": [f"S{n}" for n in range(VISITS)], "visit": "1", "time_days": 0.0}),
        outcomes=pd.DataFrame(index=range(VISITS)),
        outcome_specs={},
        matrices={"rna": Matrix(space, ROWS, values if dense else sparse.csr_matrix(values))},
    )


def parts(store: OmicsStore) -> dict:  # type: ignore[type-arg]
    chain = default_transform("counts")
    values, _ = store.modalities["rna"].read(ROWS)
    return {"features": {"rna": store.modalities["rna"].features}, "transforms": {"rna": chain.fit(values)}}


@pytest.fixture
def store(tmp_path) -> OmicsStore:
    return cohort(tmp_path / "store", counts())


def assert_equal(ours, theirs) -> None:  # type: ignore[no-untyped-def]
    for field, value in vars(theirs.measurements["rna"]).items():
        np.testing.assert_allclose(getattr(ours.measurements["rna"], field), value, rtol=1e-6, atol=1e-6, err_msg=field)


@pytest.mark.parametrize("cap", [1, 16, GENES - 1])
def test_a_sparse_store_gives_the_batches_of_the_same_store_kept_dense(store, tmp_path, cap: int) -> None:
    twin = cohort(tmp_path / "dense", counts(), dense=True)
    assert (store.modalities["rna"].layout, twin.modalities["rna"].layout) == ("csr", "dense")
    rows, model = np.arange(VISITS), parts(store)
    ours, theirs = (BatchReader(s, **model, max_features=cap).read(rows, seed=4) for s in (store, twin))
    there = theirs.measurements["rna"].observed
    assert there.any(dim=1).tolist() == np.isin(rows, ROWS).tolist()
    assert_equal(ours, theirs)


def test_what_is_drawn_of_a_visit_does_not_depend_on_which_of_its_genes_are_zero(store, tmp_path) -> None:
    turned = cohort(tmp_path / "turned", counts()[:, ::-1])
    model = parts(store)
    ids = [
        BatchReader(s, **model, max_features=20).read(ROWS, seed=4).measurements["rna"].feature_ids
        for s in (store, turned)
    ]
    np.testing.assert_array_equal(*ids)


def test_a_genes_mean_over_what_is_drawn_is_its_mean_over_all_visits(store) -> None:
    model, weights = parts(store), {"rna": expression_weights(store.modalities["rna"], ROWS, seed=0)}
    whole = BatchReader(store, **model).read(ROWS).measurements["rna"].values.numpy()
    reader = BatchReader(store, **model, max_features=30, weights=weights)
    total, drawn = np.zeros(GENES), np.zeros(GENES)
    for seed in range(120):
        measured = reader.read(ROWS, seed=seed).measurements["rna"]
        np.add.at(total, measured.feature_ids.numpy(), measured.values.numpy())
        np.add.at(drawn, measured.feature_ids.numpy(), 1)
    often = drawn > 500
    error = (total[often] / drawn[often] - whole.mean(axis=0)[often]) / (
        whole.std(axis=0)[often] / np.sqrt(drawn[often])
    )
    assert often.sum() > 20
    assert np.abs(error).max() < 4.5
    assert 0.7 < error.std() < 1.3


def test_weights_draw_expressed_genes_more_often_than_chance_does(store) -> None:
    model, weights = parts(store), {"rna": expression_weights(store.modalities["rna"], ROWS, seed=0)}
    table = counts()

    def expressed(**changes) -> float:  # type: ignore[no-untyped-def]
        ids = BatchReader(store, **model, max_features=30, **changes).read(ROWS, seed=1).measurements["rna"].feature_ids
        return float((np.take_along_axis(table[ROWS], ids.numpy(), axis=1) > 0).mean())

    assert expressed(weights=weights) > 1.4 * expressed()


def test_expression_weights_are_the_share_of_training_visits_above_zero(store) -> None:
    train = ROWS[:20]
    expected = (counts()[train] > 0).mean(axis=0) + FLOOR
    np.testing.assert_allclose(expression_weights(store.modalities["rna"], train, seed=0), expected)


def test_genes_in_another_order_and_unknown_ones_give_the_same_batch(store, tmp_path) -> None:
    other = cohort(tmp_path / "other", counts(), genes=[GENES + 3, *reversed(range(GENES)), GENES + 9])
    model = parts(store)
    ours, theirs = (BatchReader(s, **model, max_features=25).read(ROWS, seed=4) for s in (other, store))
    assert_equal(ours, theirs)


def test_a_gene_that_the_store_lacks_is_never_drawn(store, tmp_path) -> None:
    fewer = cohort(tmp_path / "fewer", counts(), genes=range(200))
    measured = BatchReader(fewer, **parts(store), max_features=25).read(ROWS, seed=4).measurements["rna"]
    assert int(measured.feature_ids.max()) < 200
    assert measured.observed.all()


def test_a_step_that_needs_whole_rows_is_given_them(store) -> None:
    model = parts(store)

    class Ranks:
        columns = ()

        def __call__(self, values, labels):  # type: ignore[no-untyped-def]
            return np.argsort(np.argsort(values, axis=1), axis=1).astype(np.float32)

    model["transforms"]["rna"].steps = [Ranks()]
    assert not model["transforms"]["rna"].is_pointwise
    measured = BatchReader(store, **model, max_features=25, cache_bytes=0).read(ROWS, seed=4).measurements["rna"]
    ranks = np.argsort(np.argsort(counts()[ROWS], axis=1), axis=1)
    np.testing.assert_array_equal(measured.values, np.take_along_axis(ranks, measured.feature_ids.numpy(), axis=1))
