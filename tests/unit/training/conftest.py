"""A composed config of a run that takes a second, and the store it runs on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omicsfm.checkpoint import Checkpoint, load_checkpoint
from omicsfm.data.store import OmicsStore
from omicsfm.training.main import compose
from omicsfm.training.pretrain import pretrain

SMALL = ("model=tiny", "model.dim=8", "model.num_latents=2", "logger=none", "run_dir=none", "data.store=none")

Config = Mapping[str, Any]
Compose = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def composed() -> Compose:
    """Composes a small config with further overrides."""
    return lambda *overrides: compose([*SMALL, *overrides])


@pytest.fixture(scope="session")
def training_rows(simulated_store: OmicsStore) -> np.ndarray:
    """Visits of all but the last eight participants."""
    return np.flatnonzero(simulated_store.participant_number < 40)


@pytest.fixture(scope="session")
def pretrained(
    simulated_store: OmicsStore,
    composed: Compose,
    training_rows: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> Checkpoint:
    """Two epochs of pretraining, opened; read it only."""
    directory: Path = tmp_path_factory.mktemp("pretrained") / "checkpoint"
    pretrain(simulated_store, rows=training_rows, config=composed("task.epochs=2"), directory=directory)
    return load_checkpoint(directory)
