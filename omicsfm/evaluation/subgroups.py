"""The metrics within groups of participants, without groups too small to show."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError, closest
from omicsfm.evaluation.scoring import score_predictions

NOT_RECORDED = "not recorded"
MOST_LEVELS = 20


def subgroup_columns(store: OmicsStore, asked: Sequence[str] | None) -> list[str]:
    """The columns of the visits to group by: those asked for, or else those the cohort names and has.

    Raises:
        InputError: A column asked for is not there, or has too many values to be groups.
    """
    if asked is None:
        named = [str(name) for name in store.manifest.get("subgroups", ())]
        return [name for name in named if name in store.visits and store.visits[name].nunique() <= MOST_LEVELS]
    for name in asked:
        if name not in store.visits:
            raise InputError(
                f"--subgroups: {store.path} has no column '{name}'; {closest(name, store.visits.columns)}."
            )
        levels = store.visits[name].nunique()
        if levels > MOST_LEVELS:
            raise InputError(
                f"--subgroups: '{name}' has {levels} different values in {store.path}; at most {MOST_LEVELS} can be "
                "groups. Give a column of bands instead, such as age_band."
            )
    return list(asked)


def subgroup_rows(
    predictions: pd.DataFrame,
    visits: pd.DataFrame,
    spec: OutcomeSpec,
    *,
    columns: Sequence[str],
    least: int,
    seed: int,
    resamples: int,
) -> list[dict[str, Any]]:
    """Every metric in every level of the columns; ``visits`` are those of the predictions, in their order.

    A level with fewer than ``least`` participants is one row without any number. If it is the only such level of its
    column, the participants of the next smallest are not given either: they and the total would tell.
    """
    rows: list[dict[str, Any]] = []
    for column in columns:
        label = visits[column].astype(object).where(visits[column].notna(), NOT_RECORDED).astype(str).to_numpy()
        people = predictions.groupby(label)["participant_id"].nunique()
        small = [level for level in people.index if people[level] < least]
        large = people.drop(small).sort_values(kind="stable")
        veiled = set(large.index[:1]) if len(small) == 1 else set()
        for level in people.index:
            where = {"variable": column, "level": level}
            if level in small:
                empty = {"participants": None, "value": None, "low": None, "high": None}
                for method in predictions["method"].unique():
                    rows.append({**where, "method": str(method), "metric": None, **empty, "suppressed": True})
                continue
            scored = score_predictions(predictions[label == level], spec, linear=(), seed=seed, resamples=resamples)
            count = None if level in veiled else int(people[level])
            for method, entry in scored["methods"].items():
                for metric, score in entry["metrics"].items():
                    rows.append({**where, "participants": count, "method": method, "metric": metric, **score})
    return rows
