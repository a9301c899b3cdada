"""FeatureSpace: identity of features, and how those of two cohorts line up."""

import numpy as np
import pytest

from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace


def proteins(*ids: str, namespace: str = "uniprot") -> FeatureSpace:
    return FeatureSpace("proteome", ids, namespace)


def test_a_source_in_another_order_is_aligned_by_id_and_not_by_place() -> None:
    target = proteins("P01375", "P05231", "P10145")
    aligned = target.align(proteins("P10145", "P01375", "Q99999"))
    np.testing.assert_array_equal(aligned.position, [2, 0, -1])
    assert aligned.unknown == ("Q99999",)
    assert aligned.matched == 2
    assert aligned.share == pytest.approx(2 / 3)


def test_a_store_that_shares_under_half_of_the_features_is_refused_with_what_its_ids_look_like() -> None:
    genes = FeatureSpace("transcriptome", ("ENSG00000000003", "ENSG00000000005"), "ensembl_gene")
    with pytest.raises(InputError, match=r"shares 0 of them .*'TP53'.*look like hgnc_symbol"):
        genes.align(FeatureSpace("transcriptome", ("TP53", "BRCA1"), "ensembl_gene"))


def joined(*panels: list[int], namespace: str = "uniprot") -> FeatureSpace:
    ids = tuple(f"P{number:05d}" for number in range(10))
    named = {f"cohort {place}": np.array(panel) for place, panel in enumerate(panels)}
    return FeatureSpace("proteome", ids, namespace, panels=named)


def test_half_of_what_one_training_cohort_measured_is_enough_however_much_the_others_add() -> None:
    space = joined([0, 1, 2, 3], [4, 5, 6, 7, 8, 9])
    aligned = space.align(proteins("P00000", "P00001", "P00009"))
    assert aligned.nearest == "cohort 0"
    assert aligned.share == pytest.approx(2 / 4)
    assert aligned.shares == pytest.approx({"cohort 0": 2 / 4, "cohort 1": 1 / 6})


def test_less_than_half_of_every_training_cohort_is_refused_although_all_of_the_stores_features_are_known() -> None:
    space = joined([0, 1, 2, 3], [4, 5, 6, 7, 8, 9])
    with pytest.raises(InputError, match=r"shares 2 of them .*at best 25% of what cohort 0 measured, under half"):
        space.align(proteins("P00000", "P00009"))


def test_a_local_id_is_its_own_cohorts_where_those_of_several_stand_side_by_side() -> None:
    space = FeatureSpace("proteome", ("a/X", "a/Y", "b/X", "b/Y"), "local")
    np.testing.assert_array_equal(
        space.align(FeatureSpace("proteome", ("Y", "X"), "local", cohort="b")).position, [3, 2]
    )
    with pytest.raises(InputError, match="shares 0 of them"):
        space.align(FeatureSpace("proteome", ("Y", "X"), "local", cohort="c"))


def test_where_training_cohorts_differ_in_scale_each_of_their_scales_is_read_and_no_other() -> None:
    space = FeatureSpace("proteome", ("A", "B"), "local", scale="log2|raw")
    assert space.align(FeatureSpace("proteome", ("A", "B"), "local", scale="raw")).matched == 2
    with pytest.raises(InputError, match="in scale log2 or raw; the store's are in ln"):
        space.align(FeatureSpace("proteome", ("A", "B"), "local", scale="ln"))


def test_the_same_ids_in_another_namespace_are_other_features() -> None:
    with pytest.raises(InputError, match="namespace uniprot, the store's in local"):
        proteins("P01375", "P05231").align(proteins("P01375", "P05231", namespace="local"))


def test_the_fingerprint_depends_on_order_and_namespace_and_not_on_scale() -> None:
    space = proteins("P01375", "P05231")
    assert space.fingerprint == FeatureSpace("proteome", space.ids, "uniprot", scale="log2").fingerprint
    assert space.fingerprint != proteins("P05231", "P01375").fingerprint
    assert space.fingerprint != proteins("P01375", "P05231", namespace="local").fingerprint


def test_a_feature_that_stands_twice_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"1 feature ids appear twice.*'P05231'"):
        proteins("P05231", "P01375", "P05231")


def test_an_unknown_namespace_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"namespace 'uniprott' is not known; known: .*uniprot"):
        proteins("P01375", namespace="uniprott")
