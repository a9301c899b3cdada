"""An OUT folder that appears whole or not at all, and replaces nothing that is not its own."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omicsfm.errors import InputError

FILES = (
    "predictions.parquet",
    "missingness.parquet",
    "embedding.parquet",
    "explanation.parquet",
    "explanation.csv",
    "explanation.json",
    "report.html",
    "metrics.json",
)
EVALUATION = "evaluation"


def require_own(out: Path) -> None:
    """Refuse an OUT that holds something else than an earlier evaluation.

    Raises:
        InputError: It is a file, or a folder with content and without the metrics.json of an evaluation.
    """
    if out.is_file():
        raise InputError(f"--out {out}: is a file. Name a folder.")
    if not out.exists() or not any(out.iterdir()):
        return
    try:
        own = json.loads((out / "metrics.json").read_text()).get("what") == EVALUATION
    except (OSError, ValueError, AttributeError):
        own = False
    if not own:
        found = sorted(entry.name for entry in out.iterdir())[0]
        raise InputError(
            f"--out {out}: holds something else than an evaluation (first: {found}); it is left alone. Name another "
            "folder."
        )


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out`` to write into; its files move to ``out`` when the block ends well.

    An earlier evaluation's files in ``out`` are replaced, those that were not written again are removed, and other
    files stay. After an exception ``out`` is as it was.
    """
    require_own(out)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error.strerror}). Name a folder that can.") from error
    try:
        yield partial
        out.mkdir(exist_ok=True)
        for name in FILES:
            if (partial / name).exists():
                (partial / name).replace(out / name)
            else:
                (out / name).unlink(missing_ok=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
