"""The batch scripts with stand-ins for srun, scontrol and python, which say how they were called."""

import os
import signal
import subprocess
import time
from pathlib import Path

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra

from omicsfm.paths import configs_dir

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((REPOSITORY / "slurm").glob("*.sbatch"))


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """The environment of a job whose srun runs its command once and whose scontrol only takes notes."""
    stand_ins = {
        "srun": 'shift; exec "$@"',
        "scontrol": f'echo "$@" >> {tmp_path}/scontrol.log',
        "python": 'case "$3" in doctor|inspect) echo "python $*"; exit "${PREFLIGHT_STAND_IN:-0}";; esac; '
        f'echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/python.pid; echo "python $*"; '
        'eval exec "${PYTHON_STAND_IN:-true}"',
    }
    for name, body in stand_ins.items():
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/usr/bin/env bash\n{body}\n")
        file.chmod(0o755)
    job = {"SLURM_JOB_ID": "7", "SLURM_SUBMIT_DIR": str(REPOSITORY), "OMICSFM_VENV": str(tmp_path / "none")}
    return {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path), **job}


def run(script: str, *arguments: str, environment: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(REPOSITORY / "slurm" / script), *arguments]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("script", [*SCRIPTS, REPOSITORY / "slurm" / "environment.sh"], ids=lambda file: file.name)
def test_every_script_is_valid_bash(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.name)
def test_every_job_may_be_requeued_and_appends_to_its_log(script: Path) -> None:
    options = [line.split()[1] for line in script.read_text().splitlines() if line.startswith("#SBATCH")]
    assert {"--requeue", "--open-mode=append"} <= set(options)


def test_what_follows_the_script_reaches_train(cluster: dict[str, str], tmp_path: Path) -> None:
    ended = run("finetune.sbatch", "data.store=S", "outcome=O", "run_dir=R", environment=cluster, cwd=tmp_path)
    assert ended.returncode == 0
    expected = f"python {REPOSITORY}/train.py task=finetune trainer=cpu data.store=S outcome=O run_dir=R"
    assert expected in ended.stdout.splitlines()


@pytest.mark.parametrize(
    ("allocation", "trainer"),
    [
        ({}, "trainer=cpu"),
        ({"SLURM_GPUS_ON_NODE": "1"}, "trainer=gpu"),
        ({"SLURM_NTASKS": "2"}, "trainer=ddp trainer.num_nodes=1 trainer.devices=2"),
        (
            {"SLURM_NTASKS": "8", "SLURM_JOB_NUM_NODES": "2", "SLURM_GPUS_ON_NODE": "4"},
            "trainer=ddp trainer.num_nodes=2 trainer.devices=4 trainer.precision=bf16-mixed",
        ),
    ],
)
def test_the_trainer_fits_the_allocation(
    cluster: dict[str, str], tmp_path: Path, allocation: dict[str, str], trainer: str
) -> None:
    ended = run("pretrain.sbatch", "run_dir=R", environment=cluster | allocation, cwd=tmp_path)
    assert f"train.py task=pretrain {trainer} run_dir=R\n" in ended.stdout


def test_a_trainer_that_the_caller_names_is_kept(cluster: dict[str, str], tmp_path: Path) -> None:
    ended = run("pretrain.sbatch", "trainer=fsdp", environment=cluster | {"SLURM_NTASKS": "4"}, cwd=tmp_path)
    assert "train.py task=pretrain trainer=fsdp\n" in ended.stdout


def test_evaluate_runs_the_script_it_names_and_refuses_others(cluster: dict[str, str], tmp_path: Path) -> None:
    ended = run("evaluate.sbatch", "benchmark", "--store", "S", environment=cluster, cwd=tmp_path)
    assert f"python {REPOSITORY}/eval/benchmark.py --store S\n" in ended.stdout
    refused = run("evaluate.sbatch", "nonsense", environment=cluster, cwd=tmp_path)
    assert refused.returncode == 2
    assert "benchmark" in refused.stderr


def test_a_failing_step_fails_the_job(cluster: dict[str, str], tmp_path: Path) -> None:
    environment = cluster | {"PYTHON_STAND_IN": "false"}
    assert run("pretrain.sbatch", "run_dir=R", environment=environment, cwd=tmp_path).returncode == 1


def test_a_job_looks_at_the_machine_and_the_stores_before_it_trains(cluster: dict[str, str], tmp_path: Path) -> None:
    ended = run("pretrain.sbatch", "data.store=[A, B]", "run_dir=R", environment=cluster, cwd=tmp_path)
    doctor, *inspected, training = [line for line in ended.stdout.splitlines() if line.startswith("python ")]
    assert doctor == "python -m omicsfm.cli doctor --run-dir R"
    assert inspected == ["python -m omicsfm.cli inspect A", "python -m omicsfm.cli inspect B"]
    assert "train.py" in training
    refused = run(
        "pretrain.sbatch", "data.store=A", "run_dir=R", environment=cluster | {"PREFLIGHT_STAND_IN": "1"}, cwd=tmp_path
    )
    assert refused.returncode == 1
    assert "train.py" not in refused.stdout


