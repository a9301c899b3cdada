"""Tables in, a checked store out: what ``omicsfm prepare`` does."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.data.ingest.annotated import AnnotatedMatrix
from omicsfm.data.ingest.annotated_file import AnnotatedFile
from omicsfm.data.ingest.attempt import attempt, check_space
from omicsfm.data.ingest.blocks import MatrixSource
from omicsfm.data.ingest.clinical_columns import check_names, covariates_to_read
from omicsfm.data.ingest.cohort import CohortFile
from omicsfm.data.ingest.cohort_source import read_cohort
from omicsfm.data.ingest.columns import as_text
from omicsfm.data.ingest.hashes import hashed_meanwhile
from omicsfm.data.ingest.join import key_columns, match_rows, visit_keys
from omicsfm.data.ingest.leaks import contradicting_labels, join_keys, refuse_leaks, unfinished_store
from omicsfm.data.ingest.mapped_matrix import in_namespace
from omicsfm.data.ingest.matrices import open_matrix
from omicsfm.data.ingest.modality_intake import ModalityIntake
from omicsfm.data.ingest.outcomes import ReadOutcome, check_outcome, read_outcome
from omicsfm.data.ingest.part import TARGETS, Part
from omicsfm.data.ingest.progress import Display, Progress, key_of
from omicsfm.data.ingest.visits import Visits, aside_keys, read_visits
from omicsfm.data.store import OmicsStore
from omicsfm.data.store_writer import StoreWriter
from omicsfm.errors import InputError, closest


def prepare(cohort: Path, store: Path, part: Part | None = None) -> OmicsStore:
    """Read a COHORT.yaml, or a .h5mu (or .h5ad) that holds its own mapping, and write a store.

    Each matrix is read twice, in blocks: everything is checked before a value is written, and memory does not grow
    with the visits beyond their table. The counts of rows, matches and outcomes are in the store's manifest under
    ``source``. Stopped by a kill, a full disk or Ctrl-C, the same call goes on from the last block that was kept.
    With ``part`` only the visits of some participants are prepared, into a folder beside ``store``, for ``merge``.

    Raises:
        InputError: The yaml, a table or what they hold is at fault and nothing is left behind; or the disk is full,
            and what was done is kept.
    """
    cohort = Path(cohort)
    store = Path(store) if part is None else part.folder(Path(store))
    said, annotated = read_cohort(cohort)
    writer, files = StoreWriter(store), _files(cohort, said)
    progress = Progress(writer.partial, key_of((said, part), files))
    with attempt(writer, progress), hashed_meanwhile(files) as hashes:
        _prepare(said, annotated, part, files, writer, progress, hashes)
    return OmicsStore.open(store)


def _prepare(
    said: CohortFile,
    annotated: AnnotatedFile | None,
    part: Part | None,
    files: set[Path],
    writer: StoreWriter,
    progress: Progress,
    hashes: Callable[[], dict[str, str]],
) -> None:
    visits = read_visits(said, None if annotated is None else annotated.obs())
    outcomes = [
        read_outcome(
            rule, visits.table, participant_id=visits.store["participant_id"], time_days=visits.store["time_days"]
        )
        for rule in said.outcomes.values()
    ]
    targets = _targets(visits, outcomes)
    clinical = covariates_to_read(said, outcomes)
    modalities = _open(said, annotated, part, visits, targets, progress.folder)
    check_space(writer, sum(own.bytes_needed() for own in modalities.values()))
    display = Display(2 * sum(own.rows for own in modalities.values()))
    before = 0
    for name, own in modalities.items():
        own.scan(progress, lambda done, name=name, before=before: display.at(before + done, f"check {name}"))  # type: ignore[misc]
        before += own.rows
    kept = _visits_with(said, modalities, len(visits.table), may_be_none=part is not None)
    final = visits.keep(kept)
    known = [outcome.keep(kept, narrow=part is None) for outcome in outcomes]
    counts = {} if part is not None else _checked(final, known)
    entries = {}
    for name, own in modalities.items():
        tell = lambda done, name=name, before=before: display.at(before + done, f"write {name}")  # noqa: E731
        entries[name] = own.write(writer, kept, progress, tell)
        before += own.rows
    display.close()
    source = {"files": hashes(), **_source(visits, part, modalities, kept)}
    columns = {name: series for outcome in known for name, series in outcome.columns.items()}
    of_visits = pd.DataFrame(columns, index=final.store.index)
    specs = {outcome.spec.name: outcome.spec for outcome in known}
    own_targets = {described: series.iloc[kept].reset_index(drop=True) for described, series in targets.items()}
    if part is None:
        written = unfinished_store(writer.partial, said.name, final.store, of_visits, specs, entries)
        leaks = refuse_leaks(written, own_targets, join_keys(said, final))
        source |= {"outcomes": counts, "leaks": [*contradicting_labels(said, visits, modalities), *leaks]}
    else:  # what only the whole can judge is left to the merge
        listed = {outcome.spec.name: outcome.listed for outcome in outcomes}
        source["part"] = part.record(key_of(said, files), listed)
        texts = {described: as_text(series) for described, series in own_targets.items()}
        pd.DataFrame(texts).to_parquet(writer.partial / TARGETS)
    progress.finish()
    writer.finish(
        name=said.name,
        people=said.people or said.name,
        visits=final.store,
        outcomes=of_visits,
        outcome_specs=specs,
        modalities=entries,
        clinical=clinical,
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
    said: CohortFile,
    annotated: AnnotatedFile | None,
    part: Part | None,
    visits: Visits,
    targets: Mapping[str, pd.Series],
    scratch: Path,
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
            theirs = [key_columns(said, file, columns)[1] for file in spec.parts or (spec,)]
            sources[name] = open_matrix(spec, theirs, scratch)
    _refuse_clinical(said, visits, sources)
    mine = None if part is None else part.visits(visits.store["participant_id"])
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
        if part is None or mine is None:
            opened[name] = ModalityIntake(named, match, visits=visits.store, outcomes=targets)
        else:
            own_match = part.own(match, mine)
            opened[name] = ModalityIntake(named, own_match, visits=visits.store, outcomes={}, may_be_empty=True)
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


def _checked(final: Visits, outcomes: list[ReadOutcome]) -> dict[str, dict[str, int]]:
    """Counts of every outcome over the visits of the store."""
    first = ~final.store["participant_id"].duplicated().to_numpy()
    return {outcome.spec.name: check_outcome(outcome, first_visits=first) for outcome in outcomes}


def _visits_with(
    said: CohortFile, modalities: Mapping[str, ModalityIntake], visits: int, *, may_be_none: bool
) -> np.ndarray:
    """Places of the visits that have every required modality, and at least one."""
    has = {}
    for name, own in modalities.items():
        has[name] = np.zeros(visits, bool)
        has[name][own.measured_visits()] = True
    kept = np.logical_or.reduce(list(has.values()))
    for name in said.require:
        kept &= has[name]
    if not (kept.any() or may_be_none):
        raise InputError(
            f"{said.where}: no visit has all of {', '.join(said.require)}. "
            + ", ".join(f"{name}: {int(own.sum()):,} visits" for name, own in has.items())
        )
    return np.flatnonzero(kept)


def _source(
    visits: Visits, part: Part | None, modalities: Mapping[str, ModalityIntake], kept: np.ndarray
) -> dict[str, Any]:
    in_any = len(np.unique(np.concatenate([own.measured_visits() for own in modalities.values()])))
    rows, everybody = visits.counts, len(visits.table)
    if part is not None:
        everybody = int(part.visits(visits.store["participant_id"]).sum())
        rows = rows if part.number == 1 else dict.fromkeys(rows, 0)
    return {
        "visits": {
            **rows,
            "without_any_modality": everybody - in_any,
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
