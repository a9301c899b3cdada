"""What the doctor finds, by making this machine look ill."""

from importlib import metadata
from pathlib import Path

import pytest

from omicsfm import doctor
from omicsfm.doctor import Finding, examine


def found(subject: str, run_dir: Path) -> Finding:
    return next(finding for finding in examine(run_dir) if finding.subject == subject)


def test_a_line_names_the_problem_and_its_remedy() -> None:
    assert Finding("gpu", "none").line == "  ok  gpu          none"
    assert Finding("disk", "full", "free space", stops=True).line.split("\n")[0].startswith("STOP  disk")
    assert "-> free space" in Finding("disk", "full", "free space", stops=True).line


def test_every_subject_is_reported_once(tmp_path: Path) -> None:
    subjects = [finding.subject for finding in examine(tmp_path)]
    assert len(subjects) == len(set(subjects))
    assert {"python", "torch", "slurm", "memory", "cores", "run folder", "TMPDIR"} <= set(subjects)


def test_slurm_tasks_without_srun_stop_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    assert found("slurm", tmp_path).stops
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert not found("slurm", tmp_path).problem


def test_a_full_disk_stops_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "FREE_DISK_STOPS", 2**63)
    assert found("run folder", tmp_path).stops


def test_a_run_folder_that_does_not_exist_yet_is_judged_by_its_parent(tmp_path: Path) -> None:
    assert str(tmp_path) in found("run folder", tmp_path / "new" / "run").found


def test_a_requirement_that_is_missing_stops_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: ["no-such-package-at-all>=1", "absent-too; extra == 'x'"])
    finding = found("packages", tmp_path)
    assert finding.stops
    assert finding.found == "no-such-package-at-all is missing"


def test_more_threads_than_cores_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    finding = found("cores", tmp_path)
    assert finding.problem
    assert not finding.stops


def test_an_unset_wandb_mode_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    assert "WANDB_MODE=offline" in found("WANDB_MODE", tmp_path).problem
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert not found("WANDB_MODE", tmp_path).problem
