"""Embeddings and predictions of stored visits, without gradients and without a trainer."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from omicsfm.checkpoint import Checkpoint
from omicsfm.contracts import Batch, OutcomeSpec
from omicsfm.data.collate import BatchReader
from omicsfm.data.histories import Histories
from omicsfm.data.store import OmicsStore
from omicsfm.model.omics_model import OmicsModel


def reader_for(checkpoint: Checkpoint, store: OmicsStore, *, outcome: OutcomeSpec | None = None) -> BatchReader:
    """Reads a store the way the checkpoint's model expects: every measured feature it knows, on its scale."""
    outcomes = () if outcome is None else (outcome,)
    return BatchReader(store, features=checkpoint.features, transforms=checkpoint.transforms, outcomes=outcomes)


def embed(
    model: OmicsModel, reader: BatchReader, rows: Int[np.ndarray, " visits"], *, batch_size: int = 64
) -> Float[np.ndarray, "visits embedding"]:
    """The embedding of each visit, in the order of ``rows``."""
    return evidence(model, reader, rows, batch_size=batch_size)[:, model.evidence["embedding"]]


@torch.inference_mode()
def evidence(
    model: OmicsModel, reader: BatchReader, rows: Int[np.ndarray, " visits"], *, batch_size: int = 64
) -> Float[np.ndarray, "visits evidence"]:
    """What a head reads of each visit: embedding and values side by side, at the places of ``model.evidence``."""
    model.eval()
    known = np.empty((len(rows), model.evidence_dim), np.float32)
    done = 0
    for batch, asked in batches(model, reader, rows, batch_size):
        known[done : done + len(asked)] = model.read(model.encode(batch))[asked].float().cpu().numpy()
        done += len(asked)
    return known


@torch.inference_mode()
def predict(
    model: OmicsModel, reader: BatchReader, rows: Int[np.ndarray, " visits"], *, head: str, batch_size: int = 64
) -> Tensor:
    """A head's readout for each visit: class probabilities, a quantity in its unit, or log hazards."""
    return model.heads[head].readout(raw_prediction(model, reader, rows, head=head, batch_size=batch_size)).cpu()


@torch.inference_mode()
def raw_prediction(
    model: OmicsModel, reader: BatchReader, rows: Int[np.ndarray, " visits"], *, head: str, batch_size: int = 64
) -> Tensor:
    """What a head reads out and predicts curves from: logits, or a log hazard for each interval or cause."""
    model.eval()
    parts = [
        model.predict(model.encode(batch), head)[asked] for batch, asked in batches(model, reader, rows, batch_size)
    ]
    return torch.cat(parts)


def batches(
    model: OmicsModel, reader: BatchReader, rows: Int[np.ndarray, " visits"], batch_size: int
) -> Iterator[tuple[Batch, Tensor]]:
    """Batches that hold the visits, and where in each batch those asked for stand.

    A model that reads histories gets with each visit as many visits before it as it looks back; the visits are given in
    their own order all the same.
    """
    device = next(model.parameters()).device
    joins = model.trajectory
    histories = None if joins is None else Histories.of(reader.store.visits)
    for start in range(0, len(rows), batch_size):
        asked = rows[start : start + batch_size]
        read = asked if histories is None or joins is None else histories.complete(asked, reach=joins.reach)
        read = np.unique(read)
        yield reader.read(read).to(device), torch.from_numpy(np.searchsorted(read, asked)).to(device)
