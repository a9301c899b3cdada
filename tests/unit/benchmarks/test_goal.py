"""Goal: a claim passes or fails by its bound, and says why it could not be judged."""

import pytest

from benchmarks.goal import Goal


@pytest.mark.parametrize(
    "value, anchor, bounds, verdict",
    [
        (150.0, 100.0, {"at_least": 1.5}, "pass"),
        (149.0, 100.0, {"at_least": 1.5}, "fail"),
        (0.02, None, {"at_most": 0.02}, "pass"),
        (0.03, None, {"at_most": 0.02}, "fail"),
        (None, None, {"at_least": 1.0}, "fail"),
        (5.0, 0.0, {"at_most": 1.0}, "fail"),
    ],
)
def test_a_bound_is_on_the_ratio_where_there_is_an_anchor_and_else_on_the_value(value, anchor, bounds, verdict) -> None:
    assert Goal("rows", value, "rows/s", anchor, **bounds).verdict == verdict


def test_a_goal_without_its_peer_is_named_as_such_and_does_not_fail() -> None:
    goal = Goal("rows against a peer", 10.0, "rows/s", at_least=1.5, missing="not installed")
    assert goal.verdict == "not installed"
    assert goal.line() == "rows against a peer, 10 rows/s, -, -, at least 1.5, not installed"


def test_the_record_holds_what_the_line_says() -> None:
    goal = Goal("rows", 150.0, "rows/s", 100.0, at_least=1.5, details={"batch": 256})
    assert goal.line() == "rows, 150 rows/s, 100 rows/s, 1.5, at least 1.5, pass"
    record = goal.record()
    assert (record["ratio"], record["verdict"], record["details"]) == (1.5, "pass", {"batch": 256})
