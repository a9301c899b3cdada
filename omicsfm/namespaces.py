"""Kinds of feature identifier: the form their ids have, and the one way in which each is written for comparison."""

import re
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np

_ACCESSION = r"(?:[OPQ]\d[A-Z0-9]{3}\d|[A-NR-Z]\d(?:[A-Z][A-Z0-9]{2}\d){1,2})(?:-\d+)?"
_SYMBOL = r"[A-Z][A-Z0-9orf@_-]{0,24}"

NAMESPACES: dict[str, re.Pattern[str] | None] = {
    "ensembl_gene": re.compile(r"ENS[A-Z]*G\d{11}(\.\d+)?(_PAR_Y)?"),
    "hgnc_symbol": re.compile(_SYMBOL),
    "hgnc_id": re.compile(r"HGNC:\d{1,6}"),
    "gene_name": None,
    "entrez": re.compile(r"\d{1,9}"),
    "uniprot": re.compile(rf"{_ACCESSION}(;{_ACCESSION})*"),
    "protein_symbol": re.compile(_SYMBOL),
    "olink_id": re.compile(r"OID\d{5}"),
    "somascan_seqid": re.compile(r"(?:seq\.|SeqId[._])?(\d+)[-.](\d+)(?:[._]\d+)?"),
    "hmdb": re.compile(r"HMDB\d{5,7}"),
    "chebi": re.compile(r"CHEBI:\d+"),
    "inchikey": re.compile(r"[A-Z]{14}-[A-Z]{10}-[A-Z]"),
    "kegg": re.compile(r"(cpd:)?C\d{5}"),
    "refmet": None,
    "metabolite_name": None,
    "covariate": None,
    "local": None,
}
"""Known kinds of feature identifier with the form their ids have; None where names are free text.
``local`` ids mean nothing outside their cohort. ``gene_name`` is the name in words that HGNC approved,
``covariate`` a column of the visits, or ``column=value`` of one in words."""

_GREEK = {
    chr(code): unicodedata.name(chr(code), "").rpartition(" ")[2].lower().replace("lamda", "lambda")
    for code in range(0x03B1, 0x03CA)
}


def normalised_name(name: str) -> str:
    """A name in words as names are compared: NFKC and case folding, Greek letters in words, one kind of prime, dash and
    space, and none of the asterisks that vendors put behind names. Digits, locants, stereo descriptors and brackets
    stay: they tell substances apart.
    """
    text = name.casefold()
    if not text.isascii():
        text = "".join(_GREEK.get(letter, letter) for letter in unicodedata.normalize("NFKC", text))
        text = re.sub(r"[\u2018\u2019\u2032´]", "'", text)
        text = re.sub(r"[\u2010-\u2015\u2212]", "-", text)
    return re.sub(r"[\s_]+", " ", text).rstrip("* ").strip()


def _without_version(feature: str) -> str:
    return re.sub(r"(?<=\d)\.\d+(?=$|_PAR_Y$)", "", feature)


def _symbol(feature: str) -> str:
    return re.sub(r"(?<=\d)ORF(?=\d)", "orf", feature)


def _seqid(feature: str) -> str:
    form = NAMESPACES["somascan_seqid"]
    match = form.fullmatch(feature) if form else None
    return f"{match[1]}-{match[2]}" if match else feature


def _hmdb(feature: str) -> str:
    match = re.fullmatch(r"HMDB(\d{5,7})", feature.upper())
    return f"HMDB{int(match[1]):07d}" if match else feature


_WRITTEN: dict[str, Callable[[str], str]] = {
    "ensembl_gene": _without_version,
    "hgnc_symbol": _symbol,
    "protein_symbol": _symbol,
    "gene_name": normalised_name,
    "somascan_seqid": _seqid,
    "hmdb": _hmdb,
    "chebi": str.upper,
    "inchikey": str.upper,
    "kegg": lambda feature: feature.removeprefix("cpd:"),
    "refmet": normalised_name,
    "metabolite_name": normalised_name,
}


def canonical(namespace: str, feature: str) -> str:
    """An id in the one form that ids of its namespace are compared in.

    Ensembl versions and SeqId versions go, HMDB ids get seven digits, names are normalised; an isoform of a UniProt
    accession, and the copy of a gene on the Y chromosome (``_PAR_Y``), stay what they are.
    """
    written = _WRITTEN.get(namespace)
    feature = feature.strip()
    return written(feature) if written else feature


def members(namespace: str, feature: str) -> tuple[str, ...]:
    """What an id names: the accessions of a UniProt group (``P01615;A0A075B6P5-2``) without their isoforms, each once;
    elsewhere the id itself, in its canonical form.
    """
    if namespace != "uniprot":
        return (canonical(namespace, feature),)
    return tuple(dict.fromkeys(part.strip().partition("-")[0] for part in feature.split(";") if part.strip()))


def likely_namespaces(ids: Sequence[str]) -> list[str]:
    """Namespaces whose form at least nine of ten ids have, the most specific first: for messages only."""
    order = sorted((n for n, form in NAMESPACES.items() if form), key=lambda n: n in ("hgnc_symbol", "protein_symbol"))
    sample = list(ids[:200])
    return [n for n in order if sample and np.mean([bool(NAMESPACES[n].fullmatch(i)) for i in sample]) >= 0.9]  # type: ignore[union-attr]
