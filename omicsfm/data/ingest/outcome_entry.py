"""What a COHORT.yaml says of one outcome."""

from typing import Any, Literal, cast

from omicsfm.contracts import OutcomeKind
from omicsfm.data.ingest.cohort import LaterVisit, OutcomeRule
from omicsfm.data.ingest.conditions import Conditions, Test
from omicsfm.data.ingest.entries import DAYS, check_name, mapping, names, text_or_none, time_rule
from omicsfm.errors import InputError, closest

COMMON = ("kind", "level", "among")
BY_KIND = {
    "class": (*COMMON, "column", "positive_if", "classes", "at"),
    "quantity": (*COMMON, "column", "at"),
    "survival": (*COMMON, *DAYS, "event", "event_if"),
}
LEVELS = ("visit", "participant")


def parse_outcome(name: str, node: Any, where: str) -> OutcomeRule:
    """One entry under ``outcomes``.

    Raises:
        InputError: A key is missing or unknown, or a value is wrong.
    """
    check_name(name, where)
    kind = str(mapping(node, where).get("kind"))
    if kind == "competing_risks":
        raise InputError(
            f"{where}: kind competing_risks is not supported; supported: {', '.join(BY_KIND)}. For one cause, use "
            "kind: survival with event: CAUSE_COLUMN and event_if: {equals: CAUSE} (other causes count as censored)."
        )
    if kind not in BY_KIND:
        raise InputError(f"{where}: kind '{kind}' is not known; {closest(kind, BY_KIND)}.")
    entry = {key: own for key, own in mapping(node, where, BY_KIND[kind]).items() if own is not None}
    level = entry.get("level", "visit")
    if level not in LEVELS:
        raise InputError(f"{where}: level '{level}' is not known; {closest(str(level), LEVELS)}.")
    time = time_rule(entry, where) if kind == "survival" else None
    missing = "column" if kind != "survival" else "event" if "event" not in entry else "time_days"
    if (kind != "survival" and "column" not in entry) or (
        kind == "survival" and ("event" not in entry or time is None)
    ):
        raise InputError(f"{where}: '{missing}' is missing; kind {kind} takes {', '.join(BY_KIND[kind])}.")
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
        event=text_or_none(entry.get("event")),
        event_if=Test.parse(entry["event_if"], f"{where}.event_if") if "event_if" in entry else None,
    )


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
