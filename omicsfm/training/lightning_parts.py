"""A Lightning Trainer as every run uses it."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

from omicsfm import distributed
from omicsfm.build import build
from omicsfm.training.resume.checkpoint_io import StateIO


def make_trainer(
    config: Mapping[str, Any], *, run_dir: Path | None, callbacks: list[pl.Callback], epochs: int
) -> pl.Trainer:
    """A Trainer from configs/trainer and configs/logger; several processes share each batch."""
    settings, task = dict(config["trainer"]), config["task"]
    strategy = build(settings.pop("strategy"))
    strategy = strategy() if callable(strategy) else strategy
    trainer = pl.Trainer(
        **settings,
        strategy=strategy,
        max_epochs=epochs,
        callbacks=callbacks,
        logger=_logger(config["logger"], run_dir) if run_dir is not None else False,
        plugins=[StateIO(keep=config["resume"]["keep"]), *_environment()],
        gradient_clip_val=task["gradient_clip"],
        accumulate_grad_batches=task["accumulate"],
        use_distributed_sampler=False,  # BatchSampler shares batches out itself
        default_root_dir=run_dir,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        log_every_n_steps=1,
    )
    # Its handlers save or broadcast in the middle of a step: see preemption.py, which listens in their place
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
    return trainer


def _environment() -> list[Any]:
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []


def _logger(config: Mapping[str, Any], run_dir: Path) -> Any:
    if config["name"] == "csv":
        from pytorch_lightning.loggers import CSVLogger

        return CSVLogger(save_dir=run_dir, name="csv")
    if config["name"] == "wandb":
        import os

        from pytorch_lightning.loggers import WandbLogger

        if config["mode"] == "offline":
            os.environ["WANDB_MODE"] = "offline"  # the argument alone still resolves a host
        offline = config["mode"] == "offline"
        return WandbLogger(
            project=config["project"],
            save_dir=run_dir,
            name=run_dir.name,
            offline=offline,
            id=_run_id(run_dir),
            resume=None if offline else "allow",
            settings={"silent": True, "console": "off"},  # what a run prints may name paths and people
        )
    return False


def _run_id(run_dir: Path) -> str:
    """By which a tracker knows a run through its restarts, and apart from one of the same name in another folder."""
    file = run_dir / "run_id"
    if not file.exists() and distributed.is_first():
        run_dir.mkdir(parents=True, exist_ok=True)
        file.write_text(uuid.uuid4().hex[:12])
    return file.read_text() if file.exists() else run_dir.name
