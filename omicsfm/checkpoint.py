"""A checkpoint: plain files that describe themselves and cannot execute code.

    config.json             schema number, the model as a plain mapping, transforms, outcomes
    features.parquet        modality, feature_id, namespace, scale, platform: in the model's order
    transforms.safetensors  what the transforms were fitted to
    model.safetensors       weights
    provenance.json         what it was trained on and how well it did, SHA-256 of every other file
    MODEL_CARD.md           the same for people

Opens without Lightning, Hydra, anndata or a network.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool
from safetensors.numpy import load_file
from safetensors.numpy import save as to_bytes
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save as tensors_to_bytes
from torch import nn

import omicsfm
from omicsfm import distributed
from omicsfm.build import build
from omicsfm.contracts import OutcomeSpec
from omicsfm.data.groups import outside
from omicsfm.errors import InputError
from omicsfm.feature_table import feature_table, read_features
from omicsfm.features import FeatureSpace

SCHEMA = 1
FILES = ("config.json", "features.parquet", "transforms.safetensors", "model.safetensors", "MODEL_CARD.md")


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint: everything needed to embed and predict, and where it came from."""

    model: Any
    model_spec: Mapping[str, Any]
    features: Mapping[str, FeatureSpace]
    transforms: Mapping[str, Any]
    outcomes: tuple[OutcomeSpec, ...]
    provenance: Mapping[str, Any]

    def outcome(self, name: str) -> OutcomeSpec:
        """What one of its heads predicts.

        Raises:
            InputError: It has no head of that name.
        """
        for spec in self.outcomes:
            if spec.name == name:
                return spec
        known = ", ".join(spec.name for spec in self.outcomes) or "none; it was pretrained only"
        raise InputError(
            f"the checkpoint has no head for outcome '{name}' (heads: {known}). Fine-tune one: python train.py "
            f"task=finetune checkpoint=... outcome={name}"
        )

    def saw(self, participant_ids: Sequence[str], people: str = "") -> list[bool]:
        """Whether each participant was among those it was trained on, by salted hash, in any of its trainings.

        ``people`` says whose ids these are (``OmicsStore.people``). Where a training knows them, equal ids of other
        people are others; where none does, or it is not said, any equal id counts: nobody vouches that it is another.
        """
        trainings = self.provenance["participants"]
        known_people = [training for training in trainings if people and training["people"] == people]
        seen = [False] * len(participant_ids)
        for training in known_people or trainings:
            known = set(training["sha256"])
            hashes = hash_participants(participant_ids, training["salt"])
            seen = [was or own in known for was, own in zip(seen, hashes, strict=True)]
        return seen

    def untouched(
        self, visits: pd.DataFrame, together: Sequence[str] = (), people: str = ""
    ) -> Bool[np.ndarray, " visits"]:
        """Visits of people whom neither its weights nor its transforms were fitted to, nor to anybody who shares a
        value of a column in ``together`` with them: those it can be tested on. ``people`` as in ``saw``.
        """
        ids = visits["participant_id"].astype(str).unique()
        return outside(visits, ids[np.array(self.saw(ids.tolist(), people), dtype=bool)], together)


