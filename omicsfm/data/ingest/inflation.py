"""How much more a file may declare than it holds: a few bytes can ask for all of a machine's memory."""

from omicsfm.errors import InputError

MAX_INFLATION = 2000
"""Declared bytes per stored byte beyond which an array is refused (gzip reaches about 1000)."""
ALWAYS_FINE = 64 * 1024**2  # bytes; below this an array of one repeated value does no harm


def refuse_inflation(declared: int, stored: int, place: str) -> None:
    """Refuse what declares far more bytes than are stored; ``place`` begins the message.

    Raises:
        InputError: ``declared`` is more than 64 MB and more than MAX_INFLATION times ``stored``.
    """
    if declared > ALWAYS_FINE and declared > MAX_INFLATION * stored:
        raise InputError(
            f"{place} declares {declared / 1e9:,.1f} GB but the file holds {stored / 1e9:,.3f} GB of it. "
            "It is damaged or made to exhaust memory; write the file again."
        )
