"""Ways to fit a head to an outcome: on a frozen embedding, stacked with linear models, through low-rank corrections,
or through all weights.

The two that train weights start from the probe (Kumar et al. 2022, arXiv:2202.10054): the head begins where the
frozen embedding left it, so its first gradients do not destroy the encoder. They return to the probe where they do
not improve on it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from omicsfm.baselines.stack import Stacked, stack
from omicsfm.contracts import CompetingRisks, OutcomeSpec, Survival
from omicsfm.data.collate import BatchReader, read_outcome
from omicsfm.inference import evidence
from omicsfm.metrics.targets import Target
from omicsfm.model.lora import add_low_rank, merge_low_rank
from omicsfm.model.omics_model import KERNEL, NETWORKS, RELATIVE
from omicsfm.objectives.outcome import OutcomePrediction
from omicsfm.training.fit import Rows, fit
from omicsfm.training.members import Parts, fit_members, target_of
from omicsfm.training.pooling import Pool

TIMED = (Survival, CompetingRisks)


@dataclass(frozen=True)
class TuningTask:
    """What an adaptation works with: an outcome of training visits, and how to read them."""

    outcome: OutcomeSpec
    reader: BatchReader
    rows: np.ndarray
    groups: np.ndarray
    """Whose visit each visit of the store is: a group is on one side of every inner fold."""
    cut: Callable[[], Rows]
    """Cuts ``rows`` by group; asked only by what trains weights, for a probe of few people needs none."""
    config: Mapping[str, Any]
    run_dir: Path | None = None
    pool: Pool | None = None
    """The training visits of all strata, where ``rows`` are those of one."""

    @cached_property
    def split(self) -> Rows:
        """``rows`` to fit weights to, and those that choose the best epoch."""
        return self.cut()


@dataclass(frozen=True)
class Adapted:
    """What an adaptation chose and measured on training participants."""

    chosen: dict[str, float]
    held_out: Float[np.ndarray, "rows outputs"] | None = None
    """Linear predictors of the training visits by models that had not seen their participants' outcomes."""


class Probe:
    """A penalised linear model on the frozen embedding; inner cross-validation chooses its penalty."""

    def fit(self, model: Any, task: TuningTask) -> Adapted:
        """Fill the model's head."""
        return fill_head(model, task, task.rows, members=(("embedding",),))


class Stack:
    """A probe on the embedding, a linear model of all measured values, one of each modality's, one of all relative
    values and one of their kernel, weighted by held-out predictions; where the model reads histories, a probe on the
    state too. Within a stratum of a cohort also the same models of all strata together.

    All members are linear in what the head reads, so their weighted mean is one head. Weights of zero for all but the
    values leave a linear baseline: this adaptation is not worse than one by more than the choice of the weights costs.
    """

    def __init__(self, *, embedding: bool = True) -> None:
        """Without ``embedding`` the encoder is not among the members: what is left shows what pretraining buys."""
        self.encoder = NETWORKS if embedding else ()

    def fit(self, model: Any, task: TuningTask) -> Adapted:
        """Fill the model's head; what it chose are the weights of the members."""
        modalities = tuple(name for name in model.modalities if _is_measured(task, name))
        alone = modalities if len(modalities) > 1 else ()
        single = (*self.encoder, *alone, RELATIVE, KERNEL)
        members = (modalities, *((part,) for part in single if part in model.evidence))
        return fill_head(model, task, task.rows, members=members, weigh=stack)


class Linear:
    """The linear baseline as a head: all measured values, no network, no kernel."""

    def fit(self, model: Any, task: TuningTask) -> Adapted:
        """Fill the model's head."""
        modalities = tuple(name for name in model.modalities if _is_measured(task, name))
        return fill_head(model, replace(task, pool=None), task.rows, members=(modalities,))


class LateFusion:
    """Late fusion as a head: the mean of one linear model for each modality. One that a visit lacks counts as its
    training mean, where the baseline leaves it out.
    """

    def fit(self, model: Any, task: TuningTask) -> Adapted:
        """Fill the model's head."""
        alone = tuple((name,) for name in model.modalities if _is_measured(task, name))
        return fill_head(model, replace(task, pool=None), task.rows, members=alone)


