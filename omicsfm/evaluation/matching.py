"""What a checkpoint can read of a store: which of its features are there, on which scale, and how often measured."""

from typing import Any

import numpy as np
from jaxtyping import Int

from omicsfm.checkpoint import Checkpoint
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError

ROWS_AT_ONCE = 4096
NOTHING = {"matched": 0, "share": 0.0, "unknown": 0, "mapped": 0, "ambiguous": 0, "repeated": 0}


def match_features(checkpoint: Checkpoint, store: OmicsStore) -> dict[str, dict[str, Any]]:
    """For each modality of the checkpoint: features ``known`` to it, ``matched`` in the store and their ``share``, and
    store features ``unknown`` to it; for one that only the store has, just these.

    ``mapped`` says how many of the matched are there under another id, ``ambiguous`` and ``repeated`` why how many of
    the unknown have no place.

    Raises:
        InputError: The two share no modality, or a modality that both have is in another namespace, on another scale
            or shares under half of the checkpoint's features.
    """
    shared = [name for name in checkpoint.features if name in store.modalities]
    if not shared:
        raise InputError(
            f"{store.path} has no modality that the checkpoint knows: it reads {', '.join(checkpoint.features)}, the "
            f"store has {', '.join(store.modalities)}. If one of these is the same assay under another name, rename it "
            "in COHORT.yaml and prepare again."
        )
    way_out = " Or prepare it without that modality: it then counts as not measured." if len(shared) > 1 else ""
    report: dict[str, dict[str, Any]] = {}
    for name, space in checkpoint.features.items():
        if name not in store.inputs:
            report[name] = {"known": len(space), **NOTHING}
            continue
        try:
            alignment = space.align(store.inputs[name].features)
        except InputError as error:
            raise InputError(f"{error}{way_out}") from None
        report[name] = {
            "known": len(space),
            "matched": alignment.matched,
            "share": round(alignment.share, 4),
            "unknown": len(alignment.unknown),
            **{fate: alignment.counts[fate] for fate in ("mapped", "ambiguous", "repeated")},
        }
    for name, matrix in store.modalities.items():
        if name not in report:
            report[name] = {"known": 0, **NOTHING, "unknown": len(matrix.features)}
    return report


def measured_share(checkpoint: Checkpoint, store: OmicsStore, rows: Int[np.ndarray, " rows"]) -> dict[str, float]:
    """For each shared modality, the mean share of the checkpoint's features, of several training cohorts of the nearest
    one's, with a value at these store rows.
    """
    shares = {}
    for name, space in checkpoint.features.items():
        if name not in store.inputs or not len(rows):
            continue
        matrix = store.inputs[name]
        alignment = space.align(matrix.features)
        panel = space.panels.get(alignment.nearest, np.arange(len(space)))
        known = np.isin(alignment.position, panel)
        values = sum(
            int((~np.isnan(matrix.read(rows[start : start + ROWS_AT_ONCE])[0][:, known])).sum())
            for start in range(0, len(rows), ROWS_AT_ONCE)
        )
        shares[name] = values / (len(rows) * len(panel))
    return shares


def mismatch_warnings(checkpoint: Checkpoint, store: OmicsStore, report: dict[str, dict[str, Any]]) -> list[str]:
    """What an evaluator should know before believing a number: modalities that only one side has, and ids that are
    taken to mean the same in two cohorts although nothing says so.
    """
    warnings = []
    trained_on = {entry["name"] for entry in checkpoint.provenance.get("stores", ())}
    for name, entry in report.items():
        if entry["matched"] and checkpoint.features[name].namespace == "local" and store.name not in trained_on:
            warnings.append(
                f"{name}: its ids are in namespace local, which means nothing outside a cohort; equal ids of "
                f"{store.name} and {' and '.join(sorted(trained_on))} are taken for the same features."
            )
        if not entry["known"]:
            warnings.append(f"{name}: the checkpoint does not know this modality and does not read it.")
        elif not entry["matched"]:
            warnings.append(
                f"{name}: the store does not have it; the checkpoint predicts with all its {entry['known']:,} features "
                "missing."
            )
    return warnings
