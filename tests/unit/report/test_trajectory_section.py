"""One participant's section: only on request, with what was observed and forecast."""

import numpy as np
import pandas as pd

from omicsfm.report.trajectory import FILE, trajectory_section


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    generator = np.random.default_rng(0)
    others = pd.DataFrame({"participant_id": "", "visit": "0", "time_days": 0.0, "observed": np.nan}, index=range(30))
    own = pd.DataFrame(
        {"participant_id": "P1", "visit": list("012"), "time_days": [0.0, 400, 800], "observed": [1.0, 2, 3]}
    )
    path = pd.concat([others, own], ignore_index=True)
    path[["x", "y"]] = generator.normal(size=(33, 2))
    keys = {"repeat": 0, "fold": 0, "participant_id": "P1", "visit": ["1", "2"], "y_true": [2.0, 3.0]}
    methods = {"omicsfm": [2.1, 2.8], "last_observation": [1.0, 2.0]}
    rows = [pd.DataFrame({**keys, "method": name, "y_pred": values}) for name, values in methods.items()]
    return path, pd.concat(rows, ignore_index=True)


def test_without_a_request_nobody_is_shown(tmp_path) -> None:
    assert trajectory_section(tmp_path, tables()[1], "omicsfm", "score") is None


def test_the_section_shows_values_and_path_and_says_where_the_page_stays(tmp_path) -> None:
    path, predictions = tables()
    path.to_parquet(tmp_path / FILE)
    shown = trajectory_section(tmp_path, predictions, "omicsfm", "score at the next visit")
    assert shown is not None
    assert shown["title"] == "Participant P1 over time"
    values, way = (figure["svg"] for figure in shown["figures"])
    assert "forecast by omicsfm" in values
    assert "forecast by last_observation" in values
    assert way.startswith("<svg")
    assert "stays where the cohort stays" in shown["notes"][0]
