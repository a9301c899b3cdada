"""Identifiers that encode an outcome: H1, H2, ... for the healthy, the week in a sample's name, a sorted file."""

import re
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from omicsfm.data.leakage.association import FEWEST_ROWS, with_quantity
from omicsfm.data.leakage.leak import Leak
from omicsfm.data.leakage.targets import Target
from omicsfm.data.store import OmicsStore

PURE, EXPLAINED = 0.99, 0.9
"""Share of ids whose class their token names, or of a quantity's variance, from which on the token encodes it."""
CLOSE_CLASS, CLOSE_QUANTITY = 0.95, 0.9
"""AUROC and |Spearman| of a number in an id; ids have no biology to follow."""
FEW_TOKENS = 5
"""Ids that a token must stand for on average: a token of its own for each id says nothing."""
SURPRISE = 1e-3
FIELDS, NUMBERS = re.compile(r"[_\-./:| ]+"), re.compile(r"\d+(?:\.\d+)?")
MOST_IDS = 2000
"""Ids that are looked at; of more, a random part."""
PARTS = 3
"""Numbers and fields of an id that are looked at, from either end."""


def telling_identifiers(
    store: OmicsStore, targets: list[Target], keys: Mapping[str, pd.Series] | None = None, *, seed: int = 0
) -> Iterator[Leak]:
    """For each id column and target the part of the id that tells the target, and whether the rows are sorted by it.

    ``keys`` are further id columns by visit, such as the sample ids by which matrices were joined.
    """
    columns = {"participant_id": store.visits["participant_id"], "visit": store.visits["visit"], **(keys or {})}
    for target in targets:
        for name, ids in columns.items():
            once = name == "participant_id" or target.by_participant
            rows = np.flatnonzero(~np.isnan(target.value) & ids.notna().to_numpy())
            if once:  # one row a participant; a value that changes between visits cannot be in the person's id
                person = store.participant_number[rows]
                if not target.by_participant and _changes(target.value[rows], person):
                    continue
                rows = rows[np.unique(person, return_index=True)[1]]
            if len(rows) > MOST_IDS:
                rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_IDS, replace=False))
            if len(rows) >= FEWEST_ROWS and (leak := _encoded(name, ids.iloc[rows].astype(str), target, rows)):
                yield leak
                break  # one id that tells is enough
        yield from _sorted(store, target)


def _encoded(name: str, ids: pd.Series, target: Target, rows: np.ndarray) -> Leak | None:
    for part, tokens in _parts(ids):
        if part.startswith("number"):
            number = pd.to_numeric(tokens, errors="coerce").to_numpy(dtype=np.float64)
            if len(np.unique(number[~np.isnan(number)])) < FEW_TOKENS:
                continue
            found = target.followed_by(number, rows)
            near = found.strength >= (CLOSE_CLASS if target.is_class else CLOSE_QUANTITY)
            told = f"{found}".replace("visits", "ids") if near and found.chance < SURPRISE else ""
        else:
            told = _names(tokens, target, rows)
        if told:
            example = ids.iloc[0]
            twins = _twins(ids, tokens) if name == "participant_id" and not part.startswith("number") else ""
            return Leak(
                False,
                f"{name}: the {part} of the id (as in '{example}') tells {target.described} ({told}). No model is "
                f"given ids, but whatever is joined, sorted or split by them carries the outcome along.{twins}",
            )
    return None


def _parts(ids: pd.Series) -> Iterator[tuple[str, pd.Series]]:
    """Parts of ids that may hold a code: letters at either end, fields between separators, and numbers."""
    yield "beginning", ids.str.extract(r"^([^\d]*)", expand=False)
    yield "end", ids.str.extract(r"([^\d]*)$", expand=False)
    yield "part behind the first separator", ids.str.extract(r"^[^_\-./:| ]*[_\-./:| ](.*)$", expand=False).fillna("")
    yield "whole", ids
    pieces = {"field": ids.map(lambda text: FIELDS.split(text)), "number": ids.map(lambda text: NUMBERS.findall(text))}
    for kind, found in pieces.items():
        for place in range(PARTS):
            yield f"{kind} {place + 1}", found.map(lambda own, n=place: own[n] if n < len(own) else "")
            yield (
                f"{kind} {place + 1} from the end",
                found.map(lambda own, n=place: own[-1 - n] if n < len(own) else ""),
            )


def _names(tokens: pd.Series, target: Target, rows: np.ndarray) -> str:
    """Whether few tokens name the class, or fix the quantity; in words, or nothing."""
    token, known = pd.factorize(tokens)
    if not 2 <= len(known) <= len(tokens) // FEW_TOKENS:
        return ""
    value = target.value[rows]
    if target.is_class:
        table = pd.crosstab(token, value).to_numpy()
        largest = table.sum(axis=0).max() / len(value)
        pure = table.max(axis=1).sum() / len(value)
        surprising = (len(value) - table.sum(axis=0).max()) >= 10  # a handful outside the largest class proves nothing
        return f"{pure:.1%} right, {largest:.1%} by guessing" if pure >= PURE and surprising else ""
    within = pd.Series(value).groupby(token).transform("mean").to_numpy()
    total = float(((value - value.mean()) ** 2).sum())
    explained = 1 - float(((value - within) ** 2).sum()) / total if total else 0.0
    return f"{explained:.1%} of the variance" if explained >= EXPLAINED else ""


def _twins(ids: pd.Series, tokens: pd.Series) -> str:
    """Ids that are the same but for the part that tells the outcome: a person before and after, say."""
    pairs = zip(ids.unique(), tokens[~ids.duplicated()], strict=True)
    stems = pd.Series([i.replace(t, "", 1) if t and t != i else i for i, t in pairs])
    paired = int(stems.duplicated(keep=False).sum())
    if paired < len(stems) // 2 or stems.nunique() < FEW_TOKENS:
        return ""
    return (
        f" But for that part {paired:,} of {len(stems):,} ids are another's: if these are the same people, give them "
        "one participant_id, or a split will test people it trained on."
    )


def _changes(value: np.ndarray, person: np.ndarray) -> bool:
    return bool((pd.Series(value).groupby(person).nunique() > 1).mean() > 0.05)


def _sorted(store: OmicsStore, target: Target) -> Iterator[Leak]:
    """Participants that stand in the order of the outcome."""
    rows = target.among(np.arange(len(store)), store.participant_number)
    rows = rows[np.unique(store.participant_number[rows], return_index=True)[1]]
    value = target.value[rows]
    classes, counts = np.unique(value, return_counts=True)
    runs = 1 + int((np.diff(value) != 0).sum())
    if len(rows) < 2 * FEWEST_ROWS:
        return
    in_blocks = target.is_class and runs == len(classes) and np.sort(counts)[:-1].sum() >= 10
    in_order = not target.is_class and with_quantity(np.arange(len(rows), dtype=np.float64), value).close
    if in_blocks or in_order:
        yield Leak(
            False,
            f"row order: the participants stand sorted by {target.described}. Nothing here reads the order, but a "
            "number or label given in this order tells the outcome, and so does any file joined by position.",
        )
