"""What people call a feature, where a table of identifiers says so."""

from collections.abc import Sequence

from omicsfm.features import FeatureSpace
from omicsfm.placement import Translator

CALLED = {
    "ensembl_gene": "hgnc_symbol",
    "entrez": "hgnc_symbol",
    "hgnc_id": "hgnc_symbol",
    "uniprot": "protein_symbol",
    "olink_id": "protein_symbol",
    "somascan_seqid": "protein_symbol",
    "hmdb": "metabolite_name",
    "chebi": "metabolite_name",
    "kegg": "metabolite_name",
    "inchikey": "metabolite_name",
}
"""The namespace of names in which people speak of the things of a namespace."""


def names_of(space: FeatureSpace, translator: Translator | None = None) -> Sequence[str]:
    """The name of each feature; its id where no table gives it one name."""
    if translator is None or space.namespace not in CALLED:
        return space.ids
    meanings = translator.translate(space.ids, space.namespace, CALLED[space.namespace])
    return [
        meaning.ids[0] if len(meaning.ids) == 1 and not meaning.ambiguous else feature
        for meaning, feature in zip(meanings, space.ids, strict=True)
    ]
