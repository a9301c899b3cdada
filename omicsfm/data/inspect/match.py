"""How a store's features line up with those a checkpoint knows."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from omicsfm.data.inspect.findings import Findings
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError, closest
from omicsfm.feature_table import read_features
from omicsfm.features import Alignment, FeatureSpace

SHOWN = 8  # features without a place that are named


def describe_match(
    store: OmicsStore, directory: Path, variance: Mapping[str, Float[np.ndarray, " features"]], found: Findings
) -> None:
    """Count matched, mapped, ambiguous, repeated and unknown features, and name those that vary most of the rest.

    Raises:
        InputError: The checkpoint has no readable table of features.
    """
    known = _spaces(directory / "features.parquet")
    found.lines += ["", f"checkpoint {directory}"]
    for name, space in known.items():
        if name not in store.inputs:
            found.lines.append(f"  {name}: {len(space):,} features; the store has no {name}")
            continue
        source = store.inputs[name].features
        try:
            alignment = space.align(source)
        except InputError as error:
            found.lines.append(f"  {name}: does not match")
            found.problems.append(str(error))
            continue
        found.lines += _lines(name, space, source, alignment, variance[name])
    for name in store.inputs:
        if name not in known:
            found.notes.append(f"{name}: the checkpoint does not know this modality and will not use it.")
    if not set(known) & set(store.modalities):
        found.problems.append(
            f"checkpoint {directory}: it shares no modality with the store ({', '.join(store.modalities)})."
        )


def _lines(
    name: str, space: FeatureSpace, source: FeatureSpace, alignment: Alignment, variance: np.ndarray
) -> list[str]:
    counts = alignment.counts
    of = f" of what {alignment.nearest} measured" if space.panels else ""
    bridge = "" if space.namespace == source.namespace else f"; store {source.namespace}, checkpoint {space.namespace}"
    lines = [
        f"  {name}: {alignment.matched:,} of {len(space):,} features match ({alignment.share:.1%}{of}){bridge}",
        f"    of the store's {len(source):,}: "
        + ", ".join(f"{size:,} {fate}" for fate, size in counts.items())
        + (f"; {alignment.withdrawn:,} ids were withdrawn" if alignment.withdrawn else ""),
    ]
    lost = np.flatnonzero(alignment.position < 0)
    if len(lost):
        first = lost[np.argsort(-variance[lost], kind="stable")][:SHOWN]
        shown = [
            f"'{shorten(source.ids[place])}' ({alignment.status[place]}, {variance[place]:.3g})" for place in first
        ]
        lines.append(f"    unmatched with the largest variance: {', '.join(shown)}")
    return lines


def shorten(feature: str, most: int = 40) -> str:
    """An id that fits a line: groups of proteins can be hundreds of letters long."""
    return feature if len(feature) <= most else f"{feature[: most - 1]}…"


def _spaces(file: Path) -> dict[str, FeatureSpace]:
    try:
        table = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file}: not a readable feature table of a checkpoint ({' '.join(str(error).split())})."
        ) from None
    for column in ("modality", "feature_id", "namespace", "scale"):
        if column not in table:
            raise InputError(f"{file}: column '{column}' is missing; {closest(column, table.columns)}.")
    return read_features(table)
