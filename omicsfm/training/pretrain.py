"""Pretrain an encoder on the training participants of a store."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from omicsfm.build import build
from omicsfm.checkpoint import hash_participants, save_checkpoint
from omicsfm.data.collate import BatchReader
from omicsfm.data.folds import make_split
from omicsfm.data.groups import inner_groups
from omicsfm.data.sampling import expression_weights
from omicsfm.data.store import OmicsStore
from omicsfm.data.union import rows_by_store
from omicsfm.errors import InputError
from omicsfm.origin import code_commit
from omicsfm.seeding import derive
from omicsfm.training.assemble import backbone_spec, build_model, fitted_transforms, objectives
from omicsfm.training.fit import Best, Rows, fit
from omicsfm.training.nuisance import with_nuisances
from omicsfm.training.priors import Known, set_priors
from omicsfm.training.registry import registry_of

UNTRAINED = Best(weights={}, epoch=-1, loss=float("nan"))


def pretrain(
    store: OmicsStore,
    *,
    rows: np.ndarray,
    config: Mapping[str, Any],
    directory: Path,
    run_dir: Path | None = None,
    split_record: Mapping[str, Any] | None = None,
) -> Best:
    """Train on the visits at ``rows`` and write the best epoch as a checkpoint at ``directory``.

    With no epochs the initial weights are written. A share of the participants among ``rows`` only chooses the best
    epoch; what ``split_record`` says is kept together
    stays so. With a ``run_dir`` the run logs there and the same call resumes it.
    """
    task, seed, together = config["task"], config["seed"], (split_record or {}).get("kept_together", ())
    inputs = store.inputs if config["data"]["clinical"] else store.modalities
    features = {name: matrix.features for name, matrix in inputs.items()}
    transforms = fitted_transforms(store, rows, config, modalities=tuple(features))
    spec = backbone_spec(config, features)
    model = build_model(spec, seed=seed, purpose="initial weights")
    named, nuisances = with_nuisances(store, rows, config)
    registry, events = registry_of(store, rows, config)
    sparse = {name: matrix for name, matrix in store.modalities.items() if matrix.layout == "csr"}
    weights = {name: expression_weights(m, rows, seed=derive(seed, "weights", name)) for name, m in sparse.items()}
    cap = config["data"]["max_features"]
    reader = BatchReader(
        named,
        features=features,
        transforms=transforms,
        outcomes=(*nuisances, *events),
        max_features=cap,
        weights=weights,
        same_features=model.trajectory is not None,
    )

    split = to_train_and_choose(store, rows, config, together)
    if config.get("prior"):
        set_priors(model, build(config["prior"]), Known(features, reader, split.train, seed))
    groups = pd.factorize(inner_groups(store.visits, together, train=rows))[0]

    def write(weights: Mapping[str, Tensor], epoch: int, loss: float) -> None:
        exported = build_model(spec, seed=seed, purpose="initial weights")
        exported.load_state_dict(weights)
        if exported.imputer is not None:
            from omicsfm.training.imputing import fill_imputer  # with scipy's optimisers, which others do without

            whole = BatchReader(store, features=features, transforms=transforms)  # training reads a draw of features
            fill_imputer(exported, whole, rows=rows, groups=groups, seed=seed)
        save_checkpoint(
            directory,
            model=exported,
            model_spec=spec,
            features=features,
            transforms=transforms,
            outcomes=(),
            provenance={
                **provenance(store, rows, config, split_record, used_for="pretraining"),
                "metrics": {"pretraining validation loss": loss, "best epoch": epoch + 1} if epoch >= 0 else {},
            },
        )

    if task["epochs"] == 0:
        write(model.state_dict(), UNTRAINED.epoch, UNTRAINED.loss)
        return UNTRAINED
    best = fit(
        model=model,
        objectives=objectives(config, features, nuisances, registry),
        reader=reader,
        rows=split,
        config=config,
        epochs=task["epochs"],
        patience=task["patience"],
        title="pretrain",
        run_dir=run_dir,
        export=write,
    )
    if run_dir is None:
        write(best.weights, best.epoch, best.loss)
    return best


def to_train_and_choose(
    store: OmicsStore, rows: np.ndarray, config: Mapping[str, Any], together: Sequence[str]
) -> Rows:
    """Which of ``rows`` pretraining fits weights to, and which participants' only choose the best epoch."""
    return hold_out(
        store,
        rows,
        share=config["task"]["validation_fraction"],
        seed=derive(config["seed"], "validation"),
        labels=_store_number(store, rows),
        together=together,
    )


def hold_out(
    store: OmicsStore,
    rows: np.ndarray,
    *,
    share: float,
    seed: int,
    labels: np.ndarray | None = None,
    together: Sequence[str] = (),
) -> Rows:
    """Cut ``rows`` by participant into training and validation, nested in a split that keeps ``together`` whole;
    ``labels`` of these rows balance the two.
    """
    groups = pd.DataFrame({"participant_id": inner_groups(store.visits, together, train=rows)[rows]})
    folds = max(2, round(1 / share))
    if (number := groups["participant_id"].nunique()) < folds:
        raise InputError(
            f"{store.path}: {number} training participants, families counted as one, are too few to keep a validation "
            f"share of {share:g}; at least {folds} are needed."
        )
    split = make_split(groups, labels=labels, repeats=1, folds=folds, seed=seed)
    train, validation = split.masks(groups, 0, 0)
    return Rows(train=rows[train], validation=rows[validation])


def _store_number(store: OmicsStore, rows: np.ndarray) -> np.ndarray | None:
    """Which of several stores each row is of, so that all of them take part in training and validation."""
    parts = [len(own) for _, own in rows_by_store(store, rows)]
    return np.repeat(np.arange(len(parts)), parts) if len(parts) > 1 else None


def provenance(
    store: OmicsStore,
    rows: np.ndarray,
    config: Mapping[str, Any],
    split_record: Mapping[str, Any] | None,
    *,
    used_for: str,
) -> dict[str, Any]:
    """What a checkpoint says about its training: stores, participants as salted hashes, split, config, code.

    The hashes let somebody who holds the ids ask who was trained on; they are a pseudonym, not a protection. Where
    the files lay is nobody's business and left out.
    """
    plain = {key: value for key, value in config.items() if key not in ("run_dir", "checkpoint")}
    plain["data"] = {key: value for key, value in config["data"].items() if key not in ("store", "split", "mapping")}
    stores, participants = [], []
    for place, (own, among) in enumerate(rows_by_store(store, rows)):
        salt = f"{derive(config['seed'], 'salt', own.fingerprint):08x}"
        ids = sorted(own.visits["participant_id"].iloc[among].astype(str).unique())
        weight = {} if store.weights is None else {"weight": store.weights[place]}
        counts = {"participants": len(ids), "visits": len(among), **weight}
        counts |= {"mapping": own.manifest["mapping"]["fingerprint"]} if "mapping" in own.manifest else {}
        stores.append({"name": own.name, "fingerprint": own.fingerprint, **counts, "used for": used_for})
        participants.append({"people": own.people, "salt": salt, "sha256": hash_participants(ids, salt)})
    return {
        "stores": stores,
        "participants": participants,
        "split": dict(split_record or {}),
        "config": plain,
        "commit": code_commit(),
    }
