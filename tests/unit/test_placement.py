"""Where features of a cohort stand among those of a model: by id, by form, by translation, or nowhere."""

from collections.abc import Sequence

import numpy as np
import pytest

from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace
from omicsfm.placement import Meaning, Translator, place


class Dictionary:
    """A translator of a few ids."""

    def __init__(self, known: dict[str, Meaning]) -> None:
        self.known = known

    def translate(self, ids: Sequence[str], source: str, target: str) -> list[Meaning]:
        own = [Meaning((i,)) if source == target else Meaning() for i in ids]
        return [self.known.get(i, otherwise) for i, otherwise in zip(ids, own, strict=True)]


def placed(ids: list[str], known: list[str], namespaces: tuple[str, str], translator: Translator | None = None) -> dict:
    found = place(ids, namespaces[0], known, namespaces[1], translator)
    return {i: (how, known[p] if p >= 0 else None) for i, how, p in zip(ids, found.status, found.position, strict=True)}


def test_versions_of_ensembl_ids_need_no_table() -> None:
    genes = ["ENSG00000000003.15", "ENSG00000000005"]
    found = placed(["ENSG00000000005.6", "ENSG00000000003"], genes, ("ensembl_gene", "ensembl_gene"))
    assert list(found.values()) == [("matched", genes[1]), ("matched", genes[0])]


def test_a_uniprot_group_finds_the_one_protein_that_it_shares_and_an_unclear_one_finds_none() -> None:
    known = ["P80188", "P01615", "P35542;P0DJI9"]
    found = placed(["X6R8F3;P80188;P80188-2", "P01615;P35542", "P0DJI9-2", "Q99999"], known, ("uniprot", "uniprot"))
    assert found["X6R8F3;P80188;P80188-2"] == ("mapped", "P80188")
    assert found["P01615;P35542"] == ("ambiguous", None)
    assert found["P0DJI9-2"] == ("mapped", "P35542;P0DJI9")
    assert found["Q99999"] == ("unknown", None)


def test_an_isoform_gives_way_to_the_protein_itself() -> None:
    found = placed(["P01375-2", "P01375"], ["P01375"], ("uniprot", "uniprot"))
    assert found == {"P01375-2": ("repeated", None), "P01375": ("matched", "P01375")}


def test_of_two_that_map_to_one_place_the_first_takes_it() -> None:
    both = Dictionary({"P42771": Meaning(("CDKN2A",)), "Q8N726": Meaning(("CDKN2A",))})
    found = placed(["Q8N726", "P42771"], ["CDKN2A"], ("uniprot", "protein_symbol"), both)
    assert found == {"Q8N726": ("mapped", "CDKN2A"), "P42771": ("repeated", None)}


def test_an_ambiguous_id_has_no_place_even_where_one_of_its_meanings_is_known() -> None:
    unclear = Dictionary({"SEPT2": Meaning(("SEPTIN2", "SEPTIN6"), ambiguous=True)})
    found = placed(["SEPT2"], ["SEPTIN2", "TP53"], ("hgnc_symbol", "hgnc_symbol"), unclear)
    assert found == {"SEPT2": ("ambiguous", None)}


def test_a_model_with_an_old_symbol_meets_a_cohort_with_the_new_one() -> None:
    renamed = Dictionary({"MARCH1": Meaning(("MARCHF1",)), "P01375": Meaning(("TNF",))})
    found = placed(["MARCHF1"], ["MARCH1"], ("protein_symbol", "protein_symbol"), renamed)
    assert found == {"MARCHF1": ("mapped", "MARCH1")}


def test_ids_of_namespace_local_are_never_translated() -> None:
    all_knowing = Dictionary({"x": Meaning(("y",))})
    assert placed(["x"], ["y"], ("local", "local"), all_knowing) == {"x": ("unknown", None)}


def test_every_feature_has_one_fate_and_no_place_is_taken_twice() -> None:
    rng = np.random.default_rng(0)
    pool = [f"P{n:05d}" for n in range(40)]
    for _ in range(50):
        ids = list(dict.fromkeys(";".join(rng.choice(pool, rng.integers(1, 4))) for _ in range(20)))
        known = list(dict.fromkeys(";".join(rng.choice(pool, rng.integers(1, 3))) for _ in range(15)))
        found = place(ids, "uniprot", known, "uniprot")
        taken = found.position[found.position >= 0]
        assert len(set(taken)) == len(taken)
        assert [p >= 0 for p in found.position] == [how in ("matched", "mapped") for how in found.status]


def test_a_store_in_another_namespace_meets_a_checkpoint_through_a_translator_and_not_without() -> None:
    checkpoint = FeatureSpace("proteome", ("TNF", "IL6"), "protein_symbol")
    known = Dictionary({"P01375": Meaning(("TNF",)), "P05231": Meaning(("IL6",), withdrawn=True)})
    ids = ("P05231", "P01375", "Q99999")
    with pytest.raises(InputError, match="Or name a table of identifiers that links the two: --mapping"):
        checkpoint.align(FeatureSpace("proteome", ids, "uniprot"))
    aligned = checkpoint.align(FeatureSpace("proteome", ids, "uniprot", translator=known))
    np.testing.assert_array_equal(aligned.position, [1, 0, -1])
    assert aligned.counts == {"matched": 0, "mapped": 2, "ambiguous": 0, "repeated": 0, "unknown": 1}
    assert (aligned.matched, aligned.share, aligned.withdrawn) == (2, 1.0, 1)
