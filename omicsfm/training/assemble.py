"""A resolved run config -> the plain mapping that describes a model completely, and the parts around it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from torch import nn

from omicsfm.build import build, resolve
from omicsfm.contracts import TIMED, OutcomeSpec
from omicsfm.data.collate import fit_transforms
from omicsfm.data.row_labels import row_labels
from omicsfm.data.store import OmicsStore
from omicsfm.data.transforms import Chain, default_transform
from omicsfm.errors import InputError, closest
from omicsfm.features import COVARIATE, FeatureSpace
from omicsfm.objectives.adversary import PREFIX
from omicsfm.seeding import seed_everything

Config = Mapping[str, Any]
GENERIC = "generic"


def modality_config(config: Config, modality: str) -> Config:
    """The modality's own config, or the generic one where it has none."""
    return config["modality"].get(modality, config["modality"][GENERIC])


def backbone_spec(config: Config, features: Mapping[str, FeatureSpace]) -> dict[str, Any]:
    """Everything ``build`` needs to make the model without heads."""
    model = dict(config["model"])
    dim, num_latents, _ = model.pop("dim"), model.pop("num_latents"), model.pop("learning_rate")
    shape = {"dim": dim, "num_latents": num_latents}
    prior = {"prior_dim": build(config["prior"]).dim} if config.get("prior") else {}
    modalities: dict[str, dict[str, Any]] = {}
    for name, space in features.items():
        if "." in name:
            raise InputError(f"modality '{name}': a name cannot contain a dot. Rename it in COHORT.yaml.")
        parts = modality_config(config, name)
        modalities[name] = {
            "_target_": "omicsfm.model.omics_model.Modality",
            "tokenizer": {**parts["tokenizer"], "num_features": len(space), "dim": dim, **prior},
            "decoder": {**parts["decoder"], "dim": dim},
        }
    pooling = {**model["pooling"], **shape}
    spec = {**model, "encoder": {**model["encoder"], **shape}, "pooling": pooling, "modalities": modalities}
    sizes = {name: len(space) for name, space in features.items()}
    if config.get("relative"):
        covariates = [name for name, space in features.items() if space.namespace == COVARIATE]
        spec["relative"] = {**config["relative"], "sizes": sizes, "covariates": covariates}
    if config.get("kernel"):
        spec["kernel"] = {**config["kernel"], "sizes": sizes}
    if _reads_histories(config):
        spec = _with_trajectory(spec, config["trajectory"])
    if config.get("imputer"):
        spec["imputer"] = {**config["imputer"], "sizes": sizes, "evidence_dim": build(spec).evidence_dim}
    return spec


def _reads_histories(config: Config) -> bool:
    """Whether an objective looks at several visits of a participant together."""
    return any(getattr(resolve(node["_target_"]), "reads_histories", False) for node in config["objective"].values())


def _with_trajectory(spec: dict[str, Any], trajectory: Config) -> dict[str, Any]:
    """The spec of a model that joins the visits of a participant and forecasts later ones."""
    forecaster = {"_target_": "omicsfm.model.trajectory_decoder.ForecastDecoder", "dim": trajectory["dim"]}
    for parts in spec["modalities"].values():
        parts["forecaster"] = {**forecaster, "num_features": parts["tokenizer"]["num_features"]}
    return {**spec, "trajectory": {**trajectory, "embedding_dim": build(spec["pooling"]).embedding_dim}}


def head_spec(config: Config, store: OmicsStore, outcome: OutcomeSpec, rows: np.ndarray, dim: int) -> dict[str, Any]:
    """Everything ``build`` needs to make a head for this outcome; ``rows`` are training visits with a value of it."""
    spec = {**config["head"][outcome.kind], "evidence_dim": dim}
    values = store.outcomes.iloc[rows]
    if outcome.kind == "class":
        counts = values[outcome.name].value_counts()
        spec |= {
            "num_classes": len(outcome.classes),
            "frequencies": [float(counts.get(label, 0) + 0.5) for label in outcome.classes],
        }
    elif outcome.kind == "quantity":
        quantity = values[outcome.name].to_numpy(dtype=np.float64)
        spec |= {"location": float(quantity.mean()), "unit": float(quantity.std()) or 1.0}
    elif outcome.kind == "competing_risks":
        spec["num_causes"] = len(outcome.classes)
    if "cut_days" in spec and spec["cut_days"] is None:
        spec["cut_days"] = quantiles_of_events(values, outcome)
    return spec


