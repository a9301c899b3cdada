"""A checkpoint tested on a cohort: predictions of people it did not see, scored, overall and in subgroups."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

import omicsfm
from omicsfm.checkpoint import Checkpoint
from omicsfm.contracts import OutcomeSpec
from omicsfm.data.splits import Split
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError
from omicsfm.evaluation.across import across_batches
from omicsfm.evaluation.benchmark import write_json
from omicsfm.evaluation.matching import match_features, measured_share, mismatch_warnings
from omicsfm.evaluation.output import EVALUATION
from omicsfm.evaluation.predictions import prediction_rows, write_parquet
from omicsfm.evaluation.remarks import cautions, guessing, remarks
from omicsfm.evaluation.scoring import score_predictions
from omicsfm.evaluation.subgroups import subgroup_columns, subgroup_rows
from omicsfm.evaluation.task import Task, predicted_rows, read_target
from omicsfm.evaluation.tested import Tested, held_out_visits
from omicsfm.inference import embed, raw_prediction, reader_for
from omicsfm.metrics import SurvivalCurves
from omicsfm.metrics.registry import IncidenceCurves
from omicsfm.metrics.targets import CompetingTarget, SurvivalTarget
from omicsfm.origin import code_commit

METHOD = "omicsfm"
PACKAGES = ("numpy", "scipy", "torch")


@dataclass(frozen=True)
class Evaluation:
    """Predictions of the tested visits, and the content of metrics.json."""

    checkpoint: Checkpoint
    task: Task
    predictions: pd.DataFrame
    metrics: Mapping[str, Any]
    warnings: tuple[str, ...]

    def write(self, folder: Path) -> None:
        """Write predictions.parquet and metrics.json."""
        write_parquet(self.predictions, folder / "predictions.parquet")
        write_json(self.metrics, folder / "metrics.json")

    def map_of_visits(
        self, *, most: int, seed: int
    ) -> tuple[Float[np.ndarray, "visits embedding"], pd.DataFrame, pd.DataFrame]:
        """Embeddings of at most ``most`` tested visits, those visits, and what to colour them by."""
        places = np.arange(len(self.task))
        if len(places) > most:
            places = np.sort(np.random.default_rng(seed).choice(places, size=most, replace=False))
        rows = self.task.rows[places]
        embedding = embed(self.checkpoint.model, reader_for(self.checkpoint, self.task.store), rows)
        visits = self.task.visits.iloc[places].reset_index(drop=True)
        outcome = self.predictions["event" if self.task.outcome.kind == "survival" else "y_true"].iloc[places]
        if self.task.outcome.kind == "survival":
            outcome = outcome.map({0.0: "not seen", 1.0: "seen"})
        colours = {self.task.outcome.name: outcome.to_numpy()}
        for name in ("site", "plate", "platform"):
            if name in visits and visits[name].nunique() > 1:
                colours[name] = visits[name].to_numpy()
        return embedding, visits, pd.DataFrame(colours)


def evaluate(
    checkpoint: Checkpoint,
    store: OmicsStore,
    outcome: str,
    *,
    split: Split | None = None,
    subgroups: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Evaluation:
    """Predict and score the visits of everybody who may be tested (see ``tested.py``).

    Raises:
        InputError: Checkpoint and store do not fit in outcome or features, the split is another one, or nobody is left.
    """
    spec = matching_outcome(checkpoint, store, outcome)
    features = match_features(checkpoint, store)
    columns = subgroup_columns(store, subgroups)
    tested = held_out_visits(checkpoint, store, split)
    read = [name for name, entry in features.items() if entry["matched"]]
    rows = predicted_rows(store, spec, among=tested.visits, modalities=read)
    if not len(rows):
        raise InputError(
            f"{store.path}: none of the {int(tested.visits.sum()):,} visits that may be tested has both a value of "
            f"'{outcome}' and a measurement that the checkpoint reads ({', '.join(read)}). {tested.said}"
        )
    ids = store.visits["participant_id"].astype(str).to_numpy(dtype=str)[rows]
    task = Task(store, spec, rows, read_target(store, spec, rows), ids)
    predictions = predict_task(checkpoint, task, repeat=tested.repeat, fold=tested.fold)
    scored = score_predictions(predictions, spec, linear=(), seed=seed, resamples=resamples)
    least = int(store.manifest["policy"].get("min_cell_count", 10))
    across = across_batches(checkpoint, store, rows)
    warnings = (*tested.warnings, *mismatch_warnings(checkpoint, store, features), *across.cautions)
    for name, share in measured_share(checkpoint, store, rows).items():
        features[name]["measured_share"] = round(share, 4)
    scores = scored["methods"][METHOD]["metrics"]
    baseline = guessing(task.target, scored["counts"].get("brier_grid_days", ()))
    metrics = {
        "what": EVALUATION,
        "cohort": store.name,
        "outcome": outcome,
        "kind": spec.kind,
        "classes": list(spec.classes),
        "within": None,
        "model": METHOD,
        **scored,
        "guessing": baseline,
        "subgroups": subgroup_rows(
            predictions, task.visits, spec, columns=columns, least=least, seed=seed, resamples=resamples
        ),
        "features": features,
        "tested": {
            "participants": scored["counts"]["participants"],
            "visits": scored["counts"]["visits"],
            "excluded_participants": tested.excluded,
            "repeat": tested.repeat,
            "fold": tested.fold,
            "split_sha256": tested.split_sha256,
            "said": " ".join([tested.said, _relation(checkpoint, store)]),
        },
        "cautions": [*map(_sentence, warnings), *cautions(task.target, ids, scores)],
        "checkpoint": _checkpoint_record(checkpoint),
        "notes": [*across.notes, *remarks(task.target, scores, baseline, resamples)],
        "provenance": _provenance(checkpoint, store, tested, seed, resamples),
    }
    return Evaluation(checkpoint, task, predictions, metrics, warnings)


def matching_outcome(checkpoint: Checkpoint, store: OmicsStore, outcome: str) -> OutcomeSpec:
    """What is predicted: the checkpoint's classes in its order, at the level at which the store has the outcome.

    Raises:
        InputError: Either has no such outcome, they differ in kind, or the store has a class without a head output.
    """
    known, found = checkpoint.outcome(outcome), store.outcome(outcome)
    if known.kind != found.kind:
        raise InputError(
            f"outcome '{outcome}': the checkpoint predicts a {known.kind}, {store.path} has a {found.kind}. Declare it "
            f"as kind: {known.kind} in COHORT.yaml and prepare again, or evaluate another outcome."
        )
    strange = [label for label in found.classes if label not in known.classes]
    if strange:
        raise InputError(
            f"outcome '{outcome}': {store.path} has the class '{strange[0]}', which the checkpoint cannot predict; it "
            f"knows {', '.join(known.classes)}, the store has {', '.join(found.classes)}. Give the classes the same "
            "labels in the cohort's table and prepare again."
        )
    return OutcomeSpec(outcome, known.kind, found.level, known.classes)


def predict_task(checkpoint: Checkpoint, task: Task, *, repeat: int = 0, fold: int = 0) -> pd.DataFrame:
    """The rows of predictions.parquet for every visit of the task, with survival curves on the stated grid of days."""
    model, name = checkpoint.model, task.outcome.name
    raw = raw_prediction(model, reader_for(checkpoint, task.store), task.rows, head=name)
    prediction = model.heads[name].readout(raw)
    if not bool(prediction.isfinite().all()):
        broken = int((~prediction.isfinite()).sum())
        raise RuntimeError(f"{name}: {broken} of {prediction.numel()} predictions are not finite")
    curves = _curves(checkpoint, task, raw)
    return prediction_rows(
        task,
        np.arange(len(task)),
        prediction.double().numpy(),
        method=METHOD,
        repeat=repeat,
        fold=fold,
        curves=curves,
    )


def _curves(checkpoint: Checkpoint, task: Task, prediction: torch.Tensor) -> SurvivalCurves | IncidenceCurves | None:
    """What the head says of time, on the stated grid; None where it only ranks, or there is no time."""
    head = checkpoint.model.heads[task.outcome.name]
    if not isinstance(task.target, SurvivalTarget | CompetingTarget) or not head.has_baseline:
        return None
    days = task.curve_days
    asked = torch.from_numpy(days.astype(np.float32))
    if isinstance(task.target, CompetingTarget):
        return IncidenceCurves(days, head.cumulative_incidence(prediction, asked).detach().double().numpy())
    return SurvivalCurves(days, head.survival_probability(prediction, asked).detach().double().numpy())


def _relation(checkpoint: Checkpoint, store: OmicsStore) -> str:
    """Whether this tests the model on its own cohort or on another."""
    stores = checkpoint.provenance.get("stores", ())
    if any(entry["fingerprint"] == store.fingerprint for entry in stores):
        return f"It was trained on other people of this same cohort, {store.name}: other hospitals may differ."
    names = " and ".join(sorted({str(entry["name"]) for entry in stores}))
    return f"It was trained on another store ({names}): this is an external test."


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _checkpoint_record(checkpoint: Checkpoint) -> dict[str, Any]:
    record = checkpoint.provenance
    stores = [{"name": entry["name"], "fingerprint": entry["fingerprint"]} for entry in record.get("stores", ())]
    return {
        "digest": record["digest"],
        "omicsfm": record["omicsfm"],
        "parameters": record["parameters"],
        "trained_on": [entry for place, entry in enumerate(stores) if entry not in stores[:place]],
        "split": dict(record.get("split") or {}),
    }


def _provenance(
    checkpoint: Checkpoint, store: OmicsStore, tested: Tested, seed: int, resamples: int
) -> dict[str, str | int]:
    entries = {
        "checkpoint": checkpoint.provenance["digest"],
        "trained_on": ", ".join(entry["name"] for entry in _checkpoint_record(checkpoint)["trained_on"]),
        "store": store.name,
        "store_fingerprint": store.fingerprint,
        "mapping": store.manifest.get("mapping", {}).get("fingerprint"),
        "split_sha256": tested.split_sha256,
        "commit": code_commit(),
        "seed": seed,
        "resamples": resamples,
        "omicsfm": omicsfm.__version__,
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
    return {name: value for name, value in entries.items() if value is not None}
