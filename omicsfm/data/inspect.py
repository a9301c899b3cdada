"""A dry run: what a store holds, what it would cost to train on, and what stands in the way."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.store import OmicsStore
from omicsfm.data.stored_matrix import StoredMatrix
from omicsfm.errors import InputError, closest
from omicsfm.features import FeatureSpace
from omicsfm.namespaces import NAMESPACES, likely_namespaces
from omicsfm.paths import configs_dir

BLOCK = 4096  # visits read at a time
FORM_MIN = 0.5  # share of ids with their namespace's form, below which the namespace is wrong
FEW = 10  # members of the smallest class, or events, below which five folds say little
TOKENS_PER_SECOND = 170_000
"""Measured values a second in a pretraining step (forward, backward, update) of model=small on one core of a 2020s
server CPU, float32, batches of 32 visits."""
EPOCHS, MAX_FEATURES = 60, 512
"""Most epochs of task=pretrain, and features of a visit and modality it draws, as configs/ have them."""


@dataclass(frozen=True)
class InspectReport:
    """What was found: ``text`` to print, ``problems`` to solve before training (none: go ahead)."""

    text: str
    problems: list[str]


@dataclass
class _Findings:
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def inspect(path: Path, checkpoint: Path | None = None) -> InspectReport:
    """Look at a store, or at a COHORT.yaml or .h5mu that is prepared in a temporary folder first.

    With ``checkpoint`` the features of each modality are matched with those the checkpoint knows.

    Raises:
        InputError: There is no store at ``path``, the cohort cannot be prepared, or the checkpoint is unreadable.
    """
    path = Path(path)
    if path.is_dir() or not path.suffix:
        return _report(OmicsStore.open(path), path, checkpoint)
    from omicsfm.data.ingest.prepare import prepare

    with tempfile.TemporaryDirectory(prefix="omicsfm-inspect-") as folder:
        return _report(prepare(path, Path(folder) / "store"), path, checkpoint)


def _report(store: OmicsStore, shown: Path, checkpoint: Path | None) -> InspectReport:
    found = _Findings()
    people = store.visits["participant_id"].nunique()
    found.lines += [f"{store.name}: {people:,} participants, {len(store):,} visits ({shown})", ""]
    _intake(store, found)
    tokens = sum(_modality(store, name, matrix, found) for name, matrix in store.modalities.items())
    _missingness_map(store, found)
    _visits(store, found)
    _outcomes(store, found)
    if checkpoint is not None:
        _checkpoint(store, Path(checkpoint), found)
    _forecast(store, tokens, found)
    for title, entries in (("notes", found.notes), ("problems", found.problems)):
        found.lines += [f"{title}: {len(entries) or 'none'}", *(f"  - {entry}" for entry in entries)]
    return InspectReport("\n".join(found.lines), found.problems)


def _intake(store: OmicsStore, found: _Findings) -> None:
    """What prepare counted."""
    source = store.manifest.get("source", {})
    tables = {**({"visits": source["visits"]} if source.get("visits") else {}), **source.get("modalities", {})}
    for name, counts in tables.items():
        shown = [
            f"{value:,} {key.replace('_', ' ')}" for key, value in counts.items() if isinstance(value, int) and value
        ]
        found.lines.append(f"intake of {name}: {', '.join(shown)}")
        if gone := counts.get("features_without_limit"):
            found.notes.append(f"{name}: left out, every value below a limit that is not stated: {', '.join(gone[:5])}")
    found.lines += [""] if tables else []


def _modality(store: OmicsStore, name: str, matrix: StoredMatrix, found: _Findings) -> int:
    """Describe one modality; returns the tokens of an epoch."""
    space = matrix.features
    measured = np.zeros(len(space), dtype=np.int64)
    below = zeros = tokens = 0
    for values, flags in _blocks(matrix):
        present = ~np.isnan(values)
        measured += present.sum(axis=0)
        below += int(flags.sum())
        zeros += int((values == 0).sum())
        tokens += int(np.minimum(present.sum(axis=1), MAX_FEATURES).sum())
    cells, total = max(len(matrix.rows) * len(space), 1), int(measured.sum())
    people = store.visits["participant_id"].iloc[matrix.rows].nunique()
    found.lines.append(
        f"{name}: {len(space):,} features ({space.namespace}, {space.scale}) at {len(matrix.rows):,} visits of "
        f"{people:,} "
        f"participants; {1 - total / cells:.1%} not measured, {below / max(total, 1):.1%} below the limit"
    )
    if not total:
        found.problems.append(f"{name}: no value is measured. Leave the modality out, or prepare the store again.")
    elif never := int((measured == 0).sum()):
        found.notes.append(
            f"{name}: {never:,} features are measured at no visit (first: '{space.ids[int(np.argmin(measured))]}')."
        )
    if space.scale in ("log2", "log10", "ln") and zeros > 0.005 * max(total, 1):
        found.notes.append(
            f"{name}: {zeros:,} values ({zeros / total:.1%}) are exactly 0 on scale {space.scale}; if 0 stands for "
            f"not measured "
            "or not detected, leave those cells empty or mark them as below the limit."
        )
    if not (configs_dir() / "modality" / f"{name}.yaml").exists():
        found.notes.append(
            f"{name}: has no file in configs/modality, so it gets the generic one for scale {space.scale}."
        )
    _identifiers(name, space, found)
    return tokens


def _identifiers(name: str, space: FeatureSpace, found: _Findings) -> None:
    form = NAMESPACES[space.namespace]
    if form is None:
        found.lines.append(f"  identifiers: free text (first '{space.ids[0]}')")
        return
    odd = [feature for feature in space.ids if not form.fullmatch(feature)]
    share = 1 - len(odd) / len(space)
    found.lines.append(
        f"  identifiers: {share:.1%} have the form of {space.namespace}" + (f", not '{odd[0]}'" if odd else "")
    )
    if share < FORM_MIN:
        likely = [n for n in likely_namespaces(space.ids) if n != space.namespace]
        found.problems.append(
            f"{name}: only {share:.1%} of the ids have the form of namespace {space.namespace} (first other "
            f"'{odd[0]}'). "
            + (
                f"They look like {' or '.join(likely)}: set namespace to that."
                if likely
                else "Set namespace: local, or map them."
            )
        )


def _missingness_map(store: OmicsStore, found: _Findings) -> None:
    """Which modalities visits have together, and how often."""
    has = pd.DataFrame({name: np.isin(np.arange(len(store)), m.rows) for name, m in store.modalities.items()})
    has["participant_id"] = store.visits["participant_id"].to_numpy()
    names = list(store.modalities)
    groups = has.groupby(names)["participant_id"].agg(["size", "nunique"]).sort_values("size", ascending=False)
    found.lines += [
        "",
        "what a visit has (x measured, . not)",
        "  " + "  ".join(names) + "  visits        participants",
    ]
    for key, row in groups.iterrows():
        flags = key if isinstance(key, tuple) else (key,)
        marks = "  ".join(("x" if flag else ".").center(len(name)) for name, flag in zip(names, flags, strict=True))
        found.lines.append(f"  {marks}  {row['size']:>6,} {row['size'] / len(store):>6.1%} {row['nunique']:>12,}")


def _visits(store: OmicsStore, found: _Findings) -> None:
    sizes = store.visits.groupby("participant_id").size().value_counts().sort_index()
    spread = ", ".join(f"{number} ({people:,})" for number, people in sizes.head(12).items())
    found.lines += ["", f"visits per participant (participants): {spread}" + (", ..." if len(sizes) > 12 else "")]
    ordered = store.visits.sort_values(["participant_id", "time_days"], kind="stable")
    gaps = ordered.groupby("participant_id")["time_days"].diff().dropna()
    if len(gaps):
        low, middle, high = np.quantile(gaps, [0, 0.5, 1])
        found.lines.append(f"days between visits: median {middle:,.0f}, from {low:,.0f} to {high:,.0f}")
    if store.visits["time_days"].isna().any():
        unknown = int(store.visits["time_days"].isna().sum())
        found.problems.append(f"visits: the time of {unknown:,} is unknown. Fill in time_days and prepare again.")
    if same := int((gaps == 0).sum()):
        found.notes.append(f"visits: {same:,} stand at the same time as the participant's visit before.")


def _outcomes(store: OmicsStore, found: _Findings) -> None:
    first = ~store.visits["participant_id"].duplicated().to_numpy()
    found.lines += ["", "outcomes: none" if not store.outcome_specs else "outcomes"]
    for name, spec in store.outcome_specs.items():
        asked = first if spec.level == "participant" else np.ones(len(store), dtype=bool)
        known = store.outcome_observed(name) & asked
        rows = store.outcomes[known]
        missing = int(asked.sum() - known.sum())
        people = store.visits["participant_id"][known].nunique()
        text, smallest, problem = _outcome(spec, rows)
        found.lines.append(
            f"  {name} ({spec.kind}, by {spec.level}): {text}; {int(known.sum()):,} known in {people:,} "
            f"participants, {missing:,} missing"
        )
        if problem:
            found.problems.append(f"outcome {name}: {problem}")
        elif smallest is not None and smallest < FEW:
            what = "events" if spec.kind == "survival" else "in the smallest class"
            found.notes.append(
                f"outcome {name}: {smallest} {what}; with so few, intervals are wide and folds may lack them."
            )


def _outcome(spec: OutcomeSpec, rows: pd.DataFrame) -> tuple[str, int | None, str]:
    """A description, the size of the smallest class (or the events), and what makes it unusable, if anything."""
    if not len(rows):
        return "no value", None, "no value is known. Check its column in COHORT.yaml."
    if spec.kind == "survival":
        events = int(rows[f"{spec.name}.event"].sum())
        days = rows[f"{spec.name}.time_days"]
        text = f"{events:,} events, {len(rows) - events:,} censored, median follow-up {days.median():,.0f} days"
        return text, events, "" if events else "there is no event. Check event and event_if in COHORT.yaml."
    if spec.kind == "class":
        sizes = rows[spec.name].value_counts().reindex(spec.classes, fill_value=0)
        text = ", ".join(f"{label} {size:,}" for label, size in sizes.items())
        return text, int(sizes.min()), "" if (sizes > 0).sum() > 1 else "only one class occurs; two are needed."
    values = rows[spec.name]
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    text = f"median {middle:g}, from {low:g} to {high:g}"
    return text, None, "" if high > low else "every value is the same; nothing can be learned."


def _checkpoint(store: OmicsStore, directory: Path, found: _Findings) -> None:
    """How the store's features line up with a checkpoint's."""
    file = directory / "features.parquet"
    try:
        table = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file}: not a readable feature table of a checkpoint ({' '.join(str(error).split())})."
        ) from None
    for column in ("modality", "feature_id", "namespace", "scale"):
        if column not in table:
            raise InputError(f"{file}: column '{column}' is missing; {closest(column, table.columns)}.")
    found.lines += ["", f"checkpoint {directory}"]
    shared = 0
    for modality, own in table.groupby("modality", sort=False):
        name = str(modality)
        first = own.iloc[0]
        space = FeatureSpace(name, tuple(own["feature_id"]), str(first["namespace"]), str(first["scale"]))
        if name not in store.modalities:
            found.lines.append(f"  {name}: {len(space):,} features; the store has no {name}")
            continue
        shared += 1
        try:
            alignment = space.align(store.modalities[name].features)
        except InputError as error:
            found.lines.append(f"  {name}: does not match")
            found.problems.append(str(error))
            continue
        found.lines.append(
            f"  {name}: {alignment.matched:,} of {len(space):,} features match ({alignment.share:.1%}); "
            f"{len(alignment.unknown):,} of the store are unknown to it"
        )
    for name in store.modalities:
        if name not in set(table["modality"]):
            found.notes.append(f"{name}: the checkpoint does not know this modality and will not use it.")
    if not shared:
        found.problems.append(
            f"checkpoint {directory}: it shares no modality with the store ({', '.join(store.modalities)})."
        )


def _forecast(store: OmicsStore, tokens: int, found: _Findings) -> None:
    dense = {name: 4 * len(matrix.rows) * len(matrix.features) for name, matrix in store.modalities.items()}
    seconds = tokens / TOKENS_PER_SECOND
    found.lines += [
        "",
        f"memory: {_size(sum(dense.values()))} as dense float32 ("
        + ", ".join(f"{name} {_size(size)}" for name, size in dense.items())
        + ")",
        f"time: {tokens:,} tokens an epoch, {_duration(seconds)}; pretraining at most {EPOCHS} epochs, "
        f"{_duration(EPOCHS * seconds)}",
        f"  (assuming one CPU core, model=small, {TOKENS_PER_SECOND:,} tokens a second; a token is a measured "
        f"value, at most "
        f"{MAX_FEATURES} of a visit and modality)",
        "",
    ]


def _blocks(matrix: StoredMatrix) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, len(matrix.rows), BLOCK):
        yield matrix.read(matrix.rows[start : start + BLOCK])


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"about {seconds / length:.1f} {unit}"
    return f"about {seconds:.2g} seconds"
