"""Outcomes from the visits table: a class, a quantity, or a time to an event, checked."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from omicsfm.data.ingest.cohort import OutcomeRule
from omicsfm.data.ingest.columns import as_number, as_text, column_of
from omicsfm.data.ingest.follow_up import read_follow_up, spread
from omicsfm.data.ingest.later_visits import value_at
from omicsfm.errors import InputError
from omicsfm.outcome_spec import TIMED, OutcomeSpec

MAX_CLASSES = 100
LABELS = ("no", "yes")
"""Classes of an outcome that ``positive_if`` makes, the positive one last."""


@dataclass(frozen=True)
class ReadOutcome:
    """An outcome's store columns, row by row with the visits, and its source columns for the leakage check."""

    spec: OutcomeSpec
    columns: dict[str, pd.Series]
    sources: tuple[str, ...]
    listed: bool = True
    """The yaml gives the classes; otherwise they are those that occur."""

    def keep(self, rows: np.ndarray, *, narrow: bool = True) -> "ReadOutcome":
        """The same at these visits only; ``narrow`` keeps of classes that are not listed those that occur there."""
        columns = {key: series.iloc[rows].reset_index(drop=True) for key, series in self.columns.items()}
        if self.spec.kind != "class" or self.listed or not narrow:
            return replace(self, columns=columns)
        occurring = set(columns[self.spec.name].dropna())
        classes = tuple(label for label in self.spec.classes if label in occurring)
        return replace(self, columns=columns, spec=replace(self.spec, classes=classes))


def read_outcome(
    rule: OutcomeRule, table: pd.DataFrame, *, participant_id: pd.Series, time_days: pd.Series
) -> ReadOutcome:
    """Values of one outcome for every visit.

    With ``at`` a visit has the value of a later one. A participant-level value holds for all of the participant's
    visits; of a participant-level time to an event the time that passed before a visit is taken off.

    Raises:
        InputError: A column is missing, a value is not of the kind, or a participant has two different values.
    """
    where = f"outcome {rule.name}"
    among = rule.among.holds(table, f"{where}: among") if rule.among.tests else pd.Series(True, index=table.index)
    if rule.kind in TIMED:
        follow_up = read_follow_up(rule, table, among, participant_id=participant_id, time_days=time_days)
        causes = tuple(name for name, _ in rule.causes)
        spec = OutcomeSpec(rule.name, rule.kind, rule.level, causes, rule.time_zero)
        assert rule.time is not None  # the parser asks for it
        sources = tuple(name for name in (rule.time.rule.column, rule.event) if name is not None)
        return ReadOutcome(spec, follow_up.columns(rule.name), sources)
    assert rule.column is not None  # the parser asks for it
    series = column_of(table, rule.column, where)
    read = among if rule.at is None else pd.Series(True, index=table.index)  # a later visit need not be among them
    if rule.kind == "quantity":
        value: pd.Series = as_number(series, where).where(read)
        classes: tuple[str, ...] = ()
    else:
        value, classes = _labels(rule, series, read)
    if rule.level == "participant":
        value = spread(value, participant_id, where)
    if rule.at is not None:
        value = value_at(rule.at, value, participant_id=participant_id, time_days=time_days).where(among)
    if rule.kind == "class":
        value = value.astype("string")
    spec = OutcomeSpec(rule.name, rule.kind, rule.level, classes)
    listed = bool(rule.classes) or rule.positive_if is not None
    sources = (rule.column,) if rule.at is None else ()  # what was found today may be used to say what comes
    return ReadOutcome(spec, {rule.name: value}, sources, listed)


def check_outcome(outcome: ReadOutcome, *, first_visits: np.ndarray) -> dict[str, int]:
    """Counts of an outcome over the visits of the store, per class or events, one row per participant where the
    level says so.

    Raises:
        InputError: No value is known, one class or one value only, or no event.
    """
    spec, where = outcome.spec, f"outcome {outcome.spec.name}"
    columns = {
        key: series[first_visits] if spec.level == "participant" else series for key, series in outcome.columns.items()
    }
    known = ~pd.concat(list(columns.values()), axis=1).isna().any(axis=1)
    counts = {"known": int(known.sum()), "missing": int((~known).sum())}
    if not known.any():
        raise InputError(
            f"{where}: no value is known for any of the {len(known):,} visits in the store. Check column and among."
        )
    if spec.kind in TIMED:
        event = columns[f"{spec.name}.event"][known]
        counts |= {"events": int((event > 0).sum()), "censored": int((event == 0).sum())}
        if not counts["events"]:
            raise InputError(
                f"{where}: none of {len(event):,} followed has an event: all are censored. Which value marks one? Say "
                "so with event_if, or under causes."
            )
        for number, cause in enumerate(spec.classes, 1):
            counts[f"events of {cause}"] = int((event == number).sum())
            if not counts[f"events of {cause}"]:
                raise InputError(
                    f"{where}: none of {len(event):,} followed has an event of cause '{cause}'. Check its code under "
                    "causes, or leave it out."
                )
    elif spec.kind == "class":
        sizes = columns[spec.name][known].value_counts()
        counts |= {f"class {label}": int(sizes.get(label, 0)) for label in spec.classes}
        if len(sizes) < 2:
            raise InputError(
                f"{where}: all {len(known[known]):,} known values are '{sizes.index[0]}'; a class outcome needs "
                f"two classes. "
                "Check positive_if and among, or leave the outcome out."
            )
    elif columns[spec.name][known].nunique() < 2:
        raise InputError(
            f"{where}: all {int(known.sum()):,} known values are {columns[spec.name][known].iloc[0]:g}; nothing varies."
        )
    return counts


def _labels(rule: OutcomeRule, series: pd.Series, among: pd.Series) -> tuple[pd.Series, tuple[str, ...]]:
    where = f"outcome {rule.name}"
    known = as_text(series).notna() & among
    if rule.positive_if is not None:
        names = rule.classes or LABELS
        if len(names) != 2:
            raise InputError(
                f"{where}: positive_if makes two classes, but classes names {len(names)}: {', '.join(names)}."
            )
        positive = rule.positive_if.holds(series, f"{where}: positive_if")
        labels = pd.Series(np.where(positive, names[1], names[0]), index=series.index, dtype=object)
        return labels.where(known, None), names
    labels = as_text(series).where(known, None)
    found = sorted(labels.dropna().unique())
    if rule.classes:
        unlisted = [label for label in found if label not in rule.classes]
        if unlisted:
            raise InputError(
                f"{where}: column '{rule.column}' holds '{unlisted[0]}', which is not one of classes "
                f"{', '.join(rule.classes)}. "
                "List it, or leave those rows unknown with among."
            )
        return labels, rule.classes
    if len(found) > min(MAX_CLASSES, max(2, len(labels.dropna()) // 2)):
        raise InputError(
            f"{where}: column '{rule.column}' holds {len(found):,} different values ('{found[0]}', '{found[1]}', "
            f"...); that is no "
            "class. Use kind: quantity, or make two classes with positive_if: {at_least: LIMIT}."
        )
    return labels, tuple(found)
