"""The one exception that means: the input, the data or the configuration is at fault, not omicsfm.

Commands print its text and end with status 1; anything else keeps its traceback, because it is a bug.
"""

import difflib
import re
from collections.abc import Iterable

ENDLESS = re.compile(r"(\S{200})\S{300,}")
"""A word that nobody reads to its end: a column of 5,000 characters, a key that never closes."""


class InputError(ValueError):
    """What was expected, what was found, where, and the way out: in one message, on one line.

    What was found may be anything: characters that a terminal obeys instead of showing are written out, and a word of
    more than 500 is cut.
    """

    def __str__(self) -> str:
        said = ENDLESS.sub(r"\1...", super().__str__())
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in said)


def closest(name: str, known: Iterable[str]) -> str:
    """A clause naming the nearest known name and the known names, to end an error message with."""
    names = sorted(str(candidate) for candidate in known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    listed = ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{hint}known: {listed or 'none'}"
