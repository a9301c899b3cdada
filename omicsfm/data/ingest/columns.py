"""What a COHORT.yaml may say about a column: where its values come from, and which rows pass a test.

A rule is a column name, or a mapping such as ``{value: baseline}``, ``{from: sample_id, pattern: "(P\\d+)-.*"}``,
``{from: timepoint, values: {BL: 0, AC: 7}}`` or ``{from: age, bands: [50, 65]}``. A test is a value, a list of
values, or a mapping such as ``{below: 26}``. Both are data: nothing of a yaml is ever evaluated as code.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.errors import InputError, closest

COMPARISONS = {"below": np.less, "at_most": np.less_equal, "above": np.greater, "at_least": np.greater_equal}
TESTS = ("equals", "in", "not", "not_in", *COMPARISONS, "matches", "present")


def as_text(series: pd.Series) -> pd.Series:
    """The column as stripped text, whole numbers without a decimal point, None where empty."""
    if pd.api.types.is_float_dtype(series):
        whole = series.notna() & (series == series.round())
        text = series.astype(object)
        text[whole] = series[whole].astype("int64").astype(str)
        text[~whole] = series[~whole].map(repr)
    else:
        text = series.astype(object).map(str, na_action="ignore").str.strip()
        text = text.str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True)
    return text.where(series.notna() & (text != ""), None).astype(object)


def as_number(series: pd.Series, where: str) -> pd.Series:
    """The column as float64, NaN where empty.

    Raises:
        InputError: A value is not a number; the message names the column's place, the value and the row.
    """
    text = as_text(series)
    number = pd.to_numeric(text, errors="coerce").astype(float)
    bad = text.notna() & number.isna()
    if bad.any():
        first = bad.idxmax()
        raise InputError(
            f"{where}: {int(bad.sum()):,} of {int(text.notna().sum()):,} values of column '{series.name}' are not numbers "
            f"(first '{text[first]}'). Recode them in COHORT.yaml with {{from: {series.name}, values: {{'{text[first]}': ...}}}}, "
            "or leave the rows out with where."
        )
    return number


def column_of(table: pd.DataFrame, name: str, where: str) -> pd.Series:
    """A column of a table.

    Raises:
        InputError: It has none of that name; the message gives the closest.
    """
    if name not in table.columns:
        raise InputError(f"{where}: there is no column '{name}'; {closest(name, table.columns)}.")
    return table[name]


@dataclass(frozen=True)
class ColumnRule:
    """Where the values of a column come from."""

    column: str | None = None
    constant: str | int | float | None = None
    pattern: str | None = None
    """Regular expression that must match the whole value; its first group is the result (the whole without groups)."""
    values: Mapping[str, Any] | None = None
    """Replacement of single values; a value that is not listed stays."""
    bands: tuple[float, ...] | None = None
    """Limits that cut a quantity into labels such as '<50', '50-65', '>=65'."""

    @classmethod
    def parse(cls, node: Any, where: str) -> "ColumnRule":
        """Read a rule from a yaml node; ``where`` begins the error messages."""
        if isinstance(node, str):
            return cls(column=node)
        if not isinstance(node, Mapping):
            raise InputError(f"{where}: expected a column name or a mapping with from or value, found {node!r}.")
        known = ("from", "value", "pattern", "values", "bands")
        for key in node:
            if key not in known:
                raise InputError(f"{where}: '{key}' is not a key of a column rule; {closest(str(key), known)}.")
        if ("from" in node) == ("value" in node):
            raise InputError(f"{where}: give either from (a column) or value (a constant), found {dict(node)!r}.")
        if "value" in node and len(node) > 1:
            raise InputError(f"{where}: a constant (value) takes no other key, found {', '.join(map(str, node))}.")
        pattern = node.get("pattern")
        if pattern is not None:
            compile_pattern(pattern, where)
        values = node.get("values")
        if values is not None and not isinstance(values, Mapping):
            raise InputError(f"{where}: values must map old values to new ones, found {values!r}.")
        bands = node.get("bands")
        if bands is not None and not (isinstance(bands, list) and bands and list(bands) == sorted(set(bands))):
            raise InputError(f"{where}: bands must be a list of rising limits, found {bands!r}.")
        return cls(
            column=node.get("from"),
            constant=node.get("value"),
            pattern=pattern,
            values=None if values is None else {str(old): new for old, new in values.items()},
            bands=None if bands is None else tuple(float(limit) for limit in bands),
        )

    @property
    def plain(self) -> bool:
        """The rule is a column as it stands."""
        return self.column is not None and self.pattern is None and self.values is None and self.bands is None

    def apply(self, table: pd.DataFrame, where: str) -> pd.Series:
        """The values of the rule for each row of a table, None or NaN where unknown.

        Raises:
            InputError: The column is missing, or the pattern does not match a value.
        """
        if self.column is None:
            return pd.Series(self.constant, index=table.index, dtype=object)
        series = column_of(table, self.column, where)
        if self.pattern is not None:
            series = self._extract(as_text(series), where).rename(self.column)
        if self.values is not None:
            text = as_text(series)
            series = text.map(lambda value: self.values.get(value, value), na_action="ignore")  # type: ignore[union-attr]
        if self.bands is not None:
            series = self._band(as_number(series, where))
        return series.rename(self.column)

    def _extract(self, text: pd.Series, where: str) -> pd.Series:
        form = compile_pattern(str(self.pattern), where)
        found = text.map(form.fullmatch, na_action="ignore")
        failed = text.notna() & found.isna()
        if failed.any():
            raise InputError(
                f"{where}: pattern '{self.pattern}' does not match {int(failed.sum()):,} of {int(text.notna().sum()):,} values "
                f"of column '{self.column}' (first '{text[failed.idxmax()]}'). Change the pattern, or leave those rows out with where."
            )
        return found.map(lambda match: match.group(1 if form.groups else 0), na_action="ignore")

    def _band(self, number: pd.Series) -> pd.Series:
        limits = [f"{limit:g}" for limit in self.bands or ()]
        labels = [f"<{limits[0]}", *(f"{a}-{b}" for a, b in zip(limits, limits[1:], strict=False)), f">={limits[-1]}"]
        place = np.searchsorted(np.asarray(self.bands), number.to_numpy(), side="right")
        banded = pd.Series(np.asarray(labels, dtype=object)[np.minimum(place, len(limits))], index=number.index)
        return banded.where(number.notna(), None)


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


def compile_pattern(pattern: Any, where: str) -> re.Pattern[str]:
    """A compiled regular expression.

    Raises:
        InputError: The pattern is not text or not valid.
    """
    try:
        return re.compile(pattern)
    except (re.error, TypeError) as error:
        raise InputError(f"{where}: {pattern!r} is not a valid regular expression ({error}).") from None


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
