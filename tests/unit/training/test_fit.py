"""fit: the best epoch's weights come back, the caller's model stays, and a run that diverges is no result."""

import json

import pytest
import torch

from omicsfm.data.collate import BatchReader
from omicsfm.errors import InputError
from omicsfm.training.assemble import backbone_spec, build_model, fitted_transforms, objectives
from omicsfm.training.fit import fit
from omicsfm.training.module import TrainingModule
from omicsfm.training.pretrain import hold_out


@pytest.fixture
def start(simulated_store, training_rows, composed):
    """Starts a fit with further overrides and arguments."""
    rows = hold_out(simulated_store, training_rows, share=0.2, seed=0)
    features = {name: matrix.features for name, matrix in simulated_store.modalities.items()}
    transforms = fitted_transforms(simulated_store, training_rows)

    def run(*overrides: str, epochs: int = 3, patience: int = 3, **arguments):
        config = composed("data.max_features=8", *overrides)
        model = build_model(backbone_spec(config, features), seed=0, purpose="initial weights")
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        reader = BatchReader(simulated_store, features=features, transforms=transforms, max_features=8)
        best = fit(
            model=model,
            objectives=objectives(config, features),
            reader=reader,
            rows=rows,
            config=config,
            epochs=epochs,
            patience=patience,
            title="test",
            **arguments,
        )
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
        return best, before

    return run


def test_the_weights_of_the_best_epoch_are_returned_and_exported(start, tmp_path) -> None:
    exported = []
    (tmp_path / "run").mkdir()
    best, before = start(
        run_dir=tmp_path / "run", export=lambda weights, epoch, loss: exported.append((weights, epoch, loss))
    )
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [line["val/loss"] for line in log]
    assert best.loss == pytest.approx(min(losses))
    assert losses[best.epoch] == min(losses)
    assert exported[-1][1:] == (best.epoch, best.loss)
    assert all(torch.equal(exported[-1][0][name], best.weights[name]) for name in before)
    assert not torch.equal(best.weights["summary.weight"], before["summary.weight"])
    parts = [value for name, value in log[0].items() if name.startswith("val/masked_features/")]
    assert len(parts) == 3


def test_training_stops_when_the_validation_loss_no_longer_falls(start, tmp_path) -> None:
    (tmp_path / "run").mkdir()
    start("optimizer.learning_rate=0.0", epochs=6, patience=1, run_dir=tmp_path / "run")
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 2


def test_a_fit_without_a_run_folder_writes_and_prints_nothing(start, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    start(epochs=1)
    assert list(tmp_path.iterdir()) == []
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == ""


def test_a_run_that_never_has_a_finite_loss_is_an_error_and_no_result(start) -> None:
    with pytest.raises(InputError, match=r"Lower|lower optimizer\.learning_rate"):
        start("optimizer.learning_rate=1e30", "task.gradient_clip=1e30", epochs=2)


@pytest.mark.parametrize(("accumulate", "kept"), [(1, False), (2, True)])
def test_gradients_take_no_memory_in_the_next_forward_pass(start, monkeypatch, accumulate: int, kept: bool) -> None:
    """But where the next batch adds to them."""
    step, found = TrainingModule.training_step, []

    def noted(self, batch, index):
        found.append(any(p.grad is not None for p in self.parameters()))
        return step(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", noted)
    start(f"task.accumulate={accumulate}", "data.batch_size=16", epochs=1)
    assert len(found) >= 4
    assert found[:6] == [kept and number % 2 == 1 for number in range(len(found[:6]))]
