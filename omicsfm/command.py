"""How a command ends: 0 done, 1 the input or the data is at fault, 130 interrupted; a bug keeps its traceback."""

import os
import sys
from collections.abc import Callable

from omicsfm.errors import InputError


def run_command(command: Callable[[], int | None]) -> None:
    """Call ``command`` and end the program where it fails; returns when it is done.

    Under Hydra call this *inside* the decorated function, because Hydra prints its own traceback for what
    leaves it.

    Raises:
        SystemExit: Status 1 after an InputError, whose text goes to stderr; status 130 after Ctrl-C; or the
            non-zero status that ``command`` returned.
    """
    try:
        status = command()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    except BrokenPipeError:  # the reader of our output has seen enough, as in `omicsfm inspect STORE | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    if status:
        raise SystemExit(status)
