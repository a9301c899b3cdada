"""The one exception that means: the input, the data or the configuration is at fault, not omicsfm.

Commands print its text and end with status 1; anything else keeps its traceback, because it is a bug.
"""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """What was expected, what was found, where, and the way out: in one message, on one line.

    What was found may be anything: characters that a terminal obeys instead of showing are written out.
    """

    def __str__(self) -> str:
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in super().__str__())


def closest(name: str, known: Iterable[str]) -> str:
    """A clause naming the nearest known name and the known names, to end an error message with."""
    names = sorted(str(candidate) for candidate in known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    listed = ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{hint}known: {listed or 'none'}"
