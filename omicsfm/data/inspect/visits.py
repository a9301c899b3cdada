"""Which modalities visits have together, and how visits follow each other."""

import numpy as np
import pandas as pd

from omicsfm.data.inspect.findings import Findings
from omicsfm.data.store import OmicsStore


def describe_combinations(store: OmicsStore, found: Findings) -> None:
    """Which modalities visits have together, and how often."""
    has = pd.DataFrame({name: np.isin(np.arange(len(store)), m.rows) for name, m in store.modalities.items()})
    has["participant_id"] = store.visits["participant_id"].to_numpy()
    names = list(store.modalities)
    groups = has.groupby(names)["participant_id"].agg(["size", "nunique"]).sort_values("size", ascending=False)
    found.lines += [
        "",
        "what a visit has (x measured, . not)",
        "  " + "  ".join(names) + "  visits        participants",
    ]
    for key, row in groups.iterrows():
        flags = key if isinstance(key, tuple) else (key,)
        marks = "  ".join(("x" if flag else ".").center(len(name)) for name, flag in zip(names, flags, strict=True))
        found.lines.append(f"  {marks}  {row['size']:>6,} {row['size'] / len(store):>6.1%} {row['nunique']:>12,}")


def describe_visits(store: OmicsStore, found: Findings) -> None:
    """Visits per participant and the days between them."""
    sizes = store.visits.groupby("participant_id").size().value_counts().sort_index()
    spread = ", ".join(f"{number} ({people:,})" for number, people in sizes.head(12).items())
    found.lines += ["", f"visits per participant (participants): {spread}" + (", ..." if len(sizes) > 12 else "")]
    ordered = store.visits.sort_values(["participant_id", "time_days"], kind="stable")
    gaps = ordered.groupby("participant_id")["time_days"].diff().dropna()
    if len(gaps):
        low, middle, high = np.quantile(gaps, [0, 0.5, 1])
        found.lines.append(f"days between visits: median {middle:,.0f}, from {low:,.0f} to {high:,.0f}")
    if store.visits["time_days"].isna().any():
        unknown = int(store.visits["time_days"].isna().sum())
        found.problems.append(f"visits: the time of {unknown:,} is unknown. Fill in time_days and prepare again.")
    if same := int((gaps == 0).sum()):
        row = gaps.index[gaps == 0][0]
        who, when = store.visits.loc[row, ["participant_id", "time_days"]]
        found.notes.append(
            f"visits: {same:,} stand at the same time as the participant's visit before (first: participant '{who}', "
            f"day {when:g}). They are no history of each other, and forecasts from one to the other are refused."
        )
