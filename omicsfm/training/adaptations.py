"""Ways to fit a head to an outcome: on a frozen embedding, through low-rank corrections, or through all weights.

The two that train weights start from the probe (Kumar et al. 2022, arXiv:2202.10054): the head begins where the
frozen embedding left it, so its first gradients do not destroy the encoder. They return to the probe where they do
not improve on it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from omicsfm.baselines.penalised import LinearFit, fit_penalised
from omicsfm.contracts import ClassLabel, Outcome, OutcomeSpec, Quantity, Survival
from omicsfm.data.collate import BatchReader, read_outcome
from omicsfm.inference import embed
from omicsfm.metrics.targets import ClassTarget, QuantityTarget, SurvivalTarget, Target
from omicsfm.model.lora import add_low_rank, merge_low_rank
from omicsfm.objectives.outcome import OutcomePrediction
from omicsfm.training.fit import Rows, fit


@dataclass(frozen=True)
class TuningTask:
    """What an adaptation works with: an outcome of training visits, and how to read them."""

    outcome: OutcomeSpec
    reader: BatchReader
    rows: np.ndarray
    split: Rows
    """``rows`` cut by participant, to choose the best epoch of what trains weights."""
    config: Mapping[str, Any]
    run_dir: Path | None = None


class Probe:
    """A penalised linear model on the frozen embedding; inner cross-validation chooses its penalty."""

    def fit(self, model: Any, task: TuningTask) -> dict[str, float]:
        """Fill the model's head; returns what was chosen."""
        linear = fill_head(model, task, task.rows)
        return {"penalty": linear.penalty}


class LowRankTuning:
    """LoRA: every linear layer of tokenizers and encoder gets a trainable low-rank correction, merged at the end."""

    def __init__(self, *, rank: int, alpha: float, learning_rate: float) -> None:
        self.rank, self.alpha, self.learning_rate = rank, alpha, learning_rate

    def fit(self, model: Any, task: TuningTask) -> dict[str, float]:
        """Tune the model in place; returns losses on validation participants before and after."""

        def adapt(backbone: Any) -> None:
            add_low_rank(backbone, rank=self.rank, alpha=self.alpha)

        return _tune(model, task, learning_rate=self.learning_rate, adapt=adapt)


class FullTuning:
    """All weights of tokenizers and encoder train."""

    def __init__(self, *, learning_rate: float) -> None:
        self.learning_rate = learning_rate

    def fit(self, model: Any, task: TuningTask) -> dict[str, float]:
        """Tune the model in place; returns losses on validation participants before and after."""
        return _tune(model, task, learning_rate=self.learning_rate, adapt=lambda backbone: None)


def _tune(
    model: Any, task: TuningTask, *, learning_rate: float, adapt: Callable[[Any], None]
) -> dict[str, float]:
    fill_head(model, task, task.split.train)
    probe = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    before = _validation_loss(model, task)
    for part in (model.encoder, *(modality.tokenizer for modality in model.modalities.values())):
        adapt(part)
    for idle in (model.summary, *(modality.decoder for modality in model.modalities.values())):
        idle.requires_grad_(False)  # a parameter without gradient stops DDP
    best = fit(
        model=model,
        objectives={"outcome": OutcomePrediction()},
        reader=task.reader,
        rows=task.split,
        config=task.config,
        epochs=task.config["task"]["epochs"],
        patience=task.config["task"]["patience"],
        title="finetune",
        run_dir=task.run_dir,
        optimizer={**task.config["optimizer"], "learning_rate": learning_rate},
    )
    model.load_state_dict(best.weights)
    merge_low_rank(model)
    after = _validation_loss(model, task)
    if after >= before:
        model.load_state_dict(probe)
    _set_baseline(model, task, task.split.validation)
    return {"validation loss": min(after, before), "probe validation loss": before, "best epoch": best.epoch + 1.0}


def fill_head(model: Any, task: TuningTask, rows: np.ndarray) -> LinearFit:
    """Fit the penalised linear model on the embeddings of ``rows`` and put it into the model's head."""
    head = model.heads[task.outcome.name]
    embeddings = embed(model, task.reader, rows)
    outcome = read_outcome(task.reader.store, task.outcome, rows)
    linear = fit_penalised(
        embeddings,
        target_of(outcome, task.outcome),
        groups=task.reader.store.participant_number[rows],
        seed=task.config["seed"],
    )
    head.standardise(torch.from_numpy(embeddings))
    head.fill(linear.coefficients, linear.intercept)
    if isinstance(outcome, Survival):  # held out: risks of fitted rows are too extreme for a baseline hazard
        head.set_baseline(torch.from_numpy(linear.held_out[:, 0].astype(np.float32)), outcome)
    return linear


def target_of(outcome: Outcome, spec: OutcomeSpec) -> Target:
    """The outcome as arrays; every visit must have a value."""
    if isinstance(outcome, ClassLabel):
        return ClassTarget(outcome.class_id.numpy(), spec.classes)
    if isinstance(outcome, Quantity):
        return QuantityTarget(outcome.value.numpy().astype(np.float64))
    return SurvivalTarget(outcome.time_days.numpy().astype(np.float64), outcome.event.numpy())


@torch.inference_mode()
def _validation_loss(model: Any, task: TuningTask) -> float:
    model.eval()
    return float(OutcomePrediction()(model, task.reader.read(task.split.validation)).total)


@torch.inference_mode()
def _set_baseline(model: Any, task: TuningTask, rows: np.ndarray) -> None:
    batch = task.reader.read(rows)
    outcome = batch.outcomes[task.outcome.name]
    if isinstance(outcome, Survival):
        head = model.heads[task.outcome.name]
        head.set_baseline(model.predict(model.encode(batch), task.outcome.name), outcome)
