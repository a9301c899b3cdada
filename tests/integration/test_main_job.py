"""The main job by its commands, as a user types them: pretrain, fine-tune, and start again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import omicsfm
from omicsfm.data.folds import make_split
from omicsfm.data.splits import Split
from omicsfm.data.store import OmicsStore
from omicsfm.training.main import main

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = ("model=tiny", "task.epochs=3", "task.patience=3", "logger=none")


def train(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(REPOSITORY / "train.py"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def split(simulated_store: OmicsStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everybody but the people of fold 0 may be trained on, ten families at least."""
    path = tmp_path_factory.mktemp("split") / "split.csv"
    make_split(simulated_store.visits, repeats=1, folds=4, seed=0).write(path)
    return path


@pytest.fixture(scope="module")
def pretrained(simulated_store: OmicsStore, split: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    ended = train(
        "task=pretrain",
        f"data.store={simulated_store.path}",
        f"data.split={split}",
        "run_dir=pretrain",
        *SMALL,
        cwd=folder,
    )
    assert ended.returncode == 0, ended.stderr
    return folder / "pretrain"


def test_pretraining_leaves_a_checkpoint_that_opens_and_says_whom_it_saw(
    pretrained: Path, simulated_store: OmicsStore, split: Path
) -> None:
    checkpoint = omicsfm.load_checkpoint(pretrained / "checkpoint")
    participants = simulated_store.visits["participant_id"]
    training, tested = Split.read(split).masks(simulated_store.visits, 0, 0)
    assert all(checkpoint.saw(participants[training].tolist()))
    assert not any(checkpoint.saw(participants[tested].tolist()))
    assert checkpoint.provenance["stores"][0]["fingerprint"] == simulated_store.fingerprint
    assert checkpoint.provenance["split"]["sha256"] == Split.read(split).sha256


def test_the_run_folder_holds_the_resolved_config_and_one_line_per_epoch(pretrained: Path) -> None:
    lines = [json.loads(line) for line in (pretrained / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1, 2]
    assert "${" not in (pretrained / "config.yaml").read_text()
    assert not (pretrained / "resume").exists()


def test_the_same_command_again_leaves_a_finished_run_as_it_is(
    pretrained: Path, simulated_store: OmicsStore, split: Path
) -> None:
    before = (pretrained / "checkpoint" / "model.safetensors").read_bytes()
    arguments = (
        "task=pretrain",
        f"data.store={simulated_store.path}",
        f"data.split={split}",
        "run_dir=pretrain",
        *SMALL,
    )
    again = train(*arguments, cwd=pretrained.parent)
    assert again.returncode == 0, again.stderr
    assert "this run is finished" in again.stdout
    assert (pretrained / "checkpoint" / "model.safetensors").read_bytes() == before
    other = train(*arguments, "seed=9", cwd=pretrained.parent)
    assert other.returncode == 1
    assert "seed is 0; this start has 9" in other.stderr


@pytest.mark.parametrize(("outcome", "adaptation"), [("responder", "lora"), ("death", "stack")])
def test_an_outcome_is_fine_tuned_from_the_checkpoint(
    pretrained: Path, simulated_store: OmicsStore, split: Path, tmp_path: Path, outcome: str, adaptation: str
) -> None:
    ended = train(
        "task=finetune",
        f"data.store={simulated_store.path}",
        f"data.split={split}",
        f"checkpoint={pretrained / 'checkpoint'}",
        f"outcome={outcome}",
        "run_dir=tuned",
        f"adaptation={adaptation}",
        "task.epochs=2",
        "logger=none",
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    assert "warning" not in ended.stderr  # pretrained on the same split, so nobody kept for testing was seen
    assert omicsfm.load_checkpoint(tmp_path / "tuned" / "checkpoint").outcome(outcome).name == outcome


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data.store=absent", "run_dir=r"], "absent: not a store"),
        (["run_dir=r"], "data.store is not given"),
        ([], "run_dir is not given"),
        (["task=finetune", "data.store=STORE", "run_dir=r"], "outcome=NAME"),
        (["task=finetune", "data.store=STORE", "outcome=deth", "run_dir=r"], "did you mean 'death'"),
        (["data.store=STORE", "run_dir=r", "optimiser.learning_rate=1"], "did you mean 'optimizer'"),
        (["data.store=STORE", "run_dir=r", "model=smal"], "did you mean 'small'"),
    ],
)
def test_a_mistake_is_one_message_and_status_1_and_starts_no_run(
    simulated_store: OmicsStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", *(a.replace("STORE", str(simulated_store.path)) for a in arguments)])
    with pytest.raises(SystemExit) as ending:
        main()
    assert ending.value.code == 1
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "r" / "checkpoint").exists()
