"""What is known of features before a model has seen them: one file a source. Everything fitted, on training visits."""

from omicsfm.training.priors.base import Known, Prior, set_priors

__all__ = ["Known", "Prior", "set_priors"]
