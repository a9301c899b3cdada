"""Cells that no table should hold, and a simple reading of cells to compare the store with."""

import math
import re

CELLS = (
    *("", " ", "NA", "nan", "NaN", "null", "None", "N/A", "-", ".", "?", "#REF!", "=1+1", "'5", "--5", "5-"),
    *("inf", "-inf", "Infinity", "1e308", "-1e308", "1e400", "1e-400", "3.5e38", "1e39", "1e-46"),
    *("0", "-0", "0.0", "007", "1.0", "5.", ".5", "+5", "1E5", "1e+05", "1d5", "1e", "0x10", "1_000", "1 000", "1,5"),
    *("<0.5", "< 1e3", "<LOD", "<1e999", "<-3", "<", "< ", "<0", ">5", "<0.5 ", "<.5", "<1.2.3", "<nan", "≤5"),
    *("2020-01-01", "01/02/2020", "12:30", "2020-01-01T00:00:00Z", "True", "FALSE", "yes", "t"),
    *(
        "é",
        "e\u0301",
        "\u202eabc",
        "💉",
        "٣",
        "½",
        "\u00a05",
        "5\u00a0",
        "\ufeff",
        "\u2028",
        "\x0b",
        "\x1b[31m",
        "\x7f",
    ),
    *("a\nb", "a\rb", 'a"b', '"', "a,b", "a\tb", "a\0b", "x" * 5000, "9" * 400, "1" + "0" * 30, "0." + "3" * 60),
    *("18446744073709551616", "9007199254740993", "-9223372036854775809", "16777217", "0.1", "1e-5", "123456.789"),
)
MISSING = {
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"),
    *("NULL", "NaN", "None", "n/a", "nan", "null"),
}
"""What pandas, and so omicsfm, reads as an empty cell."""
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
BELOW = re.compile(r"<\s*(\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)", re.ASCII)
WHOLE = re.compile(r"-?\d+\.0+", re.ASCII)


def text_of(cell: str) -> str | None:
    """A cell of a clinical table or a key; None where empty."""
    text = cell.strip()
    if cell in MISSING or not text:
        return None
    return text.partition(".")[0] if WHOLE.fullmatch(text) else text


def number_of(cell: str, below_limit: tuple[str, ...] = ()) -> tuple[float | None, bool]:
    """Value and below-limit flag of a cell of a matrix: NaN not measured, None a limit that is not stated.

    Raises:
        ValueError: The cell is no finite number.
    """
    text = cell.strip()
    if text in below_limit:
        return None, True
    if cell in MISSING or not text:
        return math.nan, False
    if stated := BELOW.fullmatch(text):
        return _finite(stated[1]), True
    if not NUMBER.fullmatch(text):
        raise ValueError(cell)
    return _finite(text), False


def _finite(text: str) -> float:
    value = float(text)
    if abs(value) > 3.4028235e38:
        raise ValueError(text)
    return value
