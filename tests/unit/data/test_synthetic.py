"""A simulated cohort says what it promises: learnable when there is signal, not when there is none."""

import json
from pathlib import Path

import mudata
import numpy as np
import pytest
from lifelines.utils import concordance_index
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score, roc_auc_score

from omicsfm.data.generative import draw_people
from omicsfm.data.synthetic import simulate
from omicsfm.errors import InputError
from omicsfm.namespaces import NAMESPACES

SMALL = {"participants": 40, "genes": 30, "proteins": 20, "metabolites": 10}


def read(path: Path) -> mudata.MuData:
    with mudata.set_options(pull_on_update=False):
        return mudata.read(path)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> mudata.MuData:
    return read(simulate(tmp_path_factory.mktemp("cohort") / "cohort.h5mu"))


def first_visits(cohort: mudata.MuData) -> np.ndarray:
    return (~cohort.obs["participant_id"].duplicated()).to_numpy()


def test_the_same_seed_writes_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    first, second, other = (
        simulate(tmp_path / f"{n}.h5mu", seed=s, **SMALL) for n, s in (("a", 7), ("b", 7), ("c", 8))
    )
    assert first.read_bytes() == second.read_bytes()
    assert not np.array_equal(read(first)["proteome"].X, read(other)["proteome"].X)


def test_more_genes_leave_people_and_proteins_as_they_were(tmp_path: Path) -> None:
    few = read(simulate(tmp_path / "few.h5mu", **SMALL))
    many = read(simulate(tmp_path / "many.h5mu", **{**SMALL, "genes": 60}))
    assert few.obs.equals(many.obs)
    np.testing.assert_array_equal(few["proteome"].X, many["proteome"].X)


def test_the_file_carries_the_mapping_that_a_cohort_yaml_would(cohort: mudata.MuData) -> None:
    described = json.loads(cohort.uns["omicsfm"])
    assert set(described["modalities"]) == set(cohort.mod)
    assert set(described["visits"].values()) <= set(cohort.obs)
    assert set(described["subgroups"]) <= set(cohort.obs)
    for outcome in described["outcomes"].values():
        assert {outcome[key] for key in ("column", "time_days", "event") if key in outcome} <= set(cohort.obs)


def test_feature_ids_have_the_form_of_their_namespace(cohort: mudata.MuData) -> None:
    for modality, described in json.loads(cohort.uns["omicsfm"])["modalities"].items():
        form = NAMESPACES[described["namespace"]]
        assert form is not None
        assert all(form.fullmatch(feature) for feature in cohort[modality].var_names)
        assert cohort[modality].var_names.is_unique


def test_visits_are_in_order_and_nobody_visits_after_death_or_the_end_of_follow_up(cohort: mudata.MuData) -> None:
    obs = cohort.obs
    step = obs.groupby("participant_id", observed=True)["time_days"].diff().dropna()
    assert (step > 0).all()
    assert (obs.loc[first_visits(cohort), "time_days"] == 0).all()
    assert (obs["time_days"] < obs["follow_up_days"]).all()


def test_relatives_share_a_site_and_a_plate_belongs_to_one_site(cohort: mudata.MuData) -> None:
    assert (cohort.obs.groupby("family_id", observed=True)["site"].nunique() == 1).all()
    assert (cohort.obs.groupby("plate", observed=True)["site"].nunique() == 1).all()


def test_cells_are_measured_below_the_limit_or_not_measured(cohort: mudata.MuData) -> None:
    for modality in ("proteome", "metabolome"):
        values, below = cohort[modality].X, cohort[modality].layers["below_limit"]
        missing = np.isnan(values)
        assert 0.02 < missing.mean() < 0.04
        assert 0.07 < below.mean() < 0.13
        assert not (missing & below).any()
        limit = np.where(below, values, np.nan)
        lowest = np.nanmin(values, axis=0)
        assert (np.isnan(limit) | (limit == lowest)).all(), "a value below the limit must be the feature's limit"


def test_counts_are_whole_and_raw_intensities_are_positive(cohort: mudata.MuData) -> None:
    counts = cohort["transcriptome"].X
    assert (counts >= 0).all()
    assert (counts == np.round(counts)).all()
    assert np.nanmin(cohort["metabolome"].X) > 0


def test_every_visit_has_a_modality_and_some_lack_one(cohort: mudata.MuData) -> None:
    present = np.column_stack([cohort.obs_names.isin(table.obs_names) for table in cohort.mod.values()])
    assert present.any(axis=1).all()
    assert 0.15 < 1 - present.mean() < 0.25


