"""One Lightning fit: modules and loaders in, best weights out, resumed where an earlier start stopped."""

import copy
import logging
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from omicsfm import distributed
from omicsfm.build import build
from omicsfm.data.collate import BatchReader
from omicsfm.data.loader import make_loader
from omicsfm.seeding import derive
from omicsfm.training.callbacks import BestWeights, Export, Patience, Progress, RunLog
from omicsfm.training.epoch_means import EpochMeans
from omicsfm.training.guard import StepGuard
from omicsfm.training.host_memory import kept_between_steps
from omicsfm.training.idle import freeze_idle
from omicsfm.training.layers import set_layers
from omicsfm.training.lightning_parts import make_trainer
from omicsfm.training.module import TrainingModule
from omicsfm.training.preemption import stop_request
from omicsfm.training.resume.folder import newest_intact
from omicsfm.training.saving import SaveStates
from omicsfm.training.speed import Speed
from omicsfm.training.watchdog import Watchdog

RESUME = "resume"


@dataclass(frozen=True)
class Rows:
    """Store rows to train on and to choose the best epoch with; both from training participants."""

    train: np.ndarray
    validation: np.ndarray


@dataclass(frozen=True)
class Best:
    """Weights of the epoch with the lowest validation loss."""

    weights: Mapping[str, Tensor]
    epoch: int
    loss: float


@kept_between_steps()
def fit(
    *,
    model: nn.Module,
    objectives: Mapping[str, nn.Module],
    reader: BatchReader,
    rows: Rows,
    config: Mapping[str, Any],
    epochs: int,
    patience: int,
    title: str,
    run_dir: Path | None = None,
    optimizer: Mapping[str, Any] | None = None,
    export: Callable[[dict[str, Tensor], int, float], None] | None = None,
) -> Best:
    """Minimise the objectives; stop when the validation loss has not improved for ``patience`` epochs.

    ``model`` is where training starts and stays as it is.
    ``export`` is called with the weights of each new best epoch. Without a ``run_dir`` nothing is written, logged
    or shown. ``optimizer`` replaces the config's.
    """
    data, task, seed = config["data"], config["task"], config["seed"]
    history = None if model.trajectory is None else model.trajectory.window
    shared = {"batch_size": data["batch_size"], "ahead": data["read_ahead"], "history": history}
    train = make_loader(reader, rows.train, seed=derive(seed, title, "train"), shuffle=True, **shared)
    validation = make_loader(reader, rows.validation, seed=derive(seed, title, "validation"), shuffle=False, **shared)
    total_steps = epochs * math.ceil(len(train) / task["accumulate"])
    trained = copy.deepcopy(model)  # sharding would leave the caller's parameters in pieces
    freeze_idle(trained, objectives, reader.read(rows.train[:2]))
    set_layers(trained, **config["layers"])
    module = TrainingModule(
        model=trained,
        objectives=objectives,
        optimizer=build(optimizer or config["optimizer"]),
        schedule=build(config["schedule"]),
        total_steps=total_steps,
        seed=derive(seed, title),
        guard=StepGuard(**config["health"]["steps"]),
    )
    best = BestWeights()
    callbacks: list[pl.Callback] = [EpochMeans(), best, Patience(patience)]
    if run_dir is not None:
        speed = Speed()
        callbacks += [
            Watchdog(run_dir / "hang", minutes=config["health"]["hang_minutes"]),
            speed,
            RunLog(run_dir / "log.jsonl", speed),
            Progress(title=title, total_steps=total_steps, speed=speed),
        ]
        if export is not None:
            callbacks.append(Export(best=best, write=export))
        callbacks.append(SaveStates(run_dir / RESUME, every_minutes=config["resume"]["every_minutes"]))
    with _quiet_lightning(), distributed.sharing(), stop_request.fitting():
        trainer = make_trainer(config, run_dir=run_dir, callbacks=callbacks, epochs=epochs)
        resume = None if run_dir is None else newest_intact(run_dir / RESUME)
        trainer.fit(module, train, validation, ckpt_path=resume, weights_only=True)
    return Best(best.weights, best.epoch, best.loss)


class _quiet_lightning(warnings.catch_warnings):
    """Lightning's advice about workers, GPUs and sampling steps is not the user's business here."""

    def __enter__(self) -> None:  # type: ignore[override]
        super().__enter__()
        warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric|torch\.distributed).*")
        warnings.filterwarnings("ignore", message=r".*(does not have many workers|isinstance\(treespec, LeafSpec\)).*")
        warnings.filterwarnings("ignore", message=r"Grad strides do not match bucket view strides")
        for name in ("pytorch_lightning", "lightning_fabric", "lightning"):
            logging.getLogger(name).setLevel(logging.WARNING)
        torch.set_float32_matmul_precision("high")
