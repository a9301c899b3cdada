"""Times, ages and dates that make no sense are refused when a cohort is prepared, with one message and nothing left."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from omicsfm.data.ingest.columns import ColumnRule
from omicsfm.data.ingest.prepare import prepare
from omicsfm.data.inspect.findings import Findings
from omicsfm.data.inspect.visits import describe_visits
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError

YAML = """
name: small
visits: {path: visits.csv, participant_id: who, visit: visit, time_days: %s, age: age}
modalities:
  proteome: {path: proteome.csv, namespace: local, scale: log2, key: [who, visit]}
"""


def prepared(folder: Path, *, time: str = "day", **changes: Any) -> OmicsStore:
    """Twelve people with visits a and b, days 0 and 365; ``changes`` are columns of the 24 rows."""
    table = pd.DataFrame(
        {
            "who": np.repeat([f"P{n:02d}" for n in range(12)], 2),
            "visit": ["a", "b"] * 12,
            "day": [0, 365] * 12,
            "age": np.repeat(np.arange(40, 52), 2) + np.tile([0, 1], 12),
        }
    )
    values = pd.DataFrame(np.random.default_rng(0).normal(10, 1, (24, 3)), columns=["p1", "p2", "p3"])
    table = table.assign(**changes)
    table.to_csv(folder / "visits.csv", index=False)
    table[["who", "visit"]].join(values).to_csv(folder / "proteome.csv", index=False)
    (folder / "COHORT.yaml").write_text(YAML % time)
    return prepare(folder / "COHORT.yaml", folder / "store")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"age": [-1, *[50] * 23]}, r"age at 1 visits is below 0 or above 130 \(first: participant 'P00', visit 'a'"),
        ({"age": [*[50] * 23, 600]}, r"participant 'P11', visit 'b', age 600\). Ages are years"),
        ({"day": [800, 365, *[0, 365] * 11]}, r"times run backwards for 1 .*'P00', visit 'a', age 40 on day 800"),
        ({"visit": ["2", "1"] * 12}, r"participant 'P00', visit '1' on day 365, but visit '2' on day 0"),
        ({"day": ["03/04/2011", "04/05/2012"] * 12}, r"not numbers \(first '03/04/2011'\).*{from: day, date: FORMAT}"),
        ({"day": ["soon", "late"] * 12}, r"first 'soon'.*values: {'soon': ...}"),
    ],
)
def test_times_and_ages_without_sense_are_one_clear_message(tmp_path, changes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepared(tmp_path, **changes)
    assert not (tmp_path / "store").exists()


def test_dates_with_a_format_become_days(tmp_path) -> None:
    store = prepared(tmp_path, time="{from: day, date: '%d/%m/%Y'}", day=["03/04/2011", "04/05/2012"] * 12)
    gaps = np.diff(store.visits["time_days"].to_numpy())[::2]
    np.testing.assert_array_equal(gaps, 397.0)


def test_a_date_of_another_format_is_one_clear_message() -> None:
    rule = ColumnRule.parse({"from": "day", "date": "%Y-%m-%d"}, "visits")
    with pytest.raises(InputError, match=r"1 of 2 values of column 'day' are no date .*%Y-%m-%d \(first '4 May'\)"):
        rule.apply(pd.DataFrame({"day": ["2011-04-03", "4 May", None]}), "visits")
    with pytest.raises(InputError, match=r"date must be a format such as %Y-%m-%d"):
        ColumnRule.parse({"from": "day", "date": "ISO"}, "visits")


def test_repeated_times_are_a_note_of_inspect(tmp_path) -> None:
    found = Findings()
    describe_visits(prepared(tmp_path, day=[5, 5, *[0, 365] * 11], age=[50] * 24), found)
    assert any("first: participant 'P00', day 5). They are no history of each other" in note for note in found.notes)
