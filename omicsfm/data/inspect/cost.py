"""Memory and time that training on a store would take."""

from omicsfm.data.inspect.findings import Findings
from omicsfm.data.store import OmicsStore

TOKENS_PER_SECOND = 170_000
"""Measured values a second in a pretraining step (forward, backward, update) of model=small on one core of a 2020s
server CPU, float32, batches of 32 visits."""
EPOCHS, MAX_FEATURES = 20, 256
"""Most epochs of task=pretrain, and features of a visit and modality it draws, as configs/ have them."""


def describe_cost(store: OmicsStore, tokens: int, found: Findings) -> None:
    """Forecast memory, and time from the tokens of an epoch."""
    dense = {name: 4 * len(matrix.rows) * len(matrix.features) for name, matrix in store.modalities.items()}
    seconds = tokens / TOKENS_PER_SECOND
    found.lines += [
        "",
        f"memory: {_size(sum(dense.values()))} as dense float32 ("
        + ", ".join(f"{name} {_size(size)}" for name, size in dense.items())
        + ")",
        f"time: {tokens:,} tokens an epoch, {_duration(seconds)}; pretraining at most {EPOCHS} epochs, "
        f"{_duration(EPOCHS * seconds)}",
        f"  (assuming one CPU core, model=small, {TOKENS_PER_SECOND:,} tokens a second; a token is a measured "
        f"value, at most "
        f"{MAX_FEATURES} of a visit and modality)",
        "",
    ]


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"about {seconds / length:.1f} {unit}"
    return f"about {seconds:.2g} seconds"
