"""Planted site and plate shifts: after harmonisation they explain almost nothing of held-out people, and what is true
of the people is seen more clearly.
"""

import numpy as np
import pytest

from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.row_labels import at_rows, row_labels
from omicsfm.data.store import OmicsStore
from omicsfm.data.synthetic import simulate
from omicsfm.data.transforms import Transform
from omicsfm.data.transforms.combat import ComBat
from omicsfm.data.transforms.quantiles import QuantileBridging
from omicsfm.data.transforms.robust_z import RobustZ

PEOPLE = 600


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[OmicsStore, np.ndarray]:
    """A store of two large sites, several plates each, and the true factor that each protein follows."""
    folder = tmp_path_factory.mktemp("batches")
    path = simulate(
        folder / "cohort.h5mu", participants=PEOPLE, visits=1, seed=3, genes=0, proteins=80, metabolites=0, sites=2,
        batch_effect=0.8, missing_modality=0.0,
    )  # fmt: skip
    import h5py

    with h5py.File(path) as file:
        factors, loadings = file["obsm/true_factors"][:], file["mod/proteome/varm/true_loadings"][:]
    return prepare(path, folder / "store"), factors @ loadings.T


def explained(values: np.ndarray, batch: np.ndarray) -> float:
    """Share of a feature's variance that lies between batches, corrected for chance (epsilon squared), mean of all."""
    shares = []
    for feature in values.T:
        known = ~np.isnan(feature)
        own, groups = feature[known], [feature[known & (batch == b)] for b in np.unique(batch)]
        total = ((own - own.mean()) ** 2).sum()
        within = sum(((g - g.mean()) ** 2).sum() for g in groups if len(g))
        chance = (len(groups) - 1) * within / (len(own) - len(groups))
        shares.append((total - within - chance) / total)
    return float(np.mean(shares))


def agreement(values: np.ndarray, truth: np.ndarray) -> float:
    """Mean correlation of the loaded features with what is true of the people."""
    loaded = np.flatnonzero(truth.std(axis=0) > 0)
    known = ~np.isnan(values)
    return float(np.mean([np.corrcoef(values[known[:, f], f], truth[known[:, f], f])[0, 1] for f in loaded]))


@pytest.mark.parametrize("column", ["site", "plate"])
@pytest.mark.parametrize("method", [ComBat, QuantileBridging, RobustZ])
def test_batches_explain_little_of_held_out_people(cohort, column: str, method: type[Transform]) -> None:
    store, truth = cohort
    values, _ = store.modalities["proteome"].read(np.arange(len(store)))
    labels = row_labels(store, "proteome", (column,))
    families = store.visits["family_id"].unique()
    held_out = store.visits["family_id"].isin(np.random.default_rng(0).permutation(families)[: len(families) // 4])
    train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    step = method(column=column).fit(values[train], at_rows(labels, train))  # type: ignore[call-arg]
    after = step(values[test], at_rows(labels, test))
    before_share, after_share = (explained(x, labels[column][test]) for x in (values[test], after))
    assert before_share > 0.1
    assert after_share < 0.35 * before_share
    assert agreement(after, truth[test]) > agreement(values[test], truth[test]) + 0.02
