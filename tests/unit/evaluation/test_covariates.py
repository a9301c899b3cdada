"""Age and sex are a modality of their own, made of the visits' table."""

from dataclasses import replace

import numpy as np

from omicsfm.data.store import OmicsStore
from omicsfm.data.transforms import default_transform
from omicsfm.data.union import StoreUnion
from omicsfm.features import FeatureSpace


def test_covariates_are_read_in_their_own_unit_and_unknown_ones_are_not_measured(small_store: OmicsStore) -> None:
    visits = small_store.visits.assign(age=small_store.visits["age"].where(small_store.visits.index != 3))
    clinical = replace(small_store, visits=visits).inputs["clinical"]
    assert clinical.features.ids == ("age", "sex=M")
    values, below = clinical.read(np.array([3, 0]))
    assert np.isnan(values[0, 0])
    assert values[1, 0] == np.float32(visits["age"].iloc[0])
    assert values[1, 1] == (visits["sex"].iloc[0] == "M")
    assert not below.any()


def test_a_store_without_age_and_sex_has_no_such_modality(small_store: OmicsStore) -> None:
    bare = replace(small_store, visits=small_store.visits.drop(columns=["age", "sex"]))
    assert list(bare.inputs) == list(bare.modalities) == ["proteome", "metabolome"]


def test_ages_of_two_cohorts_stay_apart_while_their_platforms_are_brought_together(small_store: OmicsStore) -> None:
    older = replace(
        small_store,
        visits=small_store.visits.assign(age=small_store.visits["age"] + 40),
        manifest={**small_store.manifest, "name": "older", "fingerprint": "other"},
    )
    union = StoreUnion.of([small_store, older])
    clinical = union.inputs["clinical"]
    assert clinical.features.ids == ("age", "sex=M")
    values = clinical.read(np.arange(len(union)))[0]
    scaled = default_transform(clinical.features.scale).fit(values)(values)
    size = len(small_store)
    np.testing.assert_allclose(values[size:, 0] - values[:size, 0], 40, atol=1e-4)
    assert np.nanmean(scaled[size:, 0]) - np.nanmean(scaled[:size, 0]) > 0.5


def test_a_cohort_that_lacks_most_covariates_of_a_checkpoint_is_read_all_the_same() -> None:
    known = FeatureSpace("clinical", ("age", "sofa", "arm=b", "sex=m"), "covariate", "covariate")
    aligned = known.align(FeatureSpace("clinical", ("age",), "covariate", "covariate"))
    assert aligned.position.tolist() == [0]
