"""What a matrix must not hold: a clinical column."""

import re
from collections.abc import Iterable

from omicsfm.data.ingest.cohort import ModalitySpec
from omicsfm.errors import InputError


def check_names(spec: ModalitySpec, features: Iterable[str], clinical: Iterable[str], table: str) -> None:
    """Refuse features that bear the name of a clinical column; R's make.names writes '/' and ' ' as '.', so
    punctuation does not count.

    Raises:
        InputError: The message names the columns; ``allow`` lets a true feature of that name pass.
    """
    columns = {plain_name(name): name for name in clinical}
    found = [f for f in features if plain_name(f) in columns and f not in spec.allow]
    if found:
        file = spec.path.name if spec.path is not None else "the matrix"
        listed = ", ".join(f"'{name}'" for name in found[:20]) + (", ..." if len(found) > 20 else "")
        raise InputError(
            f"{spec.name}: {len(found)} columns of {file} are also in the clinical table {table}: {listed}. A "
            f"clinical column among "
            "the features can give the outcome away. Add them to drop; a true feature that shares a name goes into "
            "allow."
        )


def plain_name(name: str) -> str:
    """The name with one dot for each run of other than letters and digits."""
    return re.sub(r"[^0-9A-Za-z]+", ".", name)
