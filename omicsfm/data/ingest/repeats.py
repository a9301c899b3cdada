"""A row that a released matrix holds twice, the same in every cell: harmless, and read once."""

from collections import Counter
from hashlib import blake2b

import numpy as np

from omicsfm.data.ingest.blocks import Key, MatrixSource


def take_keys_of_repeats(source: MatrixSource) -> None:
    """A row with the key and every cell of an earlier one loses its key, and so belongs to no visit.

    Rows that share a key and differ in a cell keep it, for the join to refuse.
    """
    often = Counter(key for key in source.keys if key is not None)
    wanted = np.array([key is not None and often[key] > 1 for key in source.keys], dtype=bool)
    if not wanted.any():
        return
    seen: set[tuple[Key | None, bytes]] = set()
    for block in source.blocks(0, wanted):
        for row in np.flatnonzero(wanted[block.rows]):
            values = block.values[[row]]
            cells = values if isinstance(values, np.ndarray) else values.toarray()
            marks = b"" if block.below_limit is None else block.below_limit[row].tobytes()
            found = (source.keys[block.start + row], blake2b(cells.tobytes() + marks, digest_size=16).digest())
            if found in seen:
                source.keys[block.start + row] = None
            seen.add(found)
