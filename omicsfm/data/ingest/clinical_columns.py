"""What must not be read as a feature: a clinical column in a matrix, an outcome among the covariates."""

import re
from collections.abc import Iterable, Sequence

from omicsfm.data.covariates import USUAL
from omicsfm.data.ingest.cohort import CohortFile, ModalitySpec
from omicsfm.data.ingest.outcomes import ReadOutcome
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


def covariates_to_read(said: CohortFile, outcomes: Sequence[ReadOutcome]) -> tuple[str, ...] | None:
    """The columns of the visits that models may read: those that the yaml lists; None for age and sex, or what of these
    no outcome is made of.

    Raises:
        InputError: A listed column is what an outcome is made of.
    """
    columns = said.visits.columns
    told = {name: o.spec.name for o in outcomes for name in columns if columns[name].column in o.sources}
    if said.clinical is None:
        return tuple(name for name in USUAL if name not in told) if told.keys() & set(USUAL) else None
    for name in said.clinical:
        if name in told:
            raise InputError(
                f"{said.where}: clinical: '{name}' is read from column {columns[name].column}, which outcome "
                f"'{told[name]}' is made of: it would be predicted from itself. Leave one of them out."
            )
    return said.clinical
