"""How many people an explanation is about: enough that it tells about nobody, few enough to compute."""

import numpy as np
from jaxtyping import Int

from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError
from omicsfm.seeding import derive


def sampled(store: OmicsStore, rows: Int[np.ndarray, " rows"], *, most: int, seed: int) -> Int[np.ndarray, " sampled"]:
    """The rows of at most ``most`` participants, drawn by the seed."""
    ids = store.visits["participant_id"].astype(str).to_numpy(dtype=str)[rows]
    people = np.unique(ids)
    if len(people) > most:
        people = np.random.default_rng(derive(seed, "explained")).choice(people, size=most, replace=False)
    return rows[np.isin(ids, people)]


def require_enough(store: OmicsStore, rows: Int[np.ndarray, " rows"]) -> None:
    """Refuse an average over fewer participants than the store's policy lets anyone report on.

    Raises:
        InputError: There are fewer.
    """
    people = store.visits["participant_id"].iloc[rows].nunique()
    least = int(store.manifest["policy"].get("min_cell_count", 10))
    if people < least:
        raise InputError(
            f"{store.path}: {people} participants to explain; an average over fewer than {least} (min_cell_count in "
            "the policy of COHORT.yaml) would tell about single people. Leave --split out, or raise --participants."
        )
