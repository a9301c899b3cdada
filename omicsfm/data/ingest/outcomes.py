"""Outcomes from the visits table: a class, a quantity, or a time to an event, checked."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.ingest.cohort import OutcomeRule
from omicsfm.data.ingest.columns import as_number, as_text, column_of
from omicsfm.data.ingest.conditions import Test
from omicsfm.data.ingest.later_visits import value_at
from omicsfm.errors import InputError

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
    visits; a participant-level survival time counts from the participant's first visit, and at a later visit the time
    already passed is taken off.

    Raises:
        InputError: A column is missing, a value is not of the kind, or a participant has two different values.
    """
    where = f"outcome {rule.name}"
    among = rule.among.holds(table, f"{where}: among") if rule.among.tests else pd.Series(True, index=table.index)
    if rule.kind == "survival":
        return _survival(rule, table, among, participant_id, time_days)
    assert rule.column is not None  # the parser asks for it
    series = column_of(table, rule.column, where)
    read = among if rule.at is None else pd.Series(True, index=table.index)  # a later visit need not be among them
    if rule.kind == "quantity":
        value: pd.Series = as_number(series, where).where(read)
        classes: tuple[str, ...] = ()
    else:
        value, classes = _labels(rule, series, read)
    if rule.level == "participant":
        value = _spread(value, participant_id, where)
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
    if spec.kind == "survival":
        event = columns[f"{spec.name}.event"][known]
        counts |= {"events": int(event.sum()), "censored": int((event == 0).sum())}
        if not counts["events"]:
            raise InputError(
                f"{where}: none of {len(event):,} followed has an event. Which value marks one? Say so with event_if."
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


def _survival(
    rule: OutcomeRule, table: pd.DataFrame, among: pd.Series, participant_id: pd.Series, time_days: pd.Series
) -> ReadOutcome:
    where = f"outcome {rule.name}"
    assert rule.time is not None  # the parser asks for both
    assert rule.event is not None
    time = as_number(rule.time.rule.apply(table, where), where).where(among) * rule.time.days
    series = column_of(table, rule.event, where)
    event = _event(series, rule.event_if, where).where(among)
    if (time < 0).any():
        worst = time.idxmin()
        raise InputError(
            f"{where}: {int((time < 0).sum()):,} follow-up times are negative (lowest {time[worst]:g} days, "
            f"participant "
            f"{participant_id[worst]}). Times count from the visit; leave those rows out with among or where."
        )
    half = time.isna() != event.isna()
    time, event = time.mask(half), event.mask(half)  # a time without its event says nothing, nor the reverse
    if rule.level == "participant":
        time, event = _spread(time, participant_id, where), _spread(event, participant_id, where)
        time = time - (time_days - time_days.groupby(participant_id).transform("min"))
        over = time < 0
        time, event = time.mask(over), event.mask(over)
    spec = OutcomeSpec(rule.name, "survival", rule.level)
    columns = {f"{rule.name}.time_days": time, f"{rule.name}.event": event}
    return ReadOutcome(spec, columns, tuple(c for c in (rule.time.rule.column, rule.event) if c is not None))


def _event(series: pd.Series, event_if: Test | None, where: str) -> pd.Series:
    text = as_text(series)
    if event_if is not None:
        return event_if.holds(series, f"{where}: event_if").astype(float).where(text.notna())
    event = text.str.lower().map({"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0})
    unclear = text.notna() & event.isna()
    if unclear.any():
        raise InputError(
            f"{where}: event column '{series.name}' holds '{text[unclear.idxmax()]}'; expected 0/1 or true/false. "
            "Say which value is the event with event_if: {equals: VALUE}."
        )
    return event.astype(float)


def _spread(value: pd.Series, participant_id: pd.Series, where: str) -> pd.Series:
    """Each participant's one value at all of the participant's visits."""
    own = value.groupby(participant_id)
    several = own.nunique() > 1
    if several.any():
        participant = several.idxmax()
        found = ", ".join(f"{v}" for v in value[participant_id == participant].dropna().unique()[:3])
        raise InputError(
            f"{where}: {int(several.sum()):,} participants have different values at different visits (first: "
            f"participant "
            f"{participant}: {found}), but level is participant. Use level: visit, or give each participant one value."
        )
    return own.transform("first")
