"""Tables in, a checked store out: what ``omicsfm prepare`` does."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.data.ingest.annotated import AnnotatedMatrix
from omicsfm.data.ingest.annotated_file import AnnotatedFile
from omicsfm.data.ingest.blocks import MatrixSource
from omicsfm.data.ingest.cohort import CohortFile
from omicsfm.data.ingest.cohort_source import read_cohort
from omicsfm.data.ingest.hashes import hashed_meanwhile
from omicsfm.data.ingest.join import key_columns, match_rows, visit_keys
from omicsfm.data.ingest.leakage import check_names
from omicsfm.data.ingest.mapped_matrix import in_namespace
from omicsfm.data.ingest.matrices import open_matrix
from omicsfm.data.ingest.modality_intake import ModalityIntake
from omicsfm.data.ingest.outcomes import ReadOutcome, check_outcome, read_outcome
from omicsfm.data.ingest.progress import BusyError, Display, Progress, key_of
from omicsfm.data.ingest.visits import Visits, aside_keys, read_visits
from omicsfm.data.store import OmicsStore
from omicsfm.data.store_writer import StoreWriter, space_of
from omicsfm.errors import InputError, closest


def prepare(cohort: Path, store: Path) -> OmicsStore:
    """Read a COHORT.yaml, or a .h5mu (or .h5ad) that holds its own mapping, and write a store.

    Each matrix is read twice, in blocks: everything is checked before a value is written, and memory does not grow
    with the visits beyond their table. The counts of rows, matches and outcomes are in the store's manifest under
    ``source``. Stopped by a kill, a full disk or Ctrl-C, the same call goes on from the last block that was kept.

    Raises:
        InputError: The yaml, a table or what they hold is at fault and nothing is left behind; or the disk is full,
            and what was done is kept.
    """
    cohort = Path(cohort)
    said, annotated = read_cohort(cohort)
    writer, files = StoreWriter(store), _files(cohort, said)
    progress = Progress(writer.partial, key_of(said, files))
    try:
        with hashed_meanwhile(files) as hashes:
            _prepare(said, annotated, writer, progress, hashes)
    except BusyError:
        raise
    except InputError:
        progress.discard()
        raise
    except OSError as error:
        progress.release()
        raise InputError(
            f"{store}: cannot be written ({error.strerror or error}). What was done is kept in {writer.partial}: solve "
            "that and run the same command again, or delete the folder."
        ) from None
    finally:
        progress.release()
    return OmicsStore.open(store)


def _prepare(
    said: CohortFile, annotated: AnnotatedFile | None, writer: StoreWriter, progress: Progress, hashes: Any
) -> None:
    visits = read_visits(said, None if annotated is None else annotated.obs())
    outcomes = [
        read_outcome(
            rule, visits.table, participant_id=visits.store["participant_id"], time_days=visits.store["time_days"]
        )
        for rule in said.outcomes.values()
    ]
    modalities = _open(said, annotated, visits, outcomes, progress.folder)
    _check_space(writer, sum(own.bytes_needed() for own in modalities.values()))
    display = Display(2 * sum(own.rows for own in modalities.values()))
    before = 0
    for name, own in modalities.items():
        own.scan(progress, lambda done, name=name, before=before: display.at(before + done, f"check {name}"))  # type: ignore[misc]
        before += own.rows
    kept = _visits_with(said, modalities, len(visits.table))
    final = visits.keep(kept)
    first = ~final.store["participant_id"].duplicated().to_numpy()
    known = [outcome.keep(kept) for outcome in outcomes]
    counts = {outcome.spec.name: check_outcome(outcome, first_visits=first) for outcome in known}
    entries = {}
    for name, own in modalities.items():
        tell = lambda done, name=name, before=before: display.at(before + done, f"write {name}")  # noqa: E731
        entries[name] = own.write(writer, kept, progress, tell)
        before += own.rows
    display.close()
    source = {"files": hashes(), **_source(visits, modalities, kept), "outcomes": counts}
    progress.finish()
    columns = {name: series for outcome in known for name, series in outcome.columns.items()}
    writer.finish(
        name=said.name,
        people=said.people or said.name,
        visits=final.store,
        outcomes=pd.DataFrame(columns, index=final.store.index),
        outcome_specs={outcome.spec.name: outcome.spec for outcome in known},
        modalities=entries,
        clinical=said.clinical,
        subgroups=said.subgroups,
        policy=said.policy,
        source=source,
    )


def _files(cohort: Path, said: CohortFile) -> set[Path]:
    """Every file that is read."""
    return {
        cohort,
        *said.visits.paths,
        *(path for lookup in said.visits.join for path in lookup.paths),
        *(path for spec in said.modalities.values() for path in spec.paths),
    }


def _open(
    said: CohortFile, annotated: AnnotatedFile | None, visits: Visits, outcomes: list[ReadOutcome], scratch: Path
) -> dict[str, ModalityIntake]:
    """Match the rows of every modality to the visits, before a value is read."""
    columns = list(visits.table.columns)
    keys = {name: key_columns(said, spec, columns) for name, spec in said.modalities.items()}
    sources: dict[str, MatrixSource] = {}
    for name, spec in said.modalities.items():
        if annotated is not None:
            members = annotated.members or list(said.modalities)[:1]  # a .h5ad is one modality
            if name not in members:
                raise InputError(f"{said.where}: there is no modality '{name}' in the file; {closest(name, members)}.")
            sources[name] = AnnotatedMatrix(spec, annotated, ())
        else:
            theirs = [key_columns(said, part, columns)[1] for part in spec.parts or (spec,)]
            sources[name] = open_matrix(spec, theirs, scratch)
    _refuse_clinical(said, visits, sources)
    targets = _targets(visits, outcomes)
    opened = {}
    for name, source in sources.items():
        own, theirs_first = keys[name]
        match = match_rows(
            name,
            source.keys,
            visit_keys(visits.table, own, f"{said.where}: visits"),
            set_aside=aside_keys(visits, own, said.where),
            labels=(
                f"column {' / '.join(own)}",
                f"column {' / '.join(theirs_first)}" if theirs_first else "row or column names",
            ),
        )
        named = in_namespace(said.modalities[name], source)
        opened[name] = ModalityIntake(named, match, visits=visits.store, outcomes=targets)
    return opened


def _targets(visits: Visits, outcomes: list[ReadOutcome]) -> dict[str, pd.Series]:
    """What no feature may equal: the columns that outcomes come from, and classes and later values themselves."""
    sources = {f"outcome {o.spec.name} (column {c})": visits.table[c] for o in outcomes for c in o.sources}
    derived = [o for o in outcomes if o.spec.kind == "class" or not o.sources]
    return sources | {f"outcome {o.spec.name}": o.columns[o.spec.name] for o in derived}


def _refuse_clinical(said: CohortFile, visits: Visits, sources: Mapping[str, MatrixSource]) -> None:
    """Compare feature names with clinical columns. Of a file that holds visits and features both, the clinical
    columns are those that the yaml uses, and for other files those that are no feature.
    """
    paths, used = said.visits.paths, said.clinical_columns()
    sharing = [name for name in sources if set(paths) & set(said.modalities[name].paths)]
    features_there = {feature for name in sharing for feature in sources[name].features}
    table = ", ".join(path.name for path in paths) or ".obs"
    for name, own in sources.items():
        clinical = used if name in sharing else used | (set(visits.table.columns) - features_there)
        check_names(said.modalities[name], own.features, clinical, table)


def _visits_with(said: CohortFile, modalities: Mapping[str, ModalityIntake], visits: int) -> np.ndarray:
    """Places of the visits that have every required modality, and at least one."""
    has = {}
    for name, own in modalities.items():
        has[name] = np.zeros(visits, bool)
        has[name][own.measured_visits()] = True
    kept = np.logical_or.reduce(list(has.values()))
    for name in said.require:
        kept &= has[name]
    if not kept.any():
        raise InputError(
            f"{said.where}: no visit has all of {', '.join(said.require)}. "
            + ", ".join(f"{name}: {int(own.sum()):,} visits" for name, own in has.items())
        )
    return np.flatnonzero(kept)


def _check_space(writer: StoreWriter, needed: int) -> None:
    """Refuse before hours of work what the disk cannot hold."""
    folder = next(parent for parent in writer.partial.resolve().parents if parent.exists())
    free = shutil.disk_usage(folder).free + (space_of(writer.partial) if writer.partial.exists() else 0)
    if needed > free:
        raise InputError(
            f"{writer.path}: the store may take {needed / 1e9:,.1f} GB, but {folder} has {free / 1e9:,.1f} GB free. "
            "Make room, or name a STORE on another disk."
        )


def _source(visits: Visits, modalities: Mapping[str, ModalityIntake], kept: np.ndarray) -> dict[str, Any]:
    in_any = len(np.unique(np.concatenate([own.measured_visits() for own in modalities.values()])))
    return {
        "visits": {
            **visits.counts,
            "without_any_modality": len(visits.table) - in_any,
            "without_a_required_modality": in_any - len(kept),
            "in_store": len(kept),
        },
        "modalities": {
            name: {
                **own.counts,
                "features": int(own.scanned.features.sum()),
                "features_without_limit": [
                    feature
                    for feature, is_kept in zip(own.source.features, own.scanned.features, strict=True)
                    if not is_kept
                ],
            }
            for name, own in modalities.items()
        },
    }
