"""What ``omicsfm prepare`` is pointed at: a COHORT.yaml, or a .h5mu or .h5ad that holds its own mapping."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from omicsfm.data.ingest.annotated_file import AnnotatedFile
from omicsfm.data.ingest.cohort import CohortFile
from omicsfm.data.ingest.cohort_file import parse_cohort, read_cohort_file
from omicsfm.data.ingest.plain_yaml import refuse_swollen
from omicsfm.data.ingest.tables import ZARR_WAY_OUT
from omicsfm.errors import InputError


def read_cohort(cohort: Path) -> tuple[CohortFile, AnnotatedFile | None]:
    """What the cohort file says, and the file itself where it holds visits and matrices too.

    Raises:
        InputError: It is neither, unreadable, or says something that is not known.
    """
    if cohort.suffix.lower() in (".h5mu", ".h5ad"):
        annotated = AnnotatedFile(cohort)
        return parse_cohort(_embedded_mapping(annotated), where=cohort.name, folder=None), annotated
    if cohort.suffix.lower() in (".yaml", ".yml"):
        return read_cohort_file(cohort), None
    raise InputError(
        f"{cohort}: expected a COHORT.yaml, or a .h5mu or .h5ad that holds its own mapping."
        + (f" {ZARR_WAY_OUT}" if cohort.suffix.lower() == ".zarr" else "")
    )


def _embedded_mapping(annotated: AnnotatedFile) -> Mapping[str, Any]:
    path, node = annotated.path, annotated.uns("omicsfm")
    if node is None:
        raise InputError(
            f"{path}: .uns has no 'omicsfm'. Put the mapping of a COHORT.yaml there (JSON text or nested), or "
            f"write a COHORT.yaml with path: {path.name} for each modality."
        )
    if isinstance(node, str | bytes):
        try:
            node = json.loads(node)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: .uns['omicsfm'] is text but not JSON ({error}).") from None
    refuse_swollen(node, _children, f"{path}: .uns['omicsfm']")
    return _plain(node)


def _children(node: Any) -> list[Any]:
    if isinstance(node, Mapping):
        return list(node.values())
    return list(node) if isinstance(node, list | tuple) else []


def _plain(node: Any) -> Any:
    """numpy's numbers and arrays, as HDF5 gives them back, as Python's."""
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, np.ndarray):
        return _plain(node.tolist())
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    return node.item() if isinstance(node, np.generic) else node
