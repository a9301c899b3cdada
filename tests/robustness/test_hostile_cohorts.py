"""A sample of the robustness suite: every drawn case ends in one clear message or in a store that the files confirm."""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from hypothesis import HealthCheck, Phase, given, settings

from benchmarks.hostile import families
from benchmarks.hostile.annotated import Annotated, annotated_cohorts
from benchmarks.hostile.descriptions import descriptions
from benchmarks.hostile.tables import Tables, table_cohorts
from omicsfm.data.store import OmicsStore

SAMPLE: Any = {
    "derandomize": True,
    "database": None,
    "deadline": None,
    "phases": [Phase.explicit, Phase.generate],
    "suppress_health_check": list(HealthCheck),
}


@settings(max_examples=40, **SAMPLE)
@given(table_cohorts())
def test_text_tables_are_refused_or_stored_as_they_stand(tables: Tables) -> None:
    with TemporaryDirectory() as folder:
        families.ask_tables(tables, Path(folder))


@settings(max_examples=25, **SAMPLE)
@given(annotated_cohorts().filter(lambda own: not own.hurts))
def test_annotated_files_are_refused_or_stored_as_they_stand(own: Annotated) -> None:
    with TemporaryDirectory() as folder:
        families.ask_annotated(own, Path(folder))


@settings(max_examples=40, **SAMPLE)
@given(descriptions())
def test_a_description_is_refused_or_followed(drawn: tuple[str, list[str]]) -> None:
    with TemporaryDirectory() as folder:
        families.ask_description(drawn, Path(folder))


@settings(max_examples=12, **SAMPLE)
@given(families.parquet_tables())
def test_a_parquet_column_of_any_kind_is_refused_or_stored(table: pd.DataFrame) -> None:
    with TemporaryDirectory() as folder:
        families.ask_parquet(table, Path(folder))


@settings(max_examples=40, **SAMPLE)
@given(edit=families.store_edits)
def test_a_changed_byte_of_a_store_is_noticed(edit: tuple[int, float, int], simulated_store: OmicsStore) -> None:
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        families.ask_edited_store(edit, Path(folder), simulated_store)
