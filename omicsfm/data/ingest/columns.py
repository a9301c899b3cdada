r"""What a COHORT.yaml may say about where the values of a column come from.

A rule is a column name, or a mapping such as ``{value: baseline}``, ``{from: sample_id, pattern: "(P\d+)-.*"}``,
``{from: timepoint, values: {BL: 0, AC: 7}}`` or ``{from: age, bands: [50, 65]}``, with ``labels: [young, middle, old]``
for other names of the bands. It is data: nothing of a yaml is
ever evaluated as code.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.errors import InputError, closest

WHOLE = re.compile(r"-?\d+\.0+")
TO_STRIP = r"^[\pZ\pC]|[\pZ\pC]$|^-?\p{Nd}+\.0+$"
"""What ``as_text`` would change, for a regular expression engine that knows classes of characters by name."""


DATE_FORMATS = "%Y-%m-%d or %d/%m/%Y"
LIKE_A_DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}(?:[ T].*)?")


def as_text(series: pd.Series) -> pd.Series:
    """The column as stripped text, whole numbers without a decimal point, None where empty."""
    if pd.api.types.is_float_dtype(series):
        whole = (series == series.round()) & (series.abs() < 1e15)
        text = series.astype(object)
        text[whole] = series[whole].astype("int64").astype(str)
        text[~whole] = series[~whole].map(repr)
    else:
        text = series.astype(object)
        text = text if _is_plain_text(text) else text.map(_stripped, na_action="ignore")
    return text.astype(object).where(series.notna() & (text != ""), None)  # text without a value would be floats


def _is_plain_text(series: pd.Series) -> bool:
    """Text that has nothing to strip. A table of a million visits is mostly that, and asked for many times."""
    import pyarrow
    from pyarrow import compute

    if pd.api.types.infer_dtype(series, skipna=True) != "string":
        return False
    try:
        text = pyarrow.array(series, pyarrow.string(), from_pandas=True)
    except (pyarrow.ArrowException, UnicodeError):  # characters that UTF-8 does not have
        return False
    return not compute.any(compute.match_substring_regex(text, TO_STRIP)).as_py()


def _stripped(value: Any) -> str:
    text = str(value).strip()
    return text.partition(".")[0] if WHOLE.fullmatch(text) else text


def as_number(series: pd.Series, where: str) -> pd.Series:
    """The column as float64, NaN where empty.

    Raises:
        InputError: A value is not a number; the message names the column's place, the value and the row.
    """
    text = as_text(series)
    number = numbers_in(text)
    bad = text.notna() & number.isna()
    if bad.any():
        first = text[bad.idxmax()]
        dated = LIKE_A_DATE.fullmatch(first)
        recoded = "date: FORMAT" if dated else f"values: {{'{first}': ...}}"
        raise InputError(
            f"{where}: {int(bad.sum()):,} of {int(text.notna().sum()):,} values of column '{series.name}' are not "
            f"numbers (first '{first}'). Recode them in COHORT.yaml with {{from: {series.name}, {recoded}}}, "
            + (f"which makes days of dates that are written, say, {DATE_FORMATS}, " if dated else "")
            + "or leave the rows out with where."
        )
    return number


def numbers_in(text: pd.Series) -> pd.Series:
    """Texts as float64, NaN where one is none. To the last bit, which pandas' to_numeric misses for one in four."""
    number = pd.to_numeric(text, errors="coerce").astype(float)
    known = number.notna()
    number[known] = text[known].astype(float)
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
    labels: tuple[str, ...] = ()
    """Other names of the bands, from low to high."""
    date: str | None = None
    """Format of a calendar date, such as %d/%m/%Y; the result is days since 1 January 1970."""

    @classmethod
    def parse(cls, node: Any, where: str) -> "ColumnRule":
        """Read a rule from a yaml node; ``where`` begins the error messages."""
        if isinstance(node, str):
            return cls(column=node)
        if not isinstance(node, Mapping):
            raise InputError(f"{where}: expected a column name or a mapping with from or value, found {node!r}.")
        known = ("from", "value", "pattern", "values", "bands", "labels", "date")
        for key in node:
            if key not in known:
                raise InputError(f"{where}: '{key}' is not a key of a column rule; {closest(str(key), known)}.")
        named, constant = node.get("from"), node.get("value")
        if (named is None) == (constant is None) or not isinstance(named or constant or 0, str | int | float):
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
        if bands is not None and not _rising(bands):
            raise InputError(f"{where}: bands must be a list of rising limits, found {bands!r}.")
        labels = node.get("labels")
        if labels is not None and not (isinstance(labels, list) and len(labels) == len(bands or ()) + 1 > 1):
            raise InputError(f"{where}: labels must name each band, one more than there are limits; found {labels!r}.")
        date = node.get("date")
        if date is not None and not (isinstance(date, str) and all(part in date for part in ("%d", "%m"))):
            raise InputError(f"{where}: date must be a format such as {DATE_FORMATS}, found {date!r}.")
        return cls(
            column=None if named is None else str(named),
            constant=constant,
            pattern=pattern,
            values=None if values is None else {str(old): new for old, new in values.items()},
            bands=None if bands is None else tuple(float(limit) for limit in bands),
            labels=tuple(str(label) for label in labels or ()),
            date=date,
        )

    @property
    def plain(self) -> bool:
        """The rule is a column as it stands."""
        return self.column is not None and all(
            rule is None for rule in (self.pattern, self.values, self.bands, self.date)
        )

    def apply(self, table: pd.DataFrame, where: str) -> pd.Series:
        """The values of the rule for each row of a table, None or NaN where unknown.

        Raises:
            InputError: The column is missing, or the pattern or the date's format does not match a value.
        """
        if self.column is None:
            return pd.Series(self.constant, index=table.index, dtype=object)
        series = column_of(table, self.column, where)
        if self.pattern is not None:
            series = self._extract(as_text(series), where).rename(self.column)
        if self.values is not None:
            text = as_text(series)
            series = text.map(lambda value: self.values.get(value, value), na_action="ignore")  # type: ignore[union-attr]
        if self.date is not None:
            series = self._days(as_text(series), where)
        if self.bands is not None:
            series = self._band(as_number(series, where))
        return series.rename(self.column)

    def _extract(self, text: pd.Series, where: str) -> pd.Series:
        form = compile_pattern(str(self.pattern), where)
        found = text.map(form.fullmatch, na_action="ignore")
        failed = text.notna() & found.isna()
        if failed.any():
            raise InputError(
                f"{where}: pattern '{self.pattern}' does not match {int(failed.sum()):,} of "
                f"{int(text.notna().sum()):,} values "
                f"of column '{self.column}' (first '{text[failed.idxmax()]}'). Change the pattern, or leave those "
                f"rows out with where."
            )
        return found.map(lambda match: match.group(1 if form.groups else 0), na_action="ignore")

    def _days(self, text: pd.Series, where: str) -> pd.Series:
        day = pd.to_datetime(text, format=self.date, errors="coerce")
        failed = text.notna() & day.isna()
        if failed.any():
            raise InputError(
                f"{where}: {int(failed.sum()):,} of {int(text.notna().sum()):,} values of column '{self.column}' are "
                f"no date of the format {self.date} (first '{text[failed.idxmax()]}'). Change the format, or leave "
                "those rows out with where."
            )
        return (day - pd.Timestamp(0)).dt.days.astype(float)

    def _band(self, number: pd.Series) -> pd.Series:
        limits = [f"{limit:g}" for limit in self.bands or ()]
        labels = self.labels or (f"<{limits[0]}", *(f"{a}-{b}" for a, b in pairwise(limits)), f">={limits[-1]}")
        place = np.searchsorted(np.asarray(self.bands), number.to_numpy(), side="right")
        banded = pd.Series(np.asarray(labels, dtype=object)[np.minimum(place, len(limits))], index=number.index)
        return banded.where(number.notna(), None)


def _rising(limits: Any) -> bool:
    """A list of numbers, each above the one before."""
    numbers = isinstance(limits, list) and all(isinstance(n, int | float) and not isinstance(n, bool) for n in limits)
    return numbers and len(limits) > 0 and all(low < high for low, high in pairwise([-np.inf, *limits]))


def compile_pattern(pattern: Any, where: str) -> re.Pattern[str]:
    """A compiled regular expression.

    Raises:
        InputError: The pattern is not text or not valid.
    """
    try:
        return re.compile(pattern)
    except (re.error, TypeError) as error:
        raise InputError(f"{where}: {pattern!r} is not a valid regular expression ({error}).") from None
