"""The rules by which an id of one namespace becomes an id of another.

1. An id is what it is approved for. Only where it is approved for nothing, former symbols, aliases and successors of
   withdrawn ids count, and then all alike: if they are several things, the id is ambiguous.
2. A group (UniProt accessions joined by ``;``) is what all of its members that the table knows agree on.
3. A thing is given its approved id of the target namespace. Without one, its other approved ids are looked up in turn
   (a SomaScan reagent has a UniProt accession, which a gene has as well): one such step, no more.
4. Where several ids of the target remain, the id is ambiguous, and is never resolved by order, length or luck.
"""

import pandas as pd

from omicsfm.namespaces import canonical, members
from omicsfm.placement import Meaning


class Links:
    """A table's rows by id and by entity, each namespace when it is first asked for."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self._rows = dict(list(rows.groupby("namespace", sort=False)))
        self._by_id: dict[str, dict[str, list[tuple[str, str]]]] = {}
        self._by_entity: dict[str, dict[str, list[str]]] = {}

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Namespaces that have rows."""
        return tuple(self._rows)

    def bearers(self, namespace: str, feature: str) -> list[tuple[str, str]]:
        """Entity and kind of every row with this id."""
        if namespace not in self._by_id:
            index: dict[str, list[tuple[str, str]]] = {}
            rows = self._rows.get(namespace)
            if rows is not None:
                for own, entity, kind in zip(rows["id"], rows["entity"], rows["kind"], strict=True):
                    index.setdefault(own, []).append((entity, kind))
            self._by_id[namespace] = index
        return self._by_id[namespace].get(feature, [])

    def approved(self, namespace: str, entity: str) -> list[str]:
        """Approved ids of an entity."""
        if namespace not in self._by_entity:
            index: dict[str, list[str]] = {}
            rows = self._rows.get(namespace)
            if rows is not None:
                rows = rows[rows["kind"] == "approved"]
                for own, entity_of_row in zip(rows["id"], rows["entity"], strict=True):
                    index.setdefault(entity_of_row, []).append(own)
            self._by_entity[namespace] = index
        return self._by_entity[namespace].get(entity, [])


def resolve(links: Links, feature: str, source: str, target: str) -> Meaning:
    """What ``feature`` of namespace ``source`` is in namespace ``target``."""
    parts = members(source, feature)
    if source == target and (len(parts) > 1 or source == "uniprot"):
        return Meaning(parts)  # its members are what it is; nothing to agree on
    found = [_resolve_one(links, part, source, target) for part in parts]
    known = [one for one in found if one.ids or one.ambiguous]
    withdrawn, reused = any(one.withdrawn for one in found), any(one.reused for one in found)
    ids = tuple(sorted({other for one in known for other in one.ids}))
    return Meaning(ids, len(ids) > 1 or any(one.ambiguous for one in known), withdrawn, reused)


def _resolve_one(links: Links, feature: str, source: str, target: str) -> Meaning:
    bearers = links.bearers(source, feature)
    approved = {entity for entity, kind in bearers if kind == "approved"}
    withdrawn = not approved and any(kind == "withdrawn" for _, kind in bearers)
    entities = approved or {entity for entity, _ in bearers}
    reused = bool(approved) and len({entity for entity, _ in bearers}) > len(approved)
    ids = {other for entity in entities for other in links.approved(target, entity)}
    if not ids:
        ids = _one_step_further(links, entities, source, target)
    elif source == target and approved:
        ids = {feature}  # approved as it stands, even where two entities share it
    several = len(ids) > 1 or (bool(ids) and len(entities) > 1 and not approved)
    return Meaning(tuple(sorted(ids)), several, withdrawn, reused)


def _one_step_further(links: Links, entities: set[str], source: str, target: str) -> set[str]:
    """Ids of the target namespace that things of the same approved id have."""
    found: set[str] = set()
    for namespace in links.namespaces:
        if namespace in (source, target):
            continue
        for entity in entities:
            for other in links.approved(namespace, entity):
                for further, kind in links.bearers(namespace, canonical(namespace, other)):
                    if kind == "approved" and further not in entities:
                        found.update(links.approved(target, further))
    return found
