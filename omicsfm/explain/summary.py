"""Several models' attributions -> one table of features, and what must be known to read it."""

import platform
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32
from scipy.stats import rankdata

import omicsfm
from omicsfm.contracts import OutcomeSpec
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError
from omicsfm.explain.attribution import TOLERANCE, unit_of
from omicsfm.explain.importance import Explained, Importance, feature_rows
from omicsfm.explain.names import names_of
from omicsfm.explain.stability import rank_agreement, set_stability, top
from omicsfm.origin import code_commit
from omicsfm.placement import Translator

WAYS = ("both ways", "values", "embedding")


@dataclass(frozen=True)
class Explanation:
    """The table of features, most important first, and the record beside it."""

    table: pd.DataFrame
    record: dict[str, Any]


def summarise(
    models: Iterable[Importance],
    outcome: OutcomeSpec,
    *,
    store: OmicsStore,
    number: int,
    whom: str,
) -> Explanation:
    """One row per output and feature; the models were explained at the same visits. ``number`` is the size of the sets
    that are compared, ``whom`` says in words who was explained.

    Attributions are linear in the prediction, so the mean of the models' is the attribution of the mean model:
    ``importance`` is its mean absolute value over participants, ``share`` that as a share of all features', ``slope``
    and ``direction`` are its own too. ``mean_abs_ig`` is the mean over single models, ``lowest`` and ``highest`` are
    the ends, ``values`` and ``embedding`` the parts of the two ways; ``direction_agreement`` is the share of models of
    the same sign, ``selection_frequency`` of those that have the feature among their ``number`` largest.

    Raises:
        InputError: The models do not read the same features.
    """
    seen: list[Importance] = []
    total: Any = None
    for model in models:
        if seen and (model.spaces != seen[0].spaces or model.outputs != seen[0].outputs):
            raise InputError(
                f"{model.name} and {seen[0].name} read different features or predict different classes: their "
                "explanations cannot be put side by side. Explain them one at a time."
            )
        total = model.total if total is None else total + model.total
        seen.append(replace(model, total=model.total[:, :0]))  # of all models only the sum is kept
    explained = seen[0].explained
    features, number = feature_rows(seen[0]), min(number, total.shape[2])
    features["name"] = [n for space in seen[0].spaces for n in names_of(space, _translator(store, space.modality))]
    features["measured_share"] = explained.weights @ explained.measured
    tables: list[pd.DataFrame] = []
    stability: dict[str, dict[str, Any]] = {}
    for place, output in enumerate(seen[0].outputs):
        sizes = {
            "both ways": np.stack([model.mean_absolute[place] for model in seen]),
            "values": np.stack([model.beside[place] for model in seen]),
            "embedding": np.stack([model.embedding[place] for model in seen]),
        }
        slopes = np.stack([model.slope[place] for model in seen])
        consensus = total[place] / np.float32(len(seen))
        table = _table(features, consensus, explained, sizes, slopes, number)
        tables.append(table.assign(output=output))
        stability[output] = {
            way: {"sets": set_stability(top(sizes[way], number)), "ranks": rank_agreement(sizes[way])} for way in WAYS
        }
        spent = sizes["embedding"].sum() + sizes["values"].sum()
        stability[output]["embedding_share"] = float(sizes["embedding"].sum() / max(spent, 1e-12))
    gap = max(model.gap for model in seen)
    record = {
        "cohort": store.name,
        "outcome": outcome.name,
        "kind": outcome.kind,
        "outputs": list(seen[0].outputs),
        "unit": unit_of(outcome),
        "models": [model.name for model in seen],
        "participants": len(np.unique(explained.participant_ids)),
        "visits": len(explained.participant_ids),
        "whom": whom,
        "features": len(features),
        "top": number,
        "stability": stability,
        "completeness_gap": gap,
        "cautions": [] if gap <= TOLERANCE else [f"Attributions miss {gap:.1%} of what they should sum to."],
        "provenance": _provenance(store),
    }
    return Explanation(pd.concat(tables, ignore_index=True), record)


def _table(
    features: pd.DataFrame,
    consensus: Float32[np.ndarray, "visits features"],
    explained: Explained,
    sizes: dict[str, Float[np.ndarray, "models features"]],
    slopes: Float[np.ndarray, "models features"],
    number: int,
) -> pd.DataFrame:
    importance, slope, own = explained.mean(consensus), explained.slope(consensus), sizes["both ways"]
    ranks = rankdata(-own, axis=1, method="min")
    return features.assign(
        importance=importance,
        share=importance / max(importance.sum(), 1e-12),
        mean_abs_ig=own.mean(axis=0),
        lowest=own.min(axis=0),
        highest=own.max(axis=0),
        values=sizes["values"].mean(axis=0),
        embedding=sizes["embedding"].mean(axis=0),
        slope=slope,
        direction=np.sign(slope).astype(int),
        direction_agreement=(np.sign(slopes) == np.sign(slope)).mean(axis=0),
        selection_frequency=top(own, number).mean(axis=0),
        best_rank=ranks.min(axis=0).astype(int),
        worst_rank=ranks.max(axis=0).astype(int),
    ).sort_values("importance", ascending=False, kind="stable")


def _translator(store: OmicsStore, modality: str) -> Translator | None:
    return store.modalities[modality].features.translator if modality in store.modalities else None


def _provenance(store: OmicsStore) -> dict[str, str]:
    found = {
        "store": store.name,
        "store_fingerprint": store.fingerprint,
        "mapping": store.manifest.get("mapping", {}).get("fingerprint"),
        "commit": code_commit(),
        "omicsfm": omicsfm.__version__,
        "python": platform.python_version(),
        **{package: version(package) for package in ("torch", "captum", "numpy")},
    }
    return {name: value for name, value in found.items() if value is not None}
