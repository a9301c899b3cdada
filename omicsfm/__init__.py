"""omicsfm: multi-omics foundation models for human cohorts, from tables to a report.

Three names are public here and loaded on first use, so that ``import omicsfm`` stays cheap:
``load_checkpoint``, ``OmicsStore`` and ``OmicsModel``.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "load_checkpoint": "omicsfm.checkpoint",
    "OmicsStore": "omicsfm.data.store",
    "OmicsModel": "omicsfm.model.omics_model",
}
__all__ = ["OmicsModel", "OmicsStore", "load_checkpoint"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'omicsfm' has no attribute {name!r}")