def save_checkpoint(
    directory: str | Path,
    *,
    model: nn.Module,
    model_spec: Mapping[str, Any],
    features: Mapping[str, FeatureSpace],
    transforms: Mapping[str, Any],
    outcomes: Sequence[OutcomeSpec],
    provenance: Mapping[str, Any],
) -> None:
    """Write a checkpoint under a temporary name, then rename it to ``directory``, replacing an older one.

    Of several processes that train together only the first writes.

    Raises:
        ValueError: A weight is not finite; nothing is written.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    broken = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        raise ValueError(f"{directory}: not saved, {len(broken)} tensors hold NaN or infinity (first: {broken[0]})")
    if not distributed.is_first():
        return
    directory = Path(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(tensors_to_bytes(state))  # save_file lets nobody but the owner read
    arrays = {f"{m}/{name}": np.ascontiguousarray(a) for m, t in transforms.items() for name, a in t.arrays().items()}
    (partial / "transforms.safetensors").write_bytes(to_bytes(arrays))
    config = {
        "schema": SCHEMA,
        "model": model_spec,
        "transforms": {modality: transform.spec() for modality, transform in transforms.items()},
        "outcomes": [asdict(spec) for spec in outcomes],
    }
    (partial / "config.json").write_text(json.dumps(config, indent=1))
    feature_table(features).to_parquet(partial / "features.parquet", index=False)
    record = {"omicsfm": omicsfm.__version__, "schema": SCHEMA, **provenance}
    record["features"] = {m: {"count": len(f), "fingerprint": f.fingerprint} for m, f in features.items()}
    record["parameters"] = sum(p.numel() for p in model.parameters())
    (partial / "MODEL_CARD.md").write_text(model_card(record, outcomes))
    record["files"] = {name: _sha256(partial / name) for name in FILES}
    record["digest"] = _digest(record)
    (partial / "provenance.json").write_text(json.dumps(record, indent=1))
    old = directory.with_name(f".{directory.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        directory.rename(old)
    partial.rename(directory)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(directory: str | Path) -> Checkpoint:
    """Verify and open a checkpoint on the CPU; the model is in evaluation mode.

    Raises:
        InputError: A file is missing or was edited, a newer omicsfm wrote it, or its config names anything
            outside omicsfm.
    """
    directory = Path(directory)
    provenance = verify_checkpoint(directory)
    config = json.loads((directory / "config.json").read_text())
    features = read_features(pd.read_parquet(directory / "features.parquet"))
    arrays = load_file(directory / "transforms.safetensors")
    transforms = {}
    for modality, spec in config["transforms"].items():
        transforms[modality] = build(spec)
        prefix = f"{modality}/"
        transforms[modality].load({n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)})
    model = build(config["model"])
    model.load_state_dict(load_tensors(directory / "model.safetensors"))
    outcomes = tuple(OutcomeSpec(**{**spec, "classes": tuple(spec["classes"])}) for spec in config["outcomes"])
    return Checkpoint(model.eval(), config["model"], features, transforms, outcomes, provenance)


def verify_checkpoint(directory: Path) -> Mapping[str, Any]:
    """The provenance of a checkpoint whose every file is present and unchanged.

    Raises:
        InputError: Which file is missing, damaged or was edited, or that the format is newer.
    """
    record_file = directory / "provenance.json"
    if not record_file.exists():
        raise InputError(f"{directory}: not a checkpoint (no provenance.json). A run writes one to RUN/checkpoint.")
    try:
        provenance = json.loads(record_file.read_text())
        schema, digest, files = int(provenance["schema"]), provenance["digest"], provenance["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{record_file}: damaged ({error}). Restore the checkpoint from its source.") from error
    if schema > SCHEMA:
        raise InputError(
            f"{directory}: written in checkpoint format {schema}; this omicsfm reads up to {SCHEMA}. Update omicsfm."
        )
    if _digest(provenance) != digest:
        raise InputError(f"{record_file}: was edited after it was written. Restore the checkpoint from its source.")
    for name in FILES:
        file = directory / name
        if not file.exists():
            raise InputError(f"{directory}: {name} is missing. Restore the checkpoint from its source.")
        if _sha256(file) != files.get(name):
            raise InputError(
                f"{file}: differs from what was written (SHA-256). Restore the checkpoint from its source."
            )
    return provenance


def hash_participants(participant_ids: Sequence[str], salt: str) -> list[str]:
    """Salted SHA-256 of each participant id, so that a checkpoint names nobody."""
    return [hashlib.sha256(f"{salt}/{participant}".encode()).hexdigest() for participant in participant_ids]


def model_card(record: Mapping[str, Any], outcomes: Sequence[OutcomeSpec]) -> str:
    """The provenance as a page for people."""
    lines = ["# Model card", "", f"Written by omicsfm {record['omicsfm']}; {record['parameters']:,} parameters.", ""]
    lines += ["## Trained on", ""]
    for store in record.get("stores", []):
        lines.append(f"- {store['name']}: {store['participants']} participants, {store['visits']} visits")
        purpose = store.get("used for", "training")
        purpose += f", drawn with weight {store['weight']:g}" if "weight" in store else ""
        lines.append(f"  (store {store['fingerprint'][:12]}, for {purpose}; training participants only)")
    lines += ["", "## Reads", ""]
    lines += [f"- {modality}: {entry['count']:,} features" for modality, entry in record["features"].items()]
    lines += ["", "## Predicts", ""]
    heads = [f"- {o.name}: {o.kind}" + (f" ({', '.join(o.classes)})" if o.classes else "") for o in outcomes]
    lines += heads or ["- embeddings only: no head was fine-tuned"]
    if record.get("metrics"):
        lines += ["", "## Measured", "", "| metric | value |", "|---|---|"]
        lines += [f"| {name} | {value:.4g} |" for name, value in record["metrics"].items()]
    if "gate" in record:
        lines += ["", "## Against baselines", "", record["gate"]["said"]]
    lines += ["", "## Limits", ""]
    lines += ["Research use. Says nothing about people unlike those it was trained on; compare it with"]
    lines += ["a linear model on your own cohort (eval/benchmark.py) before you rely on it.", ""]
    return "\n".join(lines)


def _digest(record: Mapping[str, Any]) -> str:
    text = json.dumps({k: v for k, v in record.items() if k != "digest"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
