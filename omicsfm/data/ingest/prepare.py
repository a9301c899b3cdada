"""Tables in, a checked store out: what ``omicsfm prepare`` does."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from omicsfm.data.ingest.checks import check_scale, settle_zeros
from omicsfm.data.ingest.cohort import CohortFile, ModalitySpec
from omicsfm.data.ingest.cohort_file import parse_cohort, read_cohort_file
from omicsfm.data.ingest.join import Joined, join_matrix, visit_keys
from omicsfm.data.ingest.leakage import check_copies, check_names
from omicsfm.data.ingest.matrices import RawMatrix, read_annotated_matrix, read_matrix
from omicsfm.data.ingest.matrix_parts import named, stacked
from omicsfm.data.ingest.outcomes import ReadOutcome, check_outcome, read_outcome
from omicsfm.data.ingest.tables import kind_of, obs_table, read_annotated, sha256_of
from omicsfm.data.ingest.visits import Visits, aside_keys, read_visits
from omicsfm.data.store import Matrix, OmicsStore, write_store
from omicsfm.errors import InputError, closest
from omicsfm.features import FeatureSpace


def prepare(cohort: Path, store: Path) -> OmicsStore:
    """Read a COHORT.yaml, or a .h5mu (or .h5ad) that holds its own mapping, and write a store.

    Everything is checked before anything is written; the counts of rows, matches and outcomes are in the store's
    manifest under ``source``.

    Raises:
        InputError: The yaml, a table or what they hold is at fault; nothing was written.
    """
    cohort, store = Path(cohort), Path(store)
    annotated = None
    if cohort.suffix.lower() in (".h5mu", ".h5ad"):
        annotated = read_annotated(cohort)
        said = parse_cohort(_embedded_mapping(annotated, cohort), where=cohort.name, folder=None)
    elif cohort.suffix.lower() in (".yaml", ".yml"):
        said = read_cohort_file(cohort)
    else:
        raise InputError(f"{cohort}: expected a COHORT.yaml, or a .h5mu or .h5ad that holds its own mapping.")
    visits = read_visits(said, None if annotated is None else obs_table(annotated.obs))
    outcomes = [
        read_outcome(
            rule, visits.table, participant_id=visits.store["participant_id"], time_days=visits.store["time_days"]
        )
        for rule in said.outcomes.values()
    ]
    raw = {name: _read(said, spec, visits, annotated) for name, spec in said.modalities.items()}
    _refuse_clinical(said, visits, raw)
    joined = {name: _join(said, spec, raw.pop(name), visits, outcomes) for name, spec in said.modalities.items()}
    kept = _visits_with(said, joined, len(visits.table))
    source = _source(cohort, said, visits, joined, kept)
    final = visits.keep(kept)
    first = ~final.store["participant_id"].duplicated().to_numpy()
    own = [outcome.keep(kept) for outcome in outcomes]
    source["outcomes"] = {outcome.spec.name: check_outcome(outcome, first_visits=first) for outcome in own}
    columns = {name: series for outcome in own for name, series in outcome.columns.items()}
    try:
        return write_store(
            store,
            name=said.name,
            people=said.people,
            visits=final.store,
            outcomes=pd.DataFrame(columns, index=final.store.index),
            outcome_specs={outcome.spec.name: outcome.spec for outcome in own},
            matrices={name: _matrix(said.modalities[name], own, kept) for name, own in joined.items()},
            subgroups=said.subgroups,
            policy=said.policy,
            source=source,
        )
    except OSError as error:
        raise InputError(f"{store}: cannot be written ({error.strerror or error}).") from None


def _embedded_mapping(annotated: Any, path: Path) -> Mapping[str, Any]:
    if "omicsfm" not in annotated.uns:
        raise InputError(
            f"{path}: .uns has no 'omicsfm'. Put the mapping of a COHORT.yaml there (JSON text or nested), or "
            f"write a COHORT.yaml with path: {path.name} for each modality."
        )
    node = annotated.uns["omicsfm"]
    if isinstance(node, str | bytes):
        try:
            node = json.loads(node)
        except ValueError as error:
            raise InputError(f"{path}: .uns['omicsfm'] is text but not JSON ({error}).") from None
    return _plain(node)


def _plain(node: Any) -> Any:
    """numpy's numbers and arrays, as HDF5 gives them back, as Python's."""
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, np.ndarray):
        return _plain(node.tolist())
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    return node.item() if isinstance(node, np.generic) else node


def _read(said: CohortFile, spec: ModalitySpec, visits: Visits, annotated: Any) -> RawMatrix:
    if spec.path is not None:
        parts = [read_matrix(part, _key_columns(said, part, visits)[1]) for part in spec.parts or (spec,)]
        return named(spec, stacked(spec, parts))
    members = getattr(annotated, "mod", dict.fromkeys(list(said.modalities)[:1], annotated))  # a .h5ad is one
    if spec.name not in members:
        raise InputError(
            f"{said.where}: there is no modality '{spec.name}' in the file; {closest(spec.name, members)}."
        )
    return read_annotated_matrix(spec, members[spec.name], ())


def _join(said: CohortFile, spec: ModalitySpec, raw: RawMatrix, visits: Visits, outcomes: list[ReadOutcome]) -> Joined:
    """Match a modality to the visits, and check it against its scale and the outcomes."""
    own, theirs = _key_columns(said, spec, visits)
    keys = visit_keys(visits.table, own, f"{said.where}: visits")
    labels = (f"column {' / '.join(own)}", f"column {' / '.join(theirs)}" if theirs else "row or column names")
    joined = join_matrix(spec.name, raw, keys, set_aside=aside_keys(visits, own, said.where), labels=labels)
    joined = settle_zeros(spec, joined)
    check_scale(spec, joined, visits.store)
    sources = {f"outcome {o.spec.name} (column {c})": visits.table[c] for o in outcomes for c in o.sources}
    derived = [o for o in outcomes if o.spec.kind == "class" or not o.sources]
    sources |= {f"outcome {o.spec.name}": o.columns[o.spec.name] for o in derived}
    check_copies(spec, joined, sources)
    return joined


def _key_columns(said: CohortFile, spec: ModalitySpec, visits: Visits) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns of the visits table and of the matrix that hold the key, in the same order.

    A modality's ``key`` names the matrix's columns. In the visits table the columns of those names are the key;
    where there are none, it is ``visits.key``, or participant_id and visit in this order.
    """
    place, columns = said.visits, visits.table.columns
    if spec.path is None:
        return (str(columns[0]),), ()
    pair = tuple(
        r.column for r in (place.participant_id, place.visit) if r is not None and r.plain and r.column is not None
    )
    default = (place.key,) if place.key is not None else pair
    transposed = spec.layout == "columns_are_visits"
    matrix = spec.key or (() if kind_of(spec.path) in ("h5ad", "h5mu") else default)
    own = spec.key if spec.key and all(name in columns for name in spec.key) else default
    if transposed and len(own) != 1:
        raise InputError(
            f"{said.where}: modalities.{spec.name}: with layout columns_are_visits each column is named by one "
            f"key, found "
            f"{' and '.join(own) or 'none'}. Name a column of the visits table that holds it: key: COLUMN."
        )
    if not own or (matrix and len(own) != len(matrix)):
        raise InputError(
            f"{said.where}: modalities.{spec.name}: the key has {len(matrix)} parts in the matrix "
            f"({', '.join(matrix)}) and "
            f"{len(own)} in the visits ({', '.join(own) or 'none'}). Name the visits' column with key under visits."
        )
    if not matrix and len(own) != 1:
        matrix = own
    return own, () if transposed else matrix


