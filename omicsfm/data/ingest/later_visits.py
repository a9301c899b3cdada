"""What a participant's later visit found, as an outcome of an earlier one: a forecast."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from omicsfm.data.ingest.cohort import LaterVisit


def value_at(later: LaterVisit, value: pd.Series, *, participant_id: pd.Series, time_days: pd.Series) -> pd.Series:
    """Each visit's outcome: the value at the visit that ``later`` names, unknown where there is no such visit or its
    value is unknown.
    """
    place = later_place(later, pd.factorize(participant_id)[0], time_days.to_numpy(dtype=np.float64))
    found = value.reset_index(drop=True).reindex(np.where(place < 0, len(value), place))
    return found.set_axis(value.index)


def later_place(
    later: LaterVisit, participant: Int[np.ndarray, " visits"], time_days: Float[np.ndarray, " visits"]
) -> Int[np.ndarray, " visits"]:
    """Place of the participant's first visit after each one that is in the window, -1 where there is none.

    A visit on the same day is not a later one.
    """
    order = np.lexsort((time_days, participant))
    who, when = participant[order], time_days[order]
    days = np.unique(when)  # ranks, so that participant and time make one sorted whole number, free of rounding
    rank = _key(who, np.searchsorted(days, when), len(days))
    earliest = np.searchsorted(days, when + later.from_days)
    after = np.searchsorted(days, when, side="right")
    found = np.searchsorted(rank, _key(who, np.maximum(earliest, after), len(days)))
    there = np.minimum(found, len(order) - 1)
    fits = (found < len(order)) & (who[there] == who) & (when[there] - when <= later.to_days)
    place = np.full(len(order), -1, dtype=np.int64)
    place[order] = np.where(fits, order[there], -1)
    return place


def _key(
    participant: Int[np.ndarray, " visits"], rank: Shaped[np.ndarray, " visits"], days: int
) -> Int[np.ndarray, " visits"]:
    return participant.astype(np.int64) * (days + 1) + rank