def test_the_sick_miss_more_assays_where_that_is_asked_for(tmp_path: Path) -> None:
    cohort = read(simulate(tmp_path / "c.h5mu", **SMALL | {"participants": 300}, missing_by_health=2.0))
    measured = sum(cohort.obs_names.isin(table.obs_names).astype(int) for table in cohort.mod.values())
    risk = cohort.obsm["true_linear_predictors"]["death"]
    assert np.corrcoef(measured, risk)[0, 1] < -0.3


def test_hidden_factors_can_be_recovered_from_each_modality(cohort: mudata.MuData) -> None:
    tested = cohort.obs["participant_id"].isin(cohort.obs["participant_id"].unique()[::2]).to_numpy()
    place = {name: row for row, name in enumerate(cohort.obs_names)}
    for modality, table in cohort.mod.items():
        rows = np.array([place[name] for name in table.obs_names])
        log = table.X if modality == "proteome" else np.log2(table.X + 1)
        log = np.where(np.isnan(log), np.nanmean(log, axis=0), log)
        factors = cohort.obsm["true_factors"][rows]
        test = tested[rows]
        predicted = RidgeCV(alphas=(10.0, 100.0)).fit(log[~test], factors[~test]).predict(log[test])
        assert r2_score(factors[test], predicted) > 0.6, modality


def test_factors_drift_but_persist(cohort: mudata.MuData) -> None:
    first, second = (cohort.obs["visit"] == visit for visit in ("1", "2"))
    both = set(cohort.obs.loc[second, "participant_id"])
    first &= cohort.obs["participant_id"].isin(both)
    z = cohort.obsm["true_factors"]
    correlation = np.corrcoef(z[first.to_numpy()].ravel(), z[second.to_numpy()].ravel())[0, 1]
    assert 0.7 < correlation < 0.9


@pytest.mark.parametrize(("signal", "low", "high"), [(0.0, 0.4, 0.6), (2.0, 0.75, 0.95)])
def test_the_true_predictor_separates_outcomes_by_the_signal(
    tmp_path: Path, signal: float, low: float, high: float
) -> None:
    cohort = read(simulate(tmp_path / "c.h5mu", **SMALL | {"participants": 400}, signal=signal))
    truth, obs = cohort.obsm["true_linear_predictors"], cohort.obs
    known = obs["responder"].notna().to_numpy() & first_visits(cohort)
    assert low < roc_auc_score(obs["responder"][known] == "yes", truth["responder"][known]) < high
    first = obs[first_visits(cohort)]
    risk = truth.loc[first.index, "death"]
    assert low < concordance_index(first["follow_up_days"], -risk, first["died"]) < high
    measured = obs["bmi"].notna()
    explained = np.corrcoef(obs["bmi"][measured], truth["bmi"][measured])[0, 1] ** 2
    assert explained == pytest.approx(signal**2 / (1 + signal**2), abs=0.06)
    assert set(obs["severity"].dropna()) == {"mild", "moderate", "severe"}


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"participants": 2}, "participants is 2; it must be a whole number of at least 4"),
        ({"missing_modality": 1.5}, "missing_modality is 1.5; it must be from 0 to 0.95"),
        ({"genes": 0, "proteins": 0, "metabolites": 0}, "at least one modality"),
        ({"signal": float("nan")}, "signal is nan"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, argument: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate(tmp_path / "c.h5mu", **argument)
    assert not list(tmp_path.iterdir())


def test_another_suffix_is_refused_and_a_modality_of_size_zero_is_left_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"c\.h5mu"):
        simulate(tmp_path / "c.h5ad")
    assert set(read(simulate(tmp_path / "c.h5mu", **SMALL | {"genes": 0})).mod) == {"proteome", "metabolome"}
    assert [file.name for file in tmp_path.iterdir()] == ["c.h5mu"]


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_two_visits_foretell_the_next_by_the_planted_margin(momentum: float) -> None:
    people = draw_people(
        participants=6000,
        visits=4,
        factors=1,
        sites=1,
        interval_days=365.0,
        follow_up_days=1e9,
        momentum=momentum,
        dropout=0.0,
        signal=0.0,
        missing_outcome=0.0,
        seed=1,
    )
    path = people.factors[:, 0].reshape(6000, 4)
    errors = []
    for history in (path[:, 2:3], path[:, 1:3]):
        coefficients = np.linalg.lstsq(history, path[:, 3], rcond=None)[0]
        errors.append(np.std(path[:, 3] - history @ coefficients))
    assert errors[1] / errors[0] == pytest.approx(np.sqrt(1 - momentum**2), abs=0.03)
    assert np.corrcoef(path[:, 2], path[:, 3])[0, 1] == pytest.approx(0.8, abs=0.03)
