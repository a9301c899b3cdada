"""Pretraining learns what is in the data, and a probe finds a planted signal and none where there is none."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from omicsfm.checkpoint import Checkpoint, load_checkpoint
from omicsfm.data.collate import BatchReader
from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.store import OmicsStore
from omicsfm.data.synthetic import simulate
from omicsfm.inference import predict, reader_for
from omicsfm.metrics.classification import auroc
from omicsfm.metrics.targets import class_target
from omicsfm.training.assemble import backbone_spec, build_model, fitted_transforms, objectives
from omicsfm.training.finetune import adapt
from omicsfm.training.main import compose
from omicsfm.training.pretrain import pretrain

SMALL = (
    "model=tiny",
    "model.num_latents=8",
    "task.patience=20",
    "data.batch_size=16",
    "logger=none",
    "run_dir=none",
    "data.store=none",
)
EPOCHS = 15


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> OmicsStore:
    """240 participants seen once; two hidden factors move every feature and decide the outcomes."""
    folder = tmp_path_factory.mktemp("learning")
    sizes = {"genes": 30, "proteins": 20, "metabolites": 15}
    simulate(
        folder / "c.h5mu",
        participants=240,
        visits=1,
        seed=3,
        factors=2,
        signal=4.0,
        noise=0.3,
        batch_effect=0.0,
        **sizes,
    )
    return prepare(folder / "c.h5mu", folder / "store")


@pytest.fixture(scope="module")
def train(store: OmicsStore) -> np.ndarray:
    return np.flatnonzero(store.participant_number < 160)


@pytest.fixture(scope="module")
def config() -> Mapping[str, Any]:
    return compose([*SMALL, f"task.epochs={EPOCHS}"])


@pytest.fixture(scope="module")
def pretrained(store, train, config, tmp_path_factory) -> Checkpoint:
    directory: Path = tmp_path_factory.mktemp("learning") / "checkpoint"
    pretrain(store, rows=train, config=config, directory=directory)
    return load_checkpoint(directory)


@torch.inference_mode()
def held_out_loss(model: Any, store: OmicsStore, config: Mapping[str, Any], train: np.ndarray) -> float:
    """Nats per withheld value of participants that nobody trained on."""
    features = {name: matrix.features for name, matrix in store.inputs.items()}
    reader = BatchReader(store, features=features, transforms=fitted_transforms(store, train))
    batch = reader.read(np.setdiff1d(np.arange(len(store)), train), seed=5)
    return sum(float(o(model, batch).total) for o in objectives(config, features).values()) / 2


def test_pretraining_predicts_withheld_values_of_new_people_better_than_the_training_medians(
    store, train, config, pretrained
) -> None:
    features = {name: matrix.features for name, matrix in store.inputs.items()}
    ignorant = build_model(backbone_spec(config, features), seed=0, purpose="initial weights").eval()
    for part in (ignorant.summary, *(modality.decoder for modality in ignorant.modalities.values())):
        for parameter in part.parameters():
            torch.nn.init.zeros_(parameter)  # every value: mean 0, the training median, and spread 1
    before = held_out_loss(ignorant, store, config, train)
    after = held_out_loss(pretrained.model, store, config, train)
    assert after < before - 0.1


def held_out_auroc(store: OmicsStore, checkpoint: Checkpoint, config: Mapping[str, Any], train: np.ndarray) -> float:
    spec = store.outcome("responder")
    reader = reader_for(checkpoint, store, outcome=spec)
    known = store.outcome_observed("responder")
    rows = train[known[train]]
    model, _, _ = adapt(reader, checkpoint, spec, rows, {**config, "adaptation": PROBE})
    test = np.setdiff1d(np.flatnonzero(known), train)
    probability = predict(model, reader, test, head="responder").numpy().astype(np.float64)
    truth = class_target(store.outcomes["responder"].iloc[test].astype(str).tolist(), spec.classes)
    return float(auroc(truth, probability))


PROBE = {"_target_": "omicsfm.training.adaptations.Probe"}


def test_a_probe_finds_the_planted_signal_in_people_it_never_saw(store, train, config, pretrained) -> None:
    assert held_out_auroc(store, pretrained, config, train) > 0.7


def test_a_probe_finds_nothing_in_permuted_labels(store, train, config, pretrained) -> None:
    generator = np.random.default_rng(0)
    scores = []
    for _ in range(4):
        outcomes = store.outcomes.copy()
        outcomes["responder"] = outcomes["responder"].to_numpy()[generator.permutation(len(store))]
        scores.append(held_out_auroc(replace(store, outcomes=outcomes), pretrained, config, train))
    assert np.mean(scores) == pytest.approx(0.5, abs=0.1)  # standard error 0.03 over 4 x 80 people
