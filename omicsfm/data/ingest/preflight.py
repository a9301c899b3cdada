"""The console script's door: a look at the headers of a cohort's files, before anything heavy is imported."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omicsfm.data.ingest.places import place_of
from omicsfm.data.ingest.rehearsal import rehearse

HDF5 = (".h5ad", ".h5mu")


def preflight(cohort: Path) -> None:
    """Refuse a cohort whose yaml or HDF5 files could not be read safely; the readers check the same files again.

    Raises:
        InputError: The message names the file and the entry.
    """
    paths = [cohort]
    if cohort.suffix.lower() in (".yaml", ".yml"):
        from omicsfm.data.ingest.plain_yaml import read_yaml

        said = _paths(read_yaml(cohort), named=False)
        paths = [place_of(path, cohort.name, cohort.parent) for path in said]
    for path in paths:
        if path.suffix.lower() in HDF5:
            rehearse(path)


def _paths(node: Any, *, named: bool) -> Iterator[str]:
    """Every path that a yaml names."""
    if isinstance(node, Mapping):
        for key, own in node.items():
            yield from _paths(own, named=key == "path")
    elif isinstance(node, list):
        for own in node:
            yield from _paths(own, named=named)
    elif named and isinstance(node, str):
        yield node