def quantiles_of_events(values: pd.DataFrame, outcome: OutcomeSpec, intervals: int = 10) -> list[float]:
    """Ends of intervals that hold about as many training events each; fewer where many share a day."""
    happened = values[f"{outcome.name}.event"] > 0
    days = np.quantile(values.loc[happened, f"{outcome.name}.time_days"], np.arange(1, intervals + 1) / intervals)
    return [float(day) for day in np.unique(np.ceil(days)) if day > 0] or [1.0]


def objectives(
    config: Config,
    features: Mapping[str, FeatureSpace],
    nuisances: Sequence[OutcomeSpec] = (),
    registry: Mapping[str, Any] | None = None,
) -> dict[str, nn.Module]:
    """The pretraining objectives by name, each with the modalities' weights; one that fights a nuisance is told how
    many values that has, one that foretells events which.
    """
    weights = {name: float(modality_config(config, name).get("weight", 1.0)) for name in features}
    labels = {one.name: len(one.classes) for one in nuisances}
    built = {}
    for name, node in config["objective"].items():
        known: dict[str, Any] = {}
        if "column" in node or "outcomes" in node:
            known["embedding_dim"] = build(backbone_spec(config, features)["pooling"]).embedding_dim
        if "column" in node:
            known["num_labels"] = labels[PREFIX + node["column"]]
        if "outcomes" in node:
            known["registry"] = registry or {}
            node = {key: value for key, value in node.items() if key not in ("outcomes", "cut_days")}
        built[name] = build(node, weights=weights, **known)
    return built


def fitted_transforms(
    store: OmicsStore, rows: np.ndarray, config: Config | None = None, *, modalities: Sequence[str] | None = None
) -> dict[str, Chain]:
    """A chain for each of ``modalities`` (every input of the store where not given), fitted on training visits: by its
    declared scale and the configured harmonisation.

    Raises:
        InputError: The harmonisation cannot be learnt from these visits, or names a column or batch they do not have.
    """
    steps = None if config is None else config["harmonise"]["steps"]
    if config is not None:
        _check_batches(store, rows, config["harmonise"])
    chains = {name: default_transform(store.inputs[name].features.scale, steps) for name in modalities or store.inputs}
    fit_transforms(store, rows=rows, chains=chains)
    return chains


def _check_batches(store: OmicsStore, rows: np.ndarray, harmonise: Config) -> None:
    column, reference = harmonise.get("column"), harmonise.get("reference")
    if column is None:
        return
    found = [row_labels(store, name, (column,)).get(column) for name in store.modalities]
    batches = {str(batch) for labels in found if labels is not None for batch in np.unique(labels[rows])} - {""}
    if not batches:
        known = ["platform", *(name for own in store.stores for name in own.visits.columns)]
        raise InputError(
            f"harmonise.column: no training visit of {store.path} has a '{column}'; {closest(column, known)}."
        )
    if reference is not None and reference not in batches:
        raise InputError(
            f"harmonise.reference: '{reference}' is the {column} of no training visit; "
            f"{closest(reference, sorted(batches))}."
        )


def build_model(spec: Mapping[str, Any], *, seed: int, purpose: str) -> Any:
    """The model a spec describes, with initial weights decided by the seed alone."""
    seed_everything(seed, purpose)
    return build(spec)


def require_trainable(store: OmicsStore, outcome: OutcomeSpec, rows: Int[np.ndarray, " training"]) -> None:
    """Refuse an outcome that training visits cannot teach.

    Raises:
        InputError: No training visit has a value, only one class occurs, or there is no event.
    """
    values = store.outcomes.iloc[rows]
    where = f"outcome '{outcome.name}' in {store.path}"
    if not len(values):
        raise InputError(f"{where}: no training visit has a value of it.")
    if outcome.kind == "class" and values[outcome.name].nunique() < 2:
        only = values[outcome.name].iloc[0]
        raise InputError(f"{where}: all {len(values)} training visits are '{only}'; at least two classes are needed.")
    if outcome.kind in TIMED and not (values[f"{outcome.name}.event"] > 0).any():
        raise InputError(f"{where}: none of {len(values)} training visits has the event; at least one is needed.")
