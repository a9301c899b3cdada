"""Assay values -> model scale. Fitted on training participants only, stored in the checkpoint; one method a file."""

from omicsfm.data.transforms.base import NO_LABELS, Labels, Transform, Values
from omicsfm.data.transforms.chain import Chain
from omicsfm.data.transforms.scales import default_transform, to_model_scale

__all__ = ["NO_LABELS", "Chain", "Labels", "Transform", "Values", "default_transform", "to_model_scale"]
