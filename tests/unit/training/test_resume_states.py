"""A saved state comes back bit by bit, or is refused by the name of the file that is not what was written."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from omicsfm.errors import InputError
from omicsfm.training.resume.checkpoint_io import StateIO
from omicsfm.training.resume.folder import DamagedState, newest_intact, read_state, saved_states, verify_state

STATE: dict[str, Any] = {
    "epoch": 3,
    "loss": math.inf,
    "state_dict": {"a.weight": torch.randn(3, 5), "b": torch.tensor(2.5), "none": torch.zeros(0, 4)},
    "optimizer_states": [
        {"state": {0: {"step": torch.tensor(7.0), "m": torch.randn(5).bfloat16()}}, "betas": (0.9, 1)}
    ],
    "callbacks": {"Best": {"weights": {"a": torch.randn(2)}, "$": "a mark of ours", "flag": torch.tensor([True])}},
}


def save(folder: Path, step: int, state: dict[str, Any] = STATE, keep: int = 3) -> Path:
    writer = StateIO(keep=keep)
    path = folder / f"step-{step:09d}"
    try:
        writer.save_checkpoint(state, path)
        writer.wait()
    finally:
        writer.teardown()
    return path


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, torch.Tensor):
        return found.dtype == expected.dtype and torch.equal(found, expected)
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, (list, tuple)):
        return type(found) is type(expected) and all(map(same, found, expected))
    return type(found) is type(expected) and found == expected


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    assert same(read_state(save(tmp_path, 1)), STATE)


def test_the_tensors_are_a_safetensors_file(tmp_path: Path) -> None:
    weights = load_file(save(tmp_path, 1) / "tensors.safetensors")
    assert torch.equal(weights["/state_dict/a.weight"], STATE["state_dict"]["a.weight"])


def test_training_may_go_on_while_a_state_is_written(tmp_path: Path) -> None:
    writer, weight = StateIO(keep=1), torch.ones(1000)
    writer.save_checkpoint({"state_dict": {"w": weight}}, tmp_path / "step-000000001")
    weight.zero_()
    writer.wait()
    writer.teardown()
    assert bool((read_state(tmp_path / "step-000000001")["state_dict"]["w"] == 1).all())


def test_what_is_no_plain_data_is_refused_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="state/callbacks/Best is PosixPath"):
        save(tmp_path, 1, {"callbacks": {"Best": Path("x")}})


def test_every_flipped_bit_is_refused_and_the_file_named(tmp_path: Path, rng: np.random.Generator) -> None:
    folder = save(tmp_path, 1)
    files = sorted(folder.iterdir())
    assert len(files) == 3
    for file in files:
        intact = file.read_bytes()
        for place in rng.choice(len(intact) * 8, size=60, replace=False):
            flipped = bytearray(intact)
            flipped[place // 8] ^= 1 << (place % 8)
            file.write_bytes(flipped)
            with pytest.raises(DamagedState, match=file.name):
                verify_state(folder)
        file.write_bytes(intact[:-1])
        with pytest.raises(DamagedState, match=file.name):
            verify_state(folder)
        file.unlink()
        with pytest.raises(DamagedState, match=file.name):
            verify_state(folder)
        file.write_bytes(intact)
    verify_state(folder)


def test_the_newest_intact_state_is_found_and_the_damaged_one_named(tmp_path: Path, capsys) -> None:
    assert newest_intact(tmp_path / "none") is None
    first, second = save(tmp_path, 1), save(tmp_path, 2)
    assert newest_intact(tmp_path) == second
    (second / "manifest.json").unlink()
    assert newest_intact(tmp_path) == first
    assert f"warning: {second / 'manifest.json'}: is missing" in capsys.readouterr().err
    (first / "state.json").write_text("{}")
    with pytest.raises(InputError, match="none of its 2 saved states is intact"):
        newest_intact(tmp_path)


def test_the_last_few_are_kept_and_leftovers_removed(tmp_path: Path) -> None:
    (tmp_path / ".step-000000001.partial").mkdir()
    for step in (1, 2, 10, 9):
        save(tmp_path, step, keep=2)
    assert [folder.name for folder in saved_states(tmp_path)] == ["step-000000010", "step-000000009"]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_weight_that_is_not_finite_is_never_saved(tmp_path: Path, value: float) -> None:
    kept = save(tmp_path, 1)
    with pytest.raises(
        InputError, match=rf"1 tensors hold NaN or infinity \(first: /state_dict/w\).*whole state is {kept}"
    ):
        save(tmp_path, 2, {"state_dict": {"w": torch.tensor([1.0, value])}})
    assert list(tmp_path.iterdir()) == [kept]


def test_a_large_sum_of_finite_weights_is_finite(tmp_path: Path) -> None:
    save(tmp_path, 1, {"state_dict": {"w": torch.full((4,), 3e38)}})


def test_a_folder_that_cannot_be_written_is_a_message_and_the_previous_state_stays(tmp_path: Path, monkeypatch) -> None:
    kept = save(tmp_path, 1)
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(InputError, match=rf"step-000000002: cannot be written \(No space left.*whole state is {kept}"):
        save(tmp_path, 2)
    assert list(tmp_path.iterdir()) == [kept]
