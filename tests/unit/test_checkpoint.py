"""A checkpoint opens as what was saved, or says which of its files is at fault; it names nobody and runs nothing."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from omicsfm import checkpoint as checkpoint_module
from omicsfm import distributed
from omicsfm.build import build
from omicsfm.checkpoint import (
    FILES,
    SCHEMA,
    _digest,
    hash_participants,
    load_checkpoint,
    save_checkpoint,
    verify_checkpoint,
)
from omicsfm.contracts import OutcomeSpec
from omicsfm.data.transforms import default_transform
from omicsfm.errors import InputError
from omicsfm.features import FeatureSpace

SIZES = {"proteome": 6, "metabolome": 4}
PARTICIPANTS = [f"HOSPITAL-{n:04d}" for n in range(30)]
OUTCOMES = (
    OutcomeSpec("ill", "class", "visit", ("no", "yes")),
    OutcomeSpec("bmi", "quantity"),
    OutcomeSpec("death", "survival", "participant"),
)

Save = Callable[..., Path]


def heads_of(dim: int) -> dict[str, dict[str, Any]]:
    rooms = "omicsfm.heads"
    return {
        "ill": {"_target_": f"{rooms}.classification.ClassificationHead", "evidence_dim": dim, "num_classes": 2},
        "bmi": {"_target_": f"{rooms}.regression.RegressionHead", "evidence_dim": dim, "location": 25.0, "unit": 4.0},
        "death": {"_target_": f"{rooms}.cox.CoxHead", "evidence_dim": dim, "num_times": 4},
    }


@pytest.fixture
def parts(make_spec, make_model, rng) -> dict[str, Any]:
    """Everything that save_checkpoint asks for."""
    dim = make_model(sizes=SIZES).evidence_dim
    heads = heads_of(dim)
    model = make_model(sizes=SIZES, heads=heads)
    model.heads["death"].baseline_cumulative_hazard.copy_(torch.linspace(0.1, 1, 4))
    scales = {"proteome": "log2", "metabolome": "raw"}
    features = {
        name: FeatureSpace(name, tuple(f"{name}-{n}" for n in range(size)), "local", scales[name], "olink")
        for name, size in SIZES.items()
    }
    labels = {"platform": np.array(["a", "b"] * 20)}
    values = {name: rng.lognormal(size=(40, size)).astype(np.float32) for name, size in SIZES.items()}
    transforms = {name: default_transform(scales[name]).fit(values[name], labels) for name in SIZES}
    return {
        "model": model,
        "model_spec": make_spec(sizes=SIZES, heads=heads),
        "features": features,
        "transforms": transforms,
        "outcomes": OUTCOMES,
        "provenance": {
            "stores": [{"name": "c", "fingerprint": "f" * 64, "participants": 30, "visits": 60, "used for": "test"}],
            "participants": [{"people": "c", "salt": "0011", "sha256": hash_participants(PARTICIPANTS, "0011")}],
            "metrics": {"loss": 0.5},
        },
    }


@pytest.fixture
def saved(parts, tmp_path) -> Path:
    save_checkpoint(tmp_path / "checkpoint", **parts)
    return tmp_path / "checkpoint"


def content(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(directory.iterdir())}


def reseal(directory: Path, **record: Any) -> None:
    """Make the hashes of a checkpoint right again, as a stranger could who edits one."""
    provenance = json.loads((directory / "provenance.json").read_text()) | record
    provenance["files"] = {name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in FILES}
    provenance["digest"] = _digest(provenance)
    (directory / "provenance.json").write_text(json.dumps(provenance))


def test_what_is_opened_is_what_was_saved(parts, saved, make_batch, rng) -> None:
    opened = load_checkpoint(saved)
    batch = make_batch(sizes=SIZES)
    ours, theirs = opened.model.encode(batch), parts["model"].encode(batch)
    torch.testing.assert_close(opened.model.read(ours), parts["model"].read(theirs), atol=0, rtol=0)
    for spec in OUTCOMES:
        a, b = (
            model.heads[spec.name].readout(model.predict(encoded, spec.name))
            for model, encoded in ((opened.model, ours), (parts["model"], theirs))
        )
        torch.testing.assert_close(a, b, atol=0, rtol=0)
    times = torch.tensor([0.5, 2.0])
    torch.testing.assert_close(
        opened.model.heads["death"].survival_probability(torch.zeros(1), times),
        parts["model"].heads["death"].survival_probability(torch.zeros(1), times),
    )
    assert opened.features == parts["features"]
    assert opened.outcomes == OUTCOMES
    unseen = rng.lognormal(size=(5, 4)).astype(np.float32)
    names = {"platform": np.array(["a", "b", "c", "a", "b"])}
    np.testing.assert_array_equal(
        opened.transforms["metabolome"](unseen, names), parts["transforms"]["metabolome"](unseen, names)
    )
    assert not opened.model.training


def test_it_says_whom_it_saw_and_names_nobody(saved) -> None:
    opened = load_checkpoint(saved)
    assert opened.saw([PARTICIPANTS[3], "HOSPITAL-9999", PARTICIPANTS[0]]) == [True, False, True]
    for name, data in content(saved).items():
        for participant in PARTICIPANTS:
            assert participant.encode() not in data, f"{participant} stands in {name}"


def test_it_knows_the_participants_of_earlier_trainings_under_their_own_salt(parts, tmp_path) -> None:
    earlier = {"people": "d", "salt": "77", "sha256": hash_participants(["OLD"], "77")}
    parts["provenance"]["participants"].append(earlier)
    save_checkpoint(tmp_path / "c", **parts)
    asked = ["OLD", "NEW", PARTICIPANTS[1]]
    opened = load_checkpoint(tmp_path / "c")
    assert opened.saw(asked) == [True, False, True]
    assert opened.saw(asked, "c") == [False, False, True]  # an OLD of the cohort c is another person
    assert opened.saw(asked, "nobody knows") == [True, False, True]


def test_the_panel_of_each_training_cohort_is_kept(parts, tmp_path) -> None:
    panels = {"one": np.array([0, 1]), "two": np.array([1, 3])}
    parts["features"]["metabolome"] = replace(parts["features"]["metabolome"], panels=panels)
    save_checkpoint(tmp_path / "c", **parts)
    opened = load_checkpoint(tmp_path / "c").features
    assert {name: panel.tolist() for name, panel in opened["metabolome"].panels.items()} == {
        "one": [0, 1],
        "two": [1, 3],
    }
    assert not opened["proteome"].panels


def test_the_same_person_has_another_hash_in_another_checkpoint() -> None:
    assert not set(hash_participants(PARTICIPANTS, "1")) & set(hash_participants(PARTICIPANTS, "2"))


@pytest.mark.parametrize("name", [*FILES, "provenance.json"])
def test_a_missing_file_is_named(saved, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        load_checkpoint(saved)


@pytest.mark.parametrize("place", [0, 0.5, 1])
@pytest.mark.parametrize("name", [*FILES, "provenance.json"])
def test_a_flipped_bit_anywhere_is_found_and_the_file_named(saved, name: str, place: float) -> None:
    data = bytearray((saved / name).read_bytes())
    data[round(place * (len(data) - 1))] ^= 1
    (saved / name).write_bytes(bytes(data))
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        load_checkpoint(saved)


@pytest.mark.parametrize("kept", [0, 10])
@pytest.mark.parametrize("name", [*FILES, "provenance.json"])
def test_a_truncated_file_is_found_and_named(saved, name: str, kept: int) -> None:
    (saved / name).write_bytes((saved / name).read_bytes()[:kept])
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        load_checkpoint(saved)


def test_edited_provenance_is_found(saved) -> None:
    record = json.loads((saved / "provenance.json").read_text())
    record["metrics"]["loss"] = 0.001
    (saved / "provenance.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"provenance\.json: was edited"):
        load_checkpoint(saved)


@pytest.mark.parametrize("text", ["[]", "7", '{"schema": 1}', '{"schema": "new", "digest": "", "files": {}}'])
def test_provenance_of_another_shape_is_damaged_and_not_a_traceback(saved, text: str) -> None:
    (saved / "provenance.json").write_text(text)
    with pytest.raises(InputError, match=r"provenance\.json"):
        load_checkpoint(saved)


def test_a_newer_format_asks_for_an_update(saved) -> None:
    reseal(saved, schema=SCHEMA + 1)
    with pytest.raises(InputError, match="Update omicsfm"):
        load_checkpoint(saved)


def test_a_folder_that_is_no_checkpoint_says_where_one_is(tmp_path) -> None:
    with pytest.raises(InputError, match="RUN/checkpoint"):
        load_checkpoint(tmp_path / "absent")


@pytest.mark.parametrize("where", ["model", "transforms"])
def test_a_config_that_names_anything_but_our_classes_is_refused_and_nothing_is_called(
    saved, monkeypatch, where: str
) -> None:
    called: list[object] = []
    monkeypatch.setattr(os, "system", called.append)
    config = json.loads((saved / "config.json").read_text())
    if where == "model":
        config["model"]["pooling"] = {"_target_": "os.system", "command": "touch owned"}
    else:
        config["transforms"]["proteome"]["steps"][0] = {"_target_": "os.system", "command": "touch owned"}
    (saved / "config.json").write_text(json.dumps(config))
    reseal(saved)
    with pytest.raises(InputError, match=r"'os\.system' is refused"):
        load_checkpoint(saved)
    assert not called


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_refused_and_nothing_is_written(parts, tmp_path, value: float) -> None:
    with torch.no_grad():
        parts["model"].summary.bias[2] = value
    with pytest.raises(ValueError, match=r"summary\.bias"):
        save_checkpoint(tmp_path / "new" / "checkpoint", **parts)
    assert list(tmp_path.iterdir()) == []


def test_the_old_checkpoint_survives_a_save_that_fails(parts, saved, monkeypatch) -> None:
    before = content(saved)

    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    for step in ("feature_table", "model_card", "_digest"):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint_module, step, fail)
            with pytest.raises(OSError, match="No space left"):
                save_checkpoint(saved, **parts)
        assert content(saved) == before
        load_checkpoint(saved)


def test_a_second_save_replaces_the_first_and_leaves_nothing_beside_it(parts, saved, make_batch) -> None:
    (saved.with_name(f".{saved.name}.partial")).mkdir()  # of a save that was killed
    with torch.no_grad():
        parts["model"].summary.bias.add_(1.0)
    save_checkpoint(saved, **parts)
    torch.testing.assert_close(load_checkpoint(saved).model.summary.bias, parts["model"].summary.bias)
    assert [file.name for file in saved.parent.iterdir()] == ["checkpoint"]


def test_of_several_processes_only_the_first_writes(parts, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(distributed, "is_first", lambda: False)
    save_checkpoint(tmp_path / "checkpoint", **parts)
    assert not (tmp_path / "checkpoint").exists()


def test_a_head_that_it_does_not_have_is_named_with_those_it_has(saved) -> None:
    opened = load_checkpoint(saved)
    assert opened.outcome("ill").classes == ("no", "yes")
    with pytest.raises(InputError, match=r"'icu' \(heads: ill, bmi, death\)"):
        opened.outcome("icu")


def test_a_model_without_heads_and_transforms_without_arrays_are_saved_too(parts, make_spec, tmp_path) -> None:
    spec = make_spec(sizes=SIZES)
    chain = {"_target_": "omicsfm.data.transforms.chain.Chain", "steps": []}
    bare = {**parts, "model": build(spec), "model_spec": spec, "outcomes": ()}
    save_checkpoint(tmp_path / "c", **{**bare, "transforms": {name: build(chain) for name in SIZES}})
    opened = load_checkpoint(tmp_path / "c")
    assert opened.outcomes == ()
    with pytest.raises(InputError, match="pretrained only"):
        opened.outcome("ill")


def test_the_record_says_what_the_files_hash_to(saved) -> None:
    record = verify_checkpoint(saved)
    assert set(record["files"]) == set(FILES)
    for name, digest in record["files"].items():
        assert hashlib.sha256((saved / name).read_bytes()).hexdigest() == digest
    assert {file.name for file in saved.iterdir()} == {*FILES, "provenance.json"}
