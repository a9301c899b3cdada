"""What a COHORT.yaml may ask of the values of a column: a value, a list of values, or a mapping such as {below: 26}."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.data.ingest.columns import as_number, as_text, column_of, compile_pattern
from omicsfm.errors import InputError, closest

COMPARISONS = {"below": np.less, "at_most": np.less_equal, "above": np.greater, "at_least": np.greater_equal}
TESTS = ("equals", "in", "not", "not_in", *COMPARISONS, "matches", "present")


@dataclass(frozen=True)
class Test:
    """A condition on the values of one column; every part must hold."""

    __test__ = False  # the name is a word of the field; pytest must not collect it

    parts: tuple[tuple[str, Any], ...]

    @classmethod
    def parse(cls, node: Any, where: str) -> "Test":
        """Read a test from a yaml node: a value (equals), a list (in), or a mapping of named tests."""
        if isinstance(node, list):
            node = {"in": node}
        elif not isinstance(node, Mapping):
            node = {"equals": node}
        for key, operand in node.items():
            if key not in TESTS:
                raise InputError(f"{where}: '{key}' is not a test; {closest(str(key), TESTS)}.")
            if key in COMPARISONS and (isinstance(operand, bool) or not isinstance(operand, int | float)):
                raise InputError(f"{where}: {key} needs a number, found {operand!r}.")
            if key in ("in", "not_in") and not isinstance(operand, list):
                raise InputError(f"{where}: {key} needs a list, found {operand!r}.")
            if key == "present" and not isinstance(operand, bool):
                raise InputError(f"{where}: present is true or false, found {operand!r}.")
            if key == "matches":
                compile_pattern(operand, where)
        return cls(tuple(node.items()))

    def holds(self, series: pd.Series, where: str) -> pd.Series:
        """Which values pass; an unknown value passes only ``present: false``."""
        passed = pd.Series(True, index=series.index)
        for key, operand in self.parts:
            passed &= self._part(series, key, operand, where)
        return passed

    @staticmethod
    def _part(series: pd.Series, key: str, operand: Any, where: str) -> pd.Series:
        text = as_text(series)
        if key == "present":
            return text.notna() == operand
        if key in COMPARISONS:
            number = as_number(series, where)
            return pd.Series(COMPARISONS[key](number.to_numpy(), float(operand)), index=series.index) & number.notna()
        if key == "matches":
            form = compile_pattern(operand, where)
            return text.map(lambda value: form.fullmatch(value) is not None, na_action="ignore").eq(True)
        wanted = operand if isinstance(operand, list) else [operand]
        if any(isinstance(value, bool) for value in wanted):
            text = _truth_as_text(text, series, where)
        names = set(as_text(pd.Series(wanted, dtype=object)))
        among = text.isin(names)
        return (among if key in ("equals", "in") else ~among) & text.notna()


def _truth_as_text(text: pd.Series, series: pd.Series, where: str) -> pd.Series:
    """A true/false column in one spelling; YAML reads a bare yes or no as true or false, which a label is not."""
    spelled = text.str.lower().map({"true": "True", "false": "False"})
    if (text.notna() & spelled.isna()).any():
        examples = ", ".join(repr(v) for v in text.dropna().unique()[:4])
        raise InputError(
            f"{where}: the yaml says true or false, but column '{series.name}' holds {examples}. "
            "YAML reads a bare yes or no as true or false: put the value in quotes."
        )
    return spelled


@dataclass(frozen=True)
class Conditions:
    """Tests by column, all of which must hold."""

    tests: Mapping[str, Test]

    @classmethod
    def parse(cls, node: Any, where: str) -> "Conditions":
        """Read a mapping from column to test."""
        if node is None:
            return cls({})
        if not isinstance(node, Mapping):
            raise InputError(f"{where}: expected a mapping from column to test, such as {{covid: 1}}, found {node!r}.")
        return cls({str(column): Test.parse(test, f"{where} {column}") for column, test in node.items()})

    def holds(self, table: pd.DataFrame, where: str) -> pd.Series:
        """Which rows of a table pass.

        Raises:
            InputError: A column is missing, or no row passes; the message shows values that were found.
        """
        passed = pd.Series(True, index=table.index)
        for column, test in self.tests.items():
            series = column_of(table, column, where)
            own = test.holds(series, where)
            if not own.any():
                found = ", ".join(repr(v) for v in as_text(series).dropna().unique()[:5])
                raise InputError(
                    f"{where}: no row of column '{column}' passes {dict(test.parts)}; values found: {found or 'none'}."
                )
            passed &= own
        if len(table) and not passed.any():
            raise InputError(f"{where}: each test passes some rows, but no row passes all of {', '.join(self.tests)}.")
        return passed


EVERYBODY = Conditions({})
"""No test: every row passes."""
