"""Times to an event from the visits table: who was followed from when, until when, and what ended it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from omicsfm.data.ingest.cohort import OutcomeRule
from omicsfm.data.ingest.columns import as_number, as_text, column_of
from omicsfm.data.ingest.conditions import Test
from omicsfm.errors import InputError
from omicsfm.outcome_spec import FROM_VISIT


@dataclass(frozen=True)
class FollowUp:
    """Days to the event or the end of follow-up, the event's number (0 where none was seen), and, where declared, the
    day from which on it would have been seen; NaN where not known.
    """

    time: pd.Series
    event: pd.Series
    entry: pd.Series | None

    def columns(self, name: str) -> dict[str, pd.Series]:
        """As columns of a store."""
        columns = {f"{name}.time_days": self.time, f"{name}.event": self.event}
        return columns if self.entry is None else {**columns, f"{name}.entry_days": self.entry}


def read_follow_up(
    rule: OutcomeRule, table: pd.DataFrame, among: pd.Series, *, participant_id: pd.Series, time_days: pd.Series
) -> FollowUp:
    """Follow-up of each visit, from the visit on, or on the outcome's own clock (``rule.time_zero``).

    A visit after the event or after the end of follow-up has none.

    Raises:
        InputError: A time is negative, an event is not declared, follow-up ends before it begins, or before the first
            visit.
    """
    where = f"outcome {rule.name}"
    assert rule.time is not None  # the parser asks for both
    assert rule.event is not None
    time = as_number(rule.time.rule.apply(table, where), where).where(among) * rule.time.days
    event = _events(rule, column_of(table, rule.event, where).where(among), where)
    entry = None
    if rule.entry is not None:
        entry = as_number(rule.entry.rule.apply(table, where), where).where(among) * rule.entry.days
    for what, days in (("follow-up", time), ("entry", entry)):
        if days is not None and (days < 0).any():
            worst = days.idxmin()
            raise InputError(
                f"{where}: {int((days < 0).sum()):,} {what} times are negative (lowest {days[worst]:g} days, "
                f"participant {participant_id[worst]}). Times count from {_origin(rule.time_zero)}; leave those rows "
                "out with among or where."
            )
    if rule.censor_after_days is not None:  # administrative censoring
        event = event.mask((time > rule.censor_after_days) & event.notna(), 0.0)
        time = time.clip(upper=rule.censor_after_days)
    time, event, entry = _whole(time, event, entry)
    if entry is not None and not _is_own_clock(rule):
        _refuse(where, participant_id, entry >= time, time, entry)
    if rule.level == "participant":
        time, event = spread(time, participant_id, where), spread(event, participant_id, where)
        if entry is not None and not _is_own_clock(rule):
            entry = spread(entry, participant_id, where)
    passed = _passed(rule, time_days, participant_id)
    time = time - passed
    over = time < 0
    if _is_own_clock(rule):
        assert entry is not None  # the parser asks for it
        over = time < entry
    elif entry is not None:
        entry = (entry - passed).clip(lower=0)
    everywhere = over[time.notna()].groupby(participant_id[time.notna()]).transform("all")
    _refuse_ended(where, rule, participant_id, time + passed, everywhere.reindex(time.index, fill_value=False))
    if rule.level == "visit" and _is_own_clock(rule):
        _refuse(where, participant_id, over, time, entry)
    return FollowUp(*_whole(time.mask(over), event, entry))


def spread(value: pd.Series, participant_id: pd.Series, where: str) -> pd.Series:
    """Each participant's one value at all of the participant's visits.

    Raises:
        InputError: A participant has two.
    """
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


def _events(rule: OutcomeRule, series: pd.Series, where: str) -> pd.Series:
    if rule.kind == "competing_risks":
        return _causes(rule, series, where)
    text = as_text(series)
    if rule.event_if is not None:
        return rule.event_if.holds(series, f"{where}: event_if").astype(float).where(text.notna())
    event = text.str.lower().map({"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0})
    unclear = text.notna() & event.isna()
    if unclear.any():
        raise InputError(
            f"{where}: event column '{series.name}' holds '{text[unclear.idxmax()]}'; expected 0/1 or true/false. "
            "Say which value is the event with event_if: {equals: VALUE}."
        )
    return event.astype(float)


def _causes(rule: OutcomeRule, series: pd.Series, where: str) -> pd.Series:
    text, number = as_text(series), pd.Series(np.nan, index=series.index)
    declared = [rule.censored, *(codes for _, codes in rule.causes)]
    for place, codes in enumerate(declared):
        number[Test((("in", list(codes)),)).holds(series, f"{where}: causes")] = float(place)
    unknown = text.notna() & number.isna()
    if unknown.any():
        said = ", ".join(f"{name}: {' or '.join(codes)}" for name, codes in rule.causes)
        raise InputError(
            f"{where}: column '{series.name}' holds '{text[unknown.idxmax()]}' in {int(unknown.sum()):,} rows, "
            f"which is no declared cause ({said}) and not censored ({' or '.join(rule.censored)}). Declare it under "
            "causes, or under censored where it ends follow-up without an event."
        )
    return number


def _passed(rule: OutcomeRule, time_days: pd.Series, participant_id: pd.Series) -> pd.Series:
    """Days from the outcome's time zero to each visit, for those whose times are to count from the visit."""
    if rule.time_zero == "first_visit":
        return time_days - time_days.groupby(participant_id).transform("min")
    if rule.time_zero == "study_start":
        return time_days
    return pd.Series(0.0, index=time_days.index)


def _whole(time: pd.Series, event: pd.Series, entry: pd.Series | None) -> tuple[pd.Series, pd.Series, pd.Series | None]:
    """A time without its event says nothing, nor the reverse, nor either without its entry."""
    half = time.isna() | event.isna()
    if entry is None:
        return time.mask(half), event.mask(half), None
    half |= entry.isna()
    return time.mask(half), event.mask(half), entry.mask(half)


def _is_own_clock(rule: OutcomeRule) -> bool:
    return rule.time_zero not in FROM_VISIT


def _origin(time_zero: str) -> str:
    return {
        "visit": "the visit",
        "first_visit": "the participant's first visit",
        "study_start": "day 0 of visits.time_days",
    }.get(time_zero, time_zero)


def _refuse(where: str, participant_id: pd.Series, bad: pd.Series, time: pd.Series, entry: pd.Series | None) -> None:
    if not bad.any() or entry is None:
        return
    first = bad.idxmax()
    raise InputError(
        f"{where}: {int(bad.sum()):,} rows end before they enter follow-up (first: participant "
        f"{participant_id[first]}, event or end on day {time[first]:g}, entry on day {entry[first]:g}). Nobody can be "
        "seen to have an event before being followed: check both columns and their units, or leave those rows out "
        "with among."
    )


def _refuse_ended(
    where: str, rule: OutcomeRule, participant_id: pd.Series, time: pd.Series, everywhere: pd.Series
) -> None:
    if not everywhere.any():
        return
    first = everywhere.idxmax()
    raise InputError(
        f"{where}: follow-up of {participant_id[everywhere].nunique():,} participants ends before their first visit "
        f"(first: participant {participant_id[first]}, day {time[first]:g} since {_origin(rule.time_zero)}). Check "
        "the time zero and the units, or leave those rows out with among."
    )
