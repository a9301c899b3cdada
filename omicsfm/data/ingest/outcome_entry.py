"""What a COHORT.yaml says of one outcome."""

from typing import Any, Literal, cast

from omicsfm.data.ingest.cohort import LaterVisit, OutcomeRule
from omicsfm.data.ingest.conditions import Conditions, Test
from omicsfm.data.ingest.entries import DAYS, check_name, in_units, mapping, names, text_or_none, time_rule
from omicsfm.errors import InputError, closest
from omicsfm.outcome_spec import FROM_VISIT, TIMED, OutcomeKind

COMMON = ("kind", "level", "among")
ENTRY, CENSOR = in_units("entry"), in_units("censor_after")
FOLLOW_UP = (*COMMON, "time_zero", *DAYS, *ENTRY, *CENSOR)
BY_KIND = {
    "class": (*COMMON, "column", "positive_if", "classes", "at"),
    "quantity": (*COMMON, "column", "at"),
    "survival": (*FOLLOW_UP, "event", "event_if"),
    "competing_risks": (*FOLLOW_UP, "cause", "causes", "censored"),
}
NEEDED = {
    "class": ("column",),
    "quantity": ("column",),
    "survival": ("time_days", "event"),
    "competing_risks": ("time_days", "cause", "causes"),
}
LEVELS = ("visit", "participant")


def parse_outcome(name: str, node: Any, where: str) -> OutcomeRule:
    """One entry under ``outcomes``.

    Raises:
        InputError: A key is missing or unknown, or a value is wrong.
    """
    check_name(name, where)
    kind = str(mapping(node, where).get("kind"))
    if kind not in BY_KIND:
        raise InputError(f"{where}: kind '{kind}' is not known; {closest(kind, BY_KIND)}.")
    entry = {key: own for key, own in mapping(node, where, BY_KIND[kind]).items() if own is not None}
    level = entry.get("level", "visit")
    if level not in LEVELS:
        raise InputError(f"{where}: level '{level}' is not known; {closest(str(level), LEVELS)}.")
    time = time_rule(entry, where) if kind in TIMED else None
    given = {*entry, *(["time_days"] if time is not None else [])}
    missing = [key for key in NEEDED[kind] if key not in given]
    if missing:
        raise InputError(f"{where}: '{missing[0]}' is missing; kind {kind} takes {', '.join(BY_KIND[kind])}.")
    at = _later_visit(entry.get("at"), f"{where}.at")
    if at is not None and level != "visit":
        raise InputError(f"{where}: at says which later visit's value each visit has; that is level: visit.")
    return OutcomeRule(
        name=name,
        kind=cast(OutcomeKind, kind),
        level=cast(Literal["visit", "participant"], level),
        column=text_or_none(entry.get("column")),
        positive_if=Test.parse(entry["positive_if"], f"{where}.positive_if") if "positive_if" in entry else None,
        classes=names(entry.get("classes"), f"{where}.classes"),
        among=Conditions.parse(entry.get("among"), f"{where}.among"),
        at=at,
        time=time,
        time_zero=_time_zero(entry, level, where) if kind in TIMED else "visit",
        event=text_or_none(entry.get("cause" if kind == "competing_risks" else "event")),
        event_if=Test.parse(entry["event_if"], f"{where}.event_if") if "event_if" in entry else None,
        causes=_causes(entry.get("causes"), f"{where}.causes") if "causes" in entry else (),
        censored=names(entry.get("censored", 0), f"{where}.censored"),
        entry=time_rule(entry, where, ENTRY),
        censor_after_days=_limit(entry, where),
    )


def _time_zero(entry: dict[str, Any], level: str, where: str) -> str:
    """What times count from; of a clock of its own it must be said where each visit lies on it."""
    zero = str(entry.get("time_zero", "first_visit" if level == "participant" else "visit"))
    if zero not in FROM_VISIT and time_rule(entry, where, ENTRY) is None:
        raise InputError(
            f"{where}: time_zero '{zero}' is not {', '.join(FROM_VISIT[:-1])} or {FROM_VISIT[-1]}, so times count on a "
            "clock of their own. Say with entry_days or entry_years where each visit lies on it (for birth: age), or "
            "nobody knows from when on a participant was followed."
        )
    return zero


def _causes(node: Any, where: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """``{relapse: 1, death: [2, 3]}``: names of causes, and the codes of each."""
    causes = tuple((str(name), names(codes, f"{where}.{name}")) for name, codes in mapping(node, where).items())
    for name, _ in causes:
        check_name(name, where)
    codes = [code for _, own in causes for code in own]
    if len(causes) < 2 or len(set(codes)) < len(codes) or not all(own for _, own in causes):
        raise InputError(
            f"{where}: competing risks are two causes or more, each with codes of its own, such as "
            f"{{relapse: 1, death: [2, 3]}}; found {node!r}."
        )
    return causes


def _limit(entry: dict[str, Any], where: str) -> float | None:
    given = [key for key in CENSOR if key in entry]
    if not given:
        return None
    number = entry[given[0]]
    if len(given) > 1 or isinstance(number, bool) or not isinstance(number, int | float) or number <= 0:
        raise InputError(f"{where}: give one of {', '.join(CENSOR)}, a number above 0; found {entry[given[0]]!r}.")
    return float(number) * CENSOR[given[0]]


def _later_visit(node: Any, where: str) -> LaterVisit | None:
    """``next_visit``, or ``{after_days: 14}``, ``{after_years: [4, 6]}``: the first visit in that window."""
    if node is None:
        return None
    if node == "next_visit":
        return LaterVisit()
    units = {f"after_{key.removeprefix('time_')}": days for key, days in DAYS.items()}
    if not isinstance(node, dict) or len(node) != 1 or next(iter(node)) not in units:
        raise InputError(f"{where}: expected next_visit, or one of {', '.join(units)} with a time, found {node!r}.")
    unit, window = next(iter(node.items()))
    limits = window if isinstance(window, list) else [window, window]
    numbers = all(isinstance(limit, int | float) and not isinstance(limit, bool) for limit in limits)
    if len(limits) != 2 or not numbers or not 0 <= limits[0] <= limits[1]:
        raise InputError(
            f"{where}: {unit} takes the time from this visit to the later one, as a number or as [from, to], and "
            f"0 or more; found {window!r}."
        )
    return LaterVisit(limits[0] * units[unit], limits[1] * units[unit])
