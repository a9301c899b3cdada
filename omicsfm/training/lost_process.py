"""A run of several processes that loses one ends with a message: no survivor can go on without it."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from torch.distributed import DistError

from omicsfm.errors import InputError
from omicsfm.training.resume.folder import saved_states

GLOO = "gloo"
"""Stands in the text of what its collectives raise, which is no class of its own."""


@contextlib.contextmanager
def naming_a_lost_process(run_dir: Path) -> Iterator[None]:
    """Within, a collective that fails because another process is gone ends the run with one message.

    Raises:
        InputError: Another process ended, or cannot be reached.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, DistError) and GLOO not in str(error):
            raise
        states = saved_states(run_dir / "resume")
        left = f"the newest state is {states[0].name}" if states else "no state was saved"
        raise InputError(
            f"{run_dir}: another process of this run ended, or cannot be reached ({_reason(error)}). Look for what it "
            f"said last, and whether its memory was short; {left}. The same command goes on from there."
        ) from error


def _reason(error: RuntimeError) -> str:
    """The first sentence, without the file of gloo's that it comes from."""
    return re.sub(r"^\[\S+\] ", "", str(error).splitlines()[0]).split(". ")[0]
