"""Parts of a store, prepared by independent tasks, as one store: what ``omicsfm merge`` does."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from omicsfm.data.ingest.attempt import attempt, check_space
from omicsfm.data.ingest.blocks import CELLS, Matched, Values
from omicsfm.data.ingest.copies import CopyCheck
from omicsfm.data.ingest.hdf5_matrix import row_ranges
from omicsfm.data.ingest.leaks import refuse_leaks, unfinished_store
from omicsfm.data.ingest.modality_intake import COUNTS_OF_ROWS
from omicsfm.data.ingest.outcomes import ReadOutcome, check_outcome
from omicsfm.data.ingest.part import TARGETS
from omicsfm.data.ingest.progress import Display, Progress
from omicsfm.data.store import OmicsStore
from omicsfm.data.store_writer import StoreWriter, space_of
from omicsfm.errors import InputError


def merge(store: Path, parts: Sequence[Path]) -> OmicsStore:
    """Join the parts of one cohort; the store is the one that ``prepare`` would have written in one go.

    Arrays are copied in blocks. What a part alone cannot judge is judged here: outcomes, and what gives one away.
    Stopped, the same call goes on from the last block that was kept. The parts stay.

    Raises:
        InputError: A part is missing or of another cohort, or the whole is refused.
    """
    store = Path(store)
    opened = _in_order(store, [OmicsStore.open(part) for part in parts])
    writer = StoreWriter(store)
    key = sha256("".join(part.fingerprint for part in opened).encode()).hexdigest()
    progress = Progress(writer.partial, key)
    with attempt(writer, progress):
        _merge(opened, writer, progress)
    return OmicsStore.open(store)


def _in_order(store: Path, parts: Sequence[OmicsStore]) -> list[OmicsStore]:
    known: dict[int, OmicsStore] = {}
    for part in parts:
        said = part.manifest["source"].get("part")
        if said is None:
            raise InputError(f"{part.path}: is a whole store, not a part of one. Parts come from: prepare --part 1/N.")
        if said["key"] != parts[0].manifest["source"]["part"]["key"]:
            raise InputError(
                f"{part.path} and {parts[0].path} were prepared from other files, or from files that changed between. "
                "Prepare all parts again."
            )
        known[said["number"]] = part
    of = parts[0].manifest["source"]["part"]["of"] if parts else 0
    if missing := [str(number) for number in range(1, of + 1) if number not in known]:
        raise InputError(
            f"{store}: {len(missing):,} of {of:,} parts are missing (part {', '.join(missing[:10])}). Prepare them "
            f"with --part {missing[0]}/{of}."
        )
    if not parts:
        raise InputError(f"{store}: there are no parts beside it. Name their folders, or prepare them with --part 1/N.")
    return [known[number] for number in sorted(known)]


def _merge(parts: list[OmicsStore], writer: StoreWriter, progress: Progress) -> None:
    check_space(writer, sum(space_of(part.path) for part in parts))
    filled = [part for part in parts if len(part)]
    if not filled:
        raise InputError(f"{writer.path}: no part has a visit with all that is required.")
    visits = pd.concat([part.visits for part in filled], ignore_index=True)
    columns = pd.concat([part.outcomes for part in filled], ignore_index=True)
    targets = pd.concat([pd.read_parquet(part.path / TARGETS) for part in filled], ignore_index=True)
    listed = parts[0].manifest["source"]["part"]["classes_listed"]
    first = ~visits["participant_id"].duplicated().to_numpy()
    known = {}
    for name, spec in parts[0].outcome_specs.items():
        own = {column: columns[column] for column in columns if column == name or column.startswith(f"{name}.")}
        known[name] = ReadOutcome(spec, own, (), listed[name]).keep(np.arange(len(visits)))
    counts = {name: check_outcome(outcome, first_visits=first) for name, outcome in known.items()}
    display = Display(sum(len(part.modalities[name].rows) for part in parts for name in part.modalities))
    entries = {name: _join(name, parts, targets, writer, progress, display) for name in parts[0].modalities}
    display.close()
    manifest = parts[0].manifest
    specs = {name: outcome.spec for name, outcome in known.items()}
    written = unfinished_store(writer.partial, manifest["name"], visits, columns, specs, entries)
    leaks = refuse_leaks(written, {str(described): targets[described] for described in targets})
    progress.finish()
    writer.finish(
        name=manifest["name"],
        people=manifest["people"],
        visits=visits,
        outcomes=columns,
        outcome_specs=specs,
        modalities=entries,
        clinical=None if manifest["clinical"] is None else tuple(manifest["clinical"]),
        subgroups=tuple(manifest["subgroups"]),
        policy=manifest["policy"],
        source={**_source(parts), "outcomes": counts, "leaks": leaks},
    )


def _join(
    name: str,
    parts: list[OmicsStore],
    targets: pd.DataFrame,
    writer: StoreWriter,
    progress: Progress,
    display: Display,
) -> dict[str, Any]:
    """Copy one modality of all parts. Returns its entry of the manifest."""
    starts = np.cumsum([0, *(len(part) for part in parts)])
    rows = np.concatenate([part.modalities[name].rows + start for part, start in zip(parts, starts[:-1], strict=True)])
    whole = parts[0].modalities[name].features
    for part in parts:
        if part.modalities[name].features.ids != whole.ids:
            raise InputError(f"{part.path}: {name} has other features than {parts[0].path}. Prepare all parts again.")
    folders = [part.path / "modalities" / name for part in parts]
    sizes = [np.diff(np.load(folder / "indptr.npy")) for folder in folders if (folder / "indptr.npy").exists()]
    limited = any((folder / "below_limit.npy").exists() for folder in folders)
    about = pd.read_parquet(folders[0] / "features.parquet").drop(columns="feature_id")
    entries = np.concatenate(sizes) if sizes else None
    own = writer.add(whole, rows, about=about, entries=entries, below_limit=limited)
    check = CopyCheck(name, whole.ids, {described: targets[described] for described in targets})
    step, done = f"{name}.merge", 0
    if (saved := progress.saved(step)) is not None:
        done, own.missing, own.below_limit = saved.pop("counts").tolist()
        check.seen = saved
    for place, values, below in _blocks(folders, len(whole), done):
        here = np.arange(place, place + values.shape[0])
        check.update(Matched(values, rows[here]))
        own.write(here, values, below)
        display.at(display.done + len(here), f"join {name}")
        if progress.due:
            own.flush()
            counts = np.array([place + len(here), own.missing, own.below_limit])
            progress.save(step, {**check.seen, "counts": counts})
    check.finish(lambda: ())
    return own.close()


def _blocks(folders: list[Path], features: int, start: int) -> Iterator[tuple[int, Values, np.ndarray | None]]:
    """Rows of the parts from row ``start`` of the whole on, with the place of the first of each block."""
    before = 0
    for folder in folders:
        rows, sparse_rows = len(np.load(folder / "rows.npy")), (folder / "indptr.npy").exists()
        bounds = np.load(folder / "indptr.npy") if sparse_rows else np.arange(rows + 1) * features
        for low, high in row_ranges(bounds, CELLS, rows):
            if before + low >= start:  # mapped anew for each block, so that pages that were read do not count as held
                yield before + low, _read(folder, bounds, low, high, features), _flags(folder, low, high)
        before += rows


def _read(folder: Path, bounds: np.ndarray, low: int, high: int, features: int) -> Values:
    if (folder / "values.npy").exists():
        return np.array(np.load(folder / "values.npy", mmap_mode="r")[low:high])
    stored = slice(bounds[low], bounds[high])
    data, indices = (np.array(np.load(folder / f"{name}.npy", mmap_mode="r")[stored]) for name in ("data", "indices"))
    shape = (high - low, features)
    return sparse.csr_matrix((data, indices.astype(np.int32), bounds[low : high + 1] - stored.start), shape=shape)


def _flags(folder: Path, low: int, high: int) -> np.ndarray | None:
    file = folder / "below_limit.npy"
    return np.array(np.load(file, mmap_mode="r")[low:high]) if file.exists() else None


def _source(parts: list[OmicsStore]) -> dict[str, Any]:
    """What was counted, of all parts together."""
    first, *others = [part.manifest["source"] for part in parts]

    def total(own: dict[str, Any], rest: list[dict[str, Any]], counted: tuple[str, ...] | None) -> dict[str, Any]:
        keys = dict.fromkeys(key for counts in (own, *rest) for key in counts)
        return {
            key: sum(counts.get(key, 0) for counts in (own, *rest)) if counted is None or key in counted else own[key]
            for key in keys
        }

    return {
        "files": first["files"],
        "visits": total(first["visits"], [other["visits"] for other in others], None),
        "modalities": {
            name: total(counts, [other["modalities"][name] for other in others], COUNTS_OF_ROWS)
            for name, counts in first["modalities"].items()
        },
    }
