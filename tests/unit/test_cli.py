"""The console script: its commands, what they print and how they end."""

import inspect
from pathlib import Path

import pytest

from omicsfm.cli import COMMANDS, SIMULATION_HELP, main
from omicsfm.data.store import OmicsStore


def ending(arguments: list[str]) -> int | str | None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(["--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert all(name in printed and command.summary in printed for name, command in COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ending([name, "--help"]) == 0
    assert f"omicsfm {name}" in capsys.readouterr().out


def test_every_argument_of_the_simulator_is_an_option_with_a_line_of_help() -> None:
    from omicsfm.data.synthetic import simulate

    assert set(SIMULATION_HELP) == set(inspect.signature(simulate).parameters) - {"path"}


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["prepare"], ["simulate", "a.h5mu", "--participants", "many"]])
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    assert ending(arguments) == 2


def test_bad_input_is_status_1_with_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(["simulate", str(tmp_path / "cohort.csv")]) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert "cohort.h5mu" in message
    assert "Traceback" not in message


def test_an_absent_cohort_is_status_1_and_leaves_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(["prepare", str(tmp_path / "absent.yaml"), str(tmp_path / "store")]) == 1
    assert "absent.yaml" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_simulate_prepare_inspect_in_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cohort, store = tmp_path / "cohort.h5mu", tmp_path / "store"
    sizes = ["--genes", "12", "--proteins", "8", "--metabolites", "6"]
    main(["simulate", str(cohort), "--participants", "24", "--visits", "2", "--seed", "3", *sizes])
    main(["prepare", str(cohort), str(store)])
    opened = OmicsStore.open(store)
    printed = capsys.readouterr().out
    assert opened.manifest["participants"] == 24
    assert f"24 participants, {len(opened)} visits" in printed
    assert "transcriptome: 12 features" in printed
    main(["inspect", str(store)])
    assert "transcriptome" in capsys.readouterr().out
