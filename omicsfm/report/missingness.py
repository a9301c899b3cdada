"""Who was measured for what: a map of modality by visit.

``OUT/missingness.parquet`` has the columns modality, visit, participants (seen at that visit), measured (those of them
with the assay), missing_share and below_limit_share (of the measured people's values); ``write_missingness`` makes it.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from omicsfm.data.store import OmicsStore
from omicsfm.data.stored_matrix import StoredMatrix
from omicsfm.report.read import write_table
from omicsfm.report.style import INK, MUTED

ROWS_AT_ONCE = 4096
ROWS_COUNTED = 20_000  # of one modality at one visit; more would not change a share that is shown in per mille


def write_missingness(store: OmicsStore, out: Path) -> Path:
    """Write ``out/missingness.parquet`` and return its path."""
    return write_table(missingness_table(store), out / "missingness.parquet")


def missingness_table(store: OmicsStore) -> pd.DataFrame:
    """One row per modality and visit, visits in order of their median day.

    The shares of values are counted on at most 20,000 evenly spaced rows, so that a large store is not read through.
    """
    day = store.visits.groupby("visit")["time_days"].median()
    order = sorted(day.index, key=lambda visit: (day[visit], str(visit)))
    label = store.visits["visit"].to_numpy()
    person = store.visits["participant_id"].to_numpy()
    rows = []
    for modality, matrix in store.modalities.items():
        measured = np.zeros(len(store), dtype=bool)
        measured[matrix.rows] = True
        for visit in order:
            here = label == visit
            missing, below, cells = _count_cells(matrix, np.flatnonzero(here & measured))
            rows.append(
                {
                    "modality": modality,
                    "visit": str(visit),
                    "participants": len(np.unique(person[here])),
                    "measured": len(np.unique(person[here & measured])),
                    "missing_share": missing / cells if cells else np.nan,
                    "below_limit_share": below / cells if cells else np.nan,
                }
            )
    return pd.DataFrame(rows)


def _count_cells(matrix: StoredMatrix, rows: np.ndarray) -> tuple[int, int, int]:
    missing = below = 0
    rows = rows[:: max(1, -(-len(rows) // ROWS_COUNTED))]
    for start in range(0, len(rows), ROWS_AT_ONCE):
        values, flags = matrix.read(rows[start : start + ROWS_AT_ONCE])
        missing += int(np.isnan(values).sum())
        below += int(flags.sum())
    return missing, below, len(rows) * len(matrix.features)


def missingness_cells(table: pd.DataFrame, *, least: int) -> tuple[list[str], list[list[dict[str, str]]]]:
    """Header and rows of the missingness map: each cell has a text, a background and an ink.

    The last two columns give the share of missing values and of values below their limit. The share of a visit with
    fewer than ``least`` participants is not shown, nor where fewer than that were measured, or were not.
    """
    visits = list(dict.fromkeys(table["visit"]))
    rows = []
    for modality, part in table.groupby("modality", sort=False):
        known = part.set_index("visit")
        cells = [{"text": str(modality), "background": "", "ink": INK}]
        for visit in visits:
            if visit not in known.index:
                cells.append({"text": "–", "background": "", "ink": MUTED})
                continue
            seen, measured = int(known.loc[visit, "participants"]), int(known.loc[visit, "measured"])
            hidden = seen < least or 0 < measured < least or 0 < seen - measured < least
            cells.append(_cell(measured / seen if seen else 0.0, hidden=hidden, near_all=measured * 2 > seen))
        weight = part["measured"].to_numpy(dtype=float)
        for column in ("missing_share", "below_limit_share"):
            share = part[column].fillna(0).to_numpy()
            total = float((share * weight).sum() / weight.sum()) if weight.sum() >= least else np.nan
            cells.append({"text": "–" if np.isnan(total) else f"{total:.1%}", "background": "", "ink": INK})
        rows.append(cells)
    return ["", *(f"visit {visit}" for visit in visits), "values missing", "below limit"], rows


def _cell(share: float, *, hidden: bool, near_all: bool) -> dict[str, str]:
    """Blue, the deeper the more people were measured; ink turns white where the ground is dark."""
    if hidden:
        text = "nearly all" if near_all else "few"
        return {"text": text, "background": "#eef1f4", "ink": MUTED}
    ground = [round(255 + (target - 255) * share) for target in (0, 114, 178)]
    return {
        "text": f"{share:.0%}",
        "background": f"rgb({ground[0]},{ground[1]},{ground[2]})",
        "ink": "#ffffff" if share > 0.62 else INK,
    }
