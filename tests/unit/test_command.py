"""How commands end."""

import pytest

from omicsfm.command import run_command
from omicsfm.errors import InputError, closest


def test_an_input_error_is_one_message_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise InputError("proteome: 3 values are negative")

    with pytest.raises(SystemExit) as ending:
        run_command(command)
    assert ending.value.code == 1
    assert capsys.readouterr().err == "error: proteome: 3 values are negative\n"


def test_a_word_without_end_is_cut_in_a_message() -> None:
    assert str(InputError(f"visits: there is no column '{5000 * 'a'}' in it")) == (
        f"visits: there is no column '{199 * 'a'}... in it"
    )


def test_ctrl_c_ends_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ending:
        run_command(command)
    assert ending.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 // 0)


def test_a_returned_status_becomes_the_exit_status_and_0_returns() -> None:
    run_command(lambda: 0)
    run_command(lambda: None)
    with pytest.raises(SystemExit) as ending:
        run_command(lambda: 1)
    assert ending.value.code == 1


def test_closest_names_the_near_miss_and_what_is_known() -> None:
    assert closest("proteom", ["proteome", "metabolome"]) == "did you mean 'proteome'? known: metabolome, proteome"
    assert closest("x", []) == "known: none"
    assert closest("zzz", map(str, range(30))).endswith("... (30 in all)")
