"""An installed wheel, without the clone beside it: its configs, its scripts and its console command are inside."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(REPOSITORY)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return next(folder.glob("omicsfm-*.whl"))


@pytest.fixture(scope="module")
def site(wheel: Path) -> Path:
    folder = wheel.parent / "site"
    subprocess.run([*PIP, "install", "--no-deps", "--target", str(folder), str(wheel)], check=True, capture_output=True)
    return folder


def run(site: Path, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_every_config_script_and_template_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {f"omicsfm/{f.relative_to(REPOSITORY)}" for f in (REPOSITORY / "configs").rglob("*.yaml")}
    scripts = {f"omicsfm/scripts/{f.name}" for f in (REPOSITORY / "eval").glob("*.py")}
    assert configs | scripts | {"omicsfm/scripts/train.py", "omicsfm/report/template.html"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests/")]


def test_the_console_command_runs_from_another_folder(site: Path, tmp_path: Path) -> None:
    assert "prepare" in run(site, sys.executable, str(site / "bin" / "omicsfm"), "--help", cwd=tmp_path).stdout
    where = run(site, sys.executable, "-c", "import omicsfm; print(omicsfm.__file__)", cwd=tmp_path).stdout
    assert where.startswith(str(site))


def test_training_finds_the_configs_of_the_wheel(site: Path, tmp_path: Path) -> None:
    ended = run(site, sys.executable, "-m", "omicsfm.scripts.train", "model=tny", cwd=tmp_path)
    assert ended.returncode == 1
    assert "did you mean 'tiny'" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("script", sorted(file.stem for file in (REPOSITORY / "eval").glob("*.py")))
def test_every_script_runs_as_a_module(site: Path, tmp_path: Path, script: str) -> None:
    ended = run(site, sys.executable, "-m", f"omicsfm.scripts.{script}", "--help", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "--store" in ended.stdout


def test_in_a_clone_the_same_modules_are_the_files_at_its_top(tmp_path: Path) -> None:
    ended = run(REPOSITORY, sys.executable, "-m", "omicsfm.scripts.benchmark", "--help", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