def _refuse_clinical(said: CohortFile, visits: Visits, raw: Mapping[str, RawMatrix]) -> None:
    """Compare feature names with clinical columns. Of a file that holds visits and features both, the clinical
    columns are those that the yaml uses, and for other files those that are no feature.
    """
    paths, used = said.visits.paths, said.clinical_columns()
    sharing = [name for name in raw if set(paths) & set(said.modalities[name].paths)]
    features_there = {feature for name in sharing for feature in raw[name].features}
    table = ", ".join(path.name for path in paths) or ".obs"
    for name, own in raw.items():
        clinical = used if name in sharing else used | (set(visits.table.columns) - features_there)
        check_names(said.modalities[name], own.features, clinical, table)


def _visits_with(said: CohortFile, joined: Mapping[str, Joined], visits: int) -> np.ndarray:
    """Places of the visits that have every required modality, and at least one."""
    has = {name: np.isin(np.arange(visits), own.visits) for name, own in joined.items()}
    kept = np.logical_or.reduce(list(has.values()))
    for name in said.require:
        kept &= has[name]
    if not kept.any():
        raise InputError(
            f"{said.where}: no visit has all of {', '.join(said.require)}. "
            + ", ".join(f"{name}: {int(own.sum()):,} visits" for name, own in has.items())
        )
    return np.flatnonzero(kept)


def _matrix(spec: ModalitySpec, joined: Joined, kept: np.ndarray) -> Matrix:
    among = np.flatnonzero(np.isin(joined.visits, kept))
    raw = joined.matrix.take(among)
    rows = np.searchsorted(kept, joined.visits[among])
    space = FeatureSpace(spec.name, tuple(raw.features), spec.namespace, spec.scale, spec.platform)
    values = raw.values if sparse.issparse(raw.values) else np.asarray(raw.values, dtype=np.float32)
    return Matrix(space, rows, values, raw.below_limit)


def _source(
    cohort: Path, said: CohortFile, visits: Visits, joined: Mapping[str, Joined], kept: np.ndarray
) -> dict[str, Any]:
    files = {
        cohort,
        *said.visits.paths,
        *(path for lookup in said.visits.join for path in lookup.paths),
        *(path for spec in said.modalities.values() for path in spec.paths),
    }
    in_any = np.unique(np.concatenate([own.visits for own in joined.values()]))
    return {
        "files": {path.name: sha256_of(path) for path in sorted(files)},
        "visits": {
            **visits.counts,
            "without_any_modality": len(visits.table) - len(in_any),
            "without_a_required_modality": len(in_any) - len(kept),
            "in_store": len(kept),
        },
        "modalities": {
            name: {
                **own.counts,
                "features": len(own.matrix.features),
                "features_without_limit": own.matrix.without_limit,
            }
            for name, own in joined.items()
        },
    }
