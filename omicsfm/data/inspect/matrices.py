"""What the intake counted, and what the values of each modality look like."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from omicsfm.data.inspect.cost import MAX_FEATURES
from omicsfm.data.inspect.findings import Findings
from omicsfm.data.store import OmicsStore
from omicsfm.data.stored_matrix import StoredMatrix
from omicsfm.paths import configs_dir

CELLS = 2_000_000  # read at a time
AMOUNTS = ("counts", "tpm", "raw", "concentration", "relative_abundance")  # scales that no logarithm was taken of


@dataclass(frozen=True)
class Seen:
    """One pass over the values of a modality."""

    measured: Int[np.ndarray, " features"]
    """Visits at which each feature is measured."""
    below_limit: int
    zeros: int
    tokens: int
    """Measured values that an epoch of pretraining reads."""
    variance: Float[np.ndarray, " features"]
    """Of the values; of log2(1 + value) on the scales of amounts, which spread by orders of magnitude."""


def values_of(matrix: StoredMatrix) -> Seen:
    """Read a modality once, in blocks of visits."""
    measured = np.zeros(len(matrix.features), dtype=np.int64)
    sums, squares = np.zeros((2, len(measured)))
    below = zeros = tokens = 0
    amounts = bool(set(matrix.features.scale.split("|")) & set(AMOUNTS))
    block = max(1, CELLS // max(len(measured), 1))
    for start in range(0, len(matrix.rows), block):
        values, flags = matrix.read(matrix.rows[start : start + block])
        present = ~np.isnan(values)
        measured += present.sum(axis=0)
        below += int(flags.sum())
        zeros += int((values == 0).sum())
        tokens += int(np.minimum(present.sum(axis=1), MAX_FEATURES).sum())
        spread = np.log2(1 + np.maximum(values, 0)) if amounts else values
        spread = np.where(present, spread, 0).astype(np.float64)
        sums += spread.sum(axis=0)
        squares += np.square(spread).sum(axis=0)
    count = np.maximum(measured, 1)
    return Seen(measured, below, zeros, tokens, np.maximum(squares / count - np.square(sums / count), 0))


def describe_intake(store: OmicsStore, found: Findings) -> None:
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


def describe_modality(store: OmicsStore, name: str, matrix: StoredMatrix, seen: Seen, found: Findings) -> None:
    """How much of it is measured, and what is odd about the values."""
    space = matrix.features
    measured, below, zeros = seen.measured, seen.below_limit, seen.zeros
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
