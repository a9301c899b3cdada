"""The loader suite: what its figures become, without measuring anything."""

from benchmarks.loader import _goals

OURS = {"rows_per_cpu_second": 300.0, "private_mb": 210.0, "read_ahead_mb": 12.0}
FIGURES = {
    "bare gather": [{"rows_per_cpu_second": 400.0}],
    "omicsfm": [OURS, OURS | {"rows_per_cpu_second": 320.0}, OURS | {"rows_per_cpu_second": 10.0}],
    "omicsfm, a quarter of the rows": [OURS],
    "omicsfm, .h5ad": [OURS],
    "bare memory map, dense": [],
    "omicsfm, dense": [OURS],
    "annbatch": [{"rows_per_cpu_second": 150.0, "private_mb": 500.0}],
}
RIGHT = {"each_row_once": True, "values_equal": True}


def test_the_median_round_counts_and_absent_peers_are_named() -> None:
    goals = {goal.name: goal for goal in _goals(FIGURES, {"store": RIGHT, ".h5ad": {}}, {"share": 0.01})}
    against = goals["sparse rows against annbatch"]
    assert (against.value, against.ratio, against.verdict) == (300.0, 2.0, "pass")
    assert goals["sparse rows against a bare gather"].ratio == 0.75
    assert goals["private memory beyond the batches read ahead"].value == 198.0
    for absent in (
        "sparse rows against SCDL",
        "rows from .h5ad against scDataset",
        "dense rows against the bare memory map",
    ):
        assert goals[absent].verdict == "not installed"
    assert goals["every row once and equal to the source (store)"].verdict == "pass"
    assert goals["every row once and equal to the source (.h5ad)"].verdict == "fail"


def test_a_wait_that_could_not_be_measured_fails() -> None:
    goals = {goal.name: goal for goal in _goals(FIGURES, {"store": RIGHT}, {})}
    assert goals["wait for data in a training step"].verdict == "fail"
