"""Where an explanation may be written: a folder of its own, or beside the results that it explains."""

import json
from pathlib import Path

from omicsfm.errors import InputError

OWN = "explanation.json"


def require_place(out: Path, *, cohort: str, outcome: str) -> None:
    """Refuse an OUT that holds something else than an explanation, or than results of this outcome and cohort.

    Raises:
        InputError: It is a file, holds other files, or results of another outcome or cohort.
    """
    if out.is_file():
        raise InputError(f"--out {out}: is a file. Name a folder.")
    if not out.exists() or not any(out.iterdir()):
        return
    results = out / "metrics.json"
    if not results.exists():
        if not (out / OWN).exists():
            found = sorted(entry.name for entry in out.iterdir())[0]
            raise InputError(
                f"--out {out}: holds something else than results or an explanation (first: {found}); it is left alone. "
                "Name another folder."
            )
        return
    try:
        found = json.loads(results.read_text())
        theirs = (str(found["cohort"]), str(found["outcome"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{results}: cannot be read ({error!r}). Name another folder with --out.") from None
    if theirs != (cohort, outcome):
        raise InputError(
            f"--out {out}: holds results of {theirs[0]}, outcome '{theirs[1]}'; this explains {cohort}, outcome "
            f"'{outcome}'. Name another folder."
        )
