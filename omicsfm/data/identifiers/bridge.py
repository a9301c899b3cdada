"""A store whose features know, by a table of identifiers, what they are called in other namespaces."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from omicsfm.data.identifiers.build import read_mapping
from omicsfm.data.store import OmicsStore


def with_mapping(store: OmicsStore, paths: Sequence[Path]) -> OmicsStore:
    """The store, its features translated by the tables at ``paths`` wherever they meet a checkpoint's; without paths
    the store as it is. Its manifest then says which tables, under ``mapping``.

    Raises:
        InputError: A file is missing, damaged, or no table of identifiers.
    """
    if not paths:
        return store
    table = read_mapping(paths)
    modalities = {}
    for name, matrix in store.modalities.items():
        modalities[name] = copy.copy(matrix)
        modalities[name].features = replace(matrix.features, translator=table)
    return replace(store, modalities=modalities, manifest={**store.manifest, "mapping": table.record()})