class LowRankTuning:
    """LoRA: every linear layer of tokenizers and encoder gets a trainable low-rank correction, merged at the end."""

    def __init__(self, *, rank: int, alpha: float, learning_rate: float) -> None:
        self.rank, self.alpha, self.learning_rate = rank, alpha, learning_rate

    def fit(self, model: Any, task: TuningTask) -> Adapted:
        """Tune the model in place; measured are losses on validation participants before and after."""

        def adapt(backbone: Any) -> None:
            add_low_rank(backbone, rank=self.rank, alpha=self.alpha)

        return _tune(model, task, learning_rate=self.learning_rate, adapt=adapt)


class FullTuning:
    """All weights of tokenizers and encoder train."""

    def __init__(self, *, learning_rate: float) -> None:
        self.learning_rate = learning_rate

    def fit(self, model: Any, task: TuningTask) -> Adapted:
        """Tune the model in place; measured are losses on validation participants before and after."""
        return _tune(model, task, learning_rate=self.learning_rate, adapt=lambda backbone: None)


def _tune(model: Any, task: TuningTask, *, learning_rate: float, adapt: Callable[[Any], None]) -> Adapted:
    fill_head(model, task, task.split.train, members=(("embedding",),))
    probe = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    before = _validation_loss(model, task)
    for part in (model.encoder, *(modality.tokenizer for modality in model.modalities.values())):
        adapt(part)
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
    measured = {"validation loss": min(after, before), "probe validation loss": before, "best epoch": best.epoch + 1.0}
    return Adapted(measured)


def _alike(held_out: Float[np.ndarray, "members rows outputs"]) -> Stacked:
    """Their mean."""
    shares = np.full(len(held_out), 1 / len(held_out))
    return Stacked(weights=shares, slopes=shares, intercept=np.zeros(held_out.shape[2]))


def fill_head(
    model: Any,
    task: TuningTask,
    rows: np.ndarray,
    *,
    members: Sequence[Parts],
    weigh: Callable[[np.ndarray, Target, np.ndarray], Stacked] | None = None,
) -> Adapted:
    """Fit a penalised linear model to each member's part of the evidence and put them into the head; several are
    weighed, together with those that the strata of the cohort share, or averaged.

    What is chosen is each member's weight.
    """
    head, known = model.heads[task.outcome.name], evidence(model, task.reader, rows)
    outcome = read_outcome(task.reader.store, task.outcome, rows)
    target, groups = target_of(outcome, task.outcome), task.groups[rows]
    fitted = fit_members(model, known, target, groups=groups, seed=task.config["seed"], members=members)
    if len(fitted) > 1 and task.pool is not None:
        fitted += task.pool.members(model, members, of=rows)
    held_out = np.stack([member.fit.held_out for member in fitted])
    doubted = np.array([member.of_network for member in fitted])
    stacked = weigh(held_out, target, doubted) if weigh and len(fitted) > 1 else _alike(held_out)

    coefficients = np.zeros((known.shape[1], held_out.shape[2]))
    for slope, member in zip(stacked.slopes, fitted, strict=True):
        coefficients[member.columns] += slope * member.fit.coefficients
    head.standardise(torch.from_numpy(known))
    head.fill(coefficients, stacked.combine(np.stack([member.fit.intercept for member in fitted])[:, None])[0])
    mean = stacked.combine(held_out)
    if isinstance(outcome, TIMED):  # held out: risks of fitted rows are too extreme for a baseline hazard
        log_hazard = mean[:, 0] if isinstance(outcome, Survival) else mean
        head.set_baseline(torch.from_numpy(log_hazard.astype(np.float32)), outcome)
    return Adapted({f"weight of {m.name}": float(w) for m, w in zip(fitted, stacked.weights, strict=True)}, mean)


def _is_measured(task: TuningTask, modality: str) -> bool:
    """Whether any training visit has the modality; a linear model of nothing is no member."""
    matrix = task.reader.store.inputs.get(modality)
    return matrix is not None and bool(np.isin(task.rows, matrix.rows).any())


@torch.inference_mode()
def _validation_loss(model: Any, task: TuningTask) -> float:
    model.eval()
    return float(OutcomePrediction()(model, task.reader.read(task.split.validation)).total)


@torch.inference_mode()
def _set_baseline(model: Any, task: TuningTask, rows: np.ndarray) -> None:
    batch = task.reader.read(rows)
    outcome = batch.outcomes[task.outcome.name]
    if isinstance(outcome, TIMED):
        head = model.heads[task.outcome.name]
        head.after_training(model.predict(model.encode(batch), task.outcome.name), outcome)
