"""The order of the report, and how it ends."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omicsfm.data.identifiers.bridge import with_mapping
from omicsfm.data.inspect.cost import describe_cost
from omicsfm.data.inspect.findings import Findings
from omicsfm.data.inspect.identifiers import describe_identifiers
from omicsfm.data.inspect.leaks import describe_leaks
from omicsfm.data.inspect.match import describe_match
from omicsfm.data.inspect.matrices import describe_intake, describe_modality, values_of
from omicsfm.data.inspect.outcomes import describe_outcomes
from omicsfm.data.inspect.visits import describe_combinations, describe_visits
from omicsfm.data.store import OmicsStore
from omicsfm.data.store_files import check_all_files


@dataclass(frozen=True)
class InspectReport:
    """What was found: ``text`` to print, ``problems`` to solve before training (none: go ahead)."""

    text: str
    problems: list[str]


def inspect(path: Path, checkpoint: Path | None = None, mapping: Sequence[Path] = ()) -> InspectReport:
    """Look at a store, every byte of it, or at a COHORT.yaml or .h5mu that is prepared in a temporary folder first.

    With ``checkpoint`` the features of each modality are matched with those the checkpoint knows, through the tables of
    identifiers in ``mapping``.

    Raises:
        InputError: There is no store at ``path``, it was changed, the cohort cannot be prepared, the checkpoint is
            unreadable, or a mapping is no table of identifiers.
    """
    path = Path(path)
    if path.is_dir() or not path.suffix:
        store = OmicsStore.open(path)
        check_all_files(path, store.manifest)
        return _report(store, path, checkpoint, mapping)
    from omicsfm.data.ingest.prepare import prepare

    with tempfile.TemporaryDirectory(prefix="omicsfm-inspect-") as folder:
        return _report(prepare(path, Path(folder) / "store"), path, checkpoint, mapping)


def _report(store: OmicsStore, shown: Path, checkpoint: Path | None, mapping: Sequence[Path]) -> InspectReport:
    store = with_mapping(store, mapping)
    found = Findings()
    people = store.visits["participant_id"].nunique()
    found.lines += [f"{store.name}: {people:,} participants, {len(store):,} visits ({shown})", ""]
    describe_intake(store, found)
    seen = {name: values_of(matrix) for name, matrix in store.inputs.items()}
    for name, matrix in store.modalities.items():
        describe_modality(store, name, matrix, seen[name], found)
        describe_identifiers(store, name, matrix.features, found)
    describe_combinations(store, found)
    describe_visits(store, found)
    describe_outcomes(store, found)
    describe_leaks(store, found)
    if checkpoint is not None:
        describe_match(store, Path(checkpoint), {name: own.variance for name, own in seen.items()}, found)
    describe_cost(store, sum(own.tokens for own in seen.values()), found)
    for title, entries in (("notes", found.notes), ("problems", found.problems)):
        found.lines += [f"{title}: {len(entries) or 'none'}", *(f"  - {entry}" for entry in entries)]
    return InspectReport("\n".join(found.lines), found.problems)
