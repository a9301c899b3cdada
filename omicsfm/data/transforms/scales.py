"""The scales a cohort may declare, and the way from each to the scale of the model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from omicsfm.build import build
from omicsfm.data.transforms.base import Transform
from omicsfm.data.transforms.chain import Chain
from omicsfm.data.transforms.depth import Log1pCPM
from omicsfm.data.transforms.logarithms import Log1p, Log2AboveFloor, Rescale
from omicsfm.data.transforms.per_scale import PerScale
from omicsfm.data.transforms.robust_z import RobustZ
from omicsfm.errors import InputError
from omicsfm.features import COVARIATE, SCALES_JOINED_BY

LOG2_OF_10 = 3.321928094887362
LOG2_OF_E = 1.4426950408889634

_TO_LOG: dict[str, Callable[[], list[Transform]]] = {
    "counts": lambda: [Log1pCPM()],
    "tpm": lambda: [Log1p()],
    "raw": lambda: [Log2AboveFloor()],
    "concentration": lambda: [Log2AboveFloor()],
    "relative_abundance": lambda: [Log2AboveFloor()],
    "log2": list,
    "npx": list,  # Olink's normalised protein expression is a log2, relative to plate controls
    "log10": lambda: [Rescale(LOG2_OF_10)],
    "ln": lambda: [Rescale(LOG2_OF_E)],
    "identity": list,
    COVARIATE: list,  # years, scores, yes or no: the same unit in every cohort
}
SCALES = tuple(_TO_LOG)
"""The scales a COHORT.yaml may declare."""


def to_model_scale(scale: str) -> Chain:
    """The steps from a declared scale to a logarithmic one, without standardising; not yet fitted.

    Where cohorts declare several, joined by ``|``, each row takes those of its own.

    Raises:
        InputError: The scale is not one of ``SCALES``.
    """
    if SCALES_JOINED_BY in scale:
        own = {part: to_model_scale(part) for part in scale.split(SCALES_JOINED_BY)}
        return Chain(steps=[PerScale(chains=own)])
    if scale not in _TO_LOG:
        raise InputError(f"scale '{scale}' is not known; known: {', '.join(SCALES)}.")
    return Chain(steps=_TO_LOG[scale]())


def default_transform(scale: str, harmonise: Sequence[Mapping[str, Any]] | None = None) -> Chain:
    """``to_model_scale``, then the steps of a harmonisation as configs/harmonise/ describes them; not yet fitted.

    Without one: a robust z per feature and platform. Covariates are brought to unit spread and not harmonised.
    """
    if scale == COVARIATE:
        return Chain(steps=[RobustZ(column=None)])
    steps = [RobustZ()] if harmonise is None else [build(step) for step in harmonise]
    return Chain(steps=[*to_model_scale(scale).steps, *steps])
