"""The thin module through which Lightning sees a finished model and finished objectives."""

import sys
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from omicsfm import distributed
from omicsfm.contracts import Batch
from omicsfm.errors import InputError
from omicsfm.seeding import seed_everything
from omicsfm.training.epoch_means import Means
from omicsfm.training.guard import StepGuard
from omicsfm.training.optimizers import AdamW, WarmupCosine


class TrainingModule(pl.LightningModule):
    """The sum of objectives is minimised; their means over an epoch are kept with their parts."""

    def __init__(
        self,
        *,
        model: nn.Module,
        objectives: Mapping[str, nn.Module],
        optimizer: AdamW,
        schedule: WarmupCosine,
        total_steps: int,
        seed: int,
        guard: StepGuard,
    ) -> None:
        super().__init__()
        self.model = model
        self.objectives = nn.ModuleDict(objectives)
        self.make_optimizer = optimizer
        self.make_schedule = schedule
        self.total_steps = total_steps
        self.seed = seed
        self.guard = guard
        self.gradient_norm = 0.0
        self.means = {"train": Means(), "val": Means()}

    def configure_model(self) -> None:
        """Shards the model where the strategy has a mesh for it."""
        if self.device_mesh is not None:
            from omicsfm.training.fully_sharded import shard

            shard(self, self.device_mesh["data_parallel"], steps=("training_step", "validation_step", "suspects"))

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """The loss of one batch of this rank's visits."""
        loader: Any = self.trainer.train_dataloader
        # decided by the step: a run resumed at it draws what one that was never stopped does
        seed_everything(self.seed, "step", self.trainer.global_step, distributed.rank())
        self._batch = batch
        return self._step(batch, "train", loader.sampler.visits(batch_index))

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Counts the loss on held-out participants of the training set."""
        loader: Any = self.trainer.val_dataloaders
        self._step(batch, "val", loader.sampler.visits(batch_index))

    def _step(self, batch: Batch, stage: str, visits: int) -> Tensor:
        total = torch.zeros((), device=self.device)
        logged: dict[str, Tensor] = {}
        for name, objective in self.objectives.items():
            loss = objective(self.model, batch)
            total = total + loss.total
            logged |= {f"{stage}/{name}/{term}": value.detach() for term, value in loss.terms.items()}
        logged[f"{stage}/loss"] = total.detach()
        # The objectives scale their means so that an average over ranks is the mean over all visits. For the mean over
        # batches each counts what it holds on all ranks together: a rank's own share may be smaller, or empty.
        self.means[stage].add(logged, max(visits, 1))
        return total

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:  # type: ignore[override]
        """Also forgets the gradients, which Lightning would keep through the next forward pass."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        optimizer.zero_grad()

    def configure_gradient_clipping(  # type: ignore[override]
        self, optimizer: torch.optim.Optimizer, gradient_clip_val: float | int, gradient_clip_algorithm: Any = None
    ) -> None:
        """Clips by the norm of all gradients, and leaves out a step that the guard finds fault with."""
        if getattr(self.trainer.strategy, "clips_gradients", False):
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm: Any = torch.nn.utils.clip_grad_norm_(parameters, gradient_clip_val or float("inf"))
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm  # of sharded gradients
        if self.judge(float(norm)):
            optimizer.zero_grad(set_to_none=True)  # without a gradient neither weights nor moments change

    def judge(self, norm: float) -> str:
        """What is wrong with the step of this gradient norm, empty where nothing is.

        Raises:
            InputError: It is the last of so many steps in a row that the run ends.
        """
        self.gradient_norm = norm
        fault = self.guard.fault(norm)
        if not fault:
            return ""
        call = getattr(self.trainer.strategy, "call_with_weights", lambda method: method())
        rows = ", ".join(map(str, call(self.suspects).tolist()))
        what = f"step {self.trainer.global_step}: {fault}; left out. Store rows of its visits: {rows}."
        if not self.guard.ends_the_run:
            if distributed.rank() == 0:
                print(f"warning: {what}", file=sys.stderr, flush=True)
            return fault
        raise InputError(
            f"{what} It is number {self.guard.in_a_row} in a row, so the run ends; the weights are those before them. "
            "Look at these visits (omicsfm inspect STORE), or lower optimizer.learning_rate."
        )

    @torch.no_grad()
    def suspects(self) -> Tensor:
        """Rows of the batch's visits, on all processes, of which a value or the embedding is not finite; of all where
        none is such.
        """
        rows, encoded = self._batch.row, self.model.encode(self._batch)
        broken = ~(encoded.profile.isfinite().all(1) & encoded.visit.isfinite().all(1))
        return distributed.gather_rows(rows[broken] if distributed.all_sum(broken.sum()) else rows)

    def configure_optimizers(self) -> dict[str, Any]:  # type: ignore[override]
        """AdamW stepped together with its schedule."""
        optimizer = self.make_optimizer(self)
        scheduler = self.make_schedule(optimizer, self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Batch is opaque to Lightning on purpose; it moves itself, from the host where it was made."""
        return batch if device.type == "cpu" else batch.to(device, non_blocking=True)