def test_in_a_container_every_program_runs_from_the_image(cluster: dict[str, str], tmp_path: Path) -> None:
    apptainer = tmp_path / "bin" / "apptainer"
    apptainer.write_text('#!/usr/bin/env bash\necho "apptainer $*"; shift 5; exec "$@"\n')
    apptainer.chmod(0o755)
    environment = cluster | {"OMICSFM_CONTAINER": "omicsfm.sif"}
    ended = run("pretrain.sbatch", "data.store=S", "run_dir=R", environment=environment, cwd=tmp_path)
    prefix = f"apptainer exec --nv --bind {REPOSITORY} omicsfm.sif python "
    started = [line for line in ended.stdout.splitlines() if line.startswith("apptainer ")]
    assert [line.removeprefix(prefix).split()[0] for line in started] == ["-m", "-m", f"{REPOSITORY}/train.py"]


def test_a_task_of_an_array_knows_its_number(cluster: dict[str, str], tmp_path: Path) -> None:
    arguments = ("data.fold={task}", "run_dir=R/fold-{task}")
    ended = run("finetune.sbatch", *arguments, environment=cluster | {"SLURM_ARRAY_TASK_ID": "3"}, cwd=tmp_path)
    assert "task=finetune trainer=cpu data.fold=3 run_dir=R/fold-3\n" in ended.stdout


def test_a_run_that_asks_to_be_continued_is_requeued(cluster: dict[str, str], tmp_path: Path) -> None:
    environment = cluster | {"PYTHON_STAND_IN": "sh -c 'exit 75'"}
    run("pretrain.sbatch", "run_dir=R", environment=environment, cwd=tmp_path)
    assert (tmp_path / "scontrol.log").read_text() == "requeue 7\n"


@pytest.mark.parametrize("further", [True, False])
def test_a_killed_run_is_requeued_only_after_it_had_got_further(
    cluster: dict[str, str], tmp_path: Path, further: bool
) -> None:
    state = tmp_path / "R" / "resume" / "step-000000003" / "manifest.json"
    state.parent.mkdir(parents=True)
    state.touch()
    dies = f"touch {state if further else tmp_path / 'other'}; kill -KILL $$"
    (tmp_path / "bin" / "dies").write_text(f"#!/bin/sh\n{dies}\n")
    (tmp_path / "bin" / "dies").chmod(0o755)
    environment = cluster | {"PYTHON_STAND_IN": "dies"}
    ended = run("pretrain.sbatch", f"run_dir={tmp_path}/R", environment=environment, cwd=tmp_path)
    assert ended.returncode == 137
    assert (tmp_path / "scontrol.log").exists() == further


def test_the_warning_before_the_time_limit_requeues_the_job(cluster: dict[str, str], tmp_path: Path) -> None:
    job = subprocess.Popen(
        ["bash", str(REPOSITORY / "slurm" / "pretrain.sbatch"), "run_dir=R"],
        env=cluster | {"PYTHON_STAND_IN": "sleep 60"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while not (tmp_path / "python.pid").exists() and time.monotonic() < deadline:
        os.sched_yield()
    job.send_signal(signal.SIGUSR1)
    printed, _ = job.communicate(timeout=20)
    assert "asked to stop: tells the tasks" in printed
    assert (tmp_path / "scontrol.log").read_text() == "requeue 7\n"


def test_a_sweep_is_given_to_slurm_with_requeueing() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="the extra slurm is not installed")
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(configs_dir()), version_base=None):
        composed = hydra.compose(
            "train", ["hydra/launcher=slurm", "run_dir=R", "data.store=S"], return_hydra_config=True
        )
    launcher = composed.hydra.launcher
    assert launcher._target_.endswith("SlurmLauncher")
    assert launcher.additional_parameters.requeue


def test_each_task_of_an_array_prepares_its_part(cluster: dict[str, str], tmp_path: Path) -> None:
    array = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "16"}
    array |= {"SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "16"}
    ended = run("prepare.sbatch", "C.yaml", "S", environment=cluster | array, cwd=tmp_path)
    assert "python -m omicsfm.cli prepare C.yaml S --part 3/16\n" in ended.stdout
    alone = run("prepare.sbatch", "C.yaml", "S", environment=cluster, cwd=tmp_path)
    assert "python -m omicsfm.cli prepare C.yaml S\n" in alone.stdout


def test_an_array_with_a_gap_is_refused_before_it_gives_parts_of_another_number(
    cluster: dict[str, str], tmp_path: Path
) -> None:
    array = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "2"}
    array |= {"SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_MAX": "5"}
    ended = run("prepare.sbatch", "C.yaml", "S", environment=cluster | array, cwd=tmp_path)
    assert ended.returncode == 2
    assert "the array must be 1-N" in ended.stderr


def test_the_merge_is_given_the_store(cluster: dict[str, str], tmp_path: Path) -> None:
    ended = run("merge.sbatch", "S", environment=cluster, cwd=tmp_path)
    assert "python -m omicsfm.cli merge S\n" in ended.stdout
