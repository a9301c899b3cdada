"""One of several classes."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from omicsfm import distributed
from omicsfm.contracts import ClassLabel
from omicsfm.heads.linear import LinearHead


class ClassificationHead(LinearHead):
    """Multinomial logistic regression on the evidence; two classes are the case with two logits.

    Imbalance: the logarithm of the training frequencies is added to the logits (logit adjustment, Menon et al.
    2021, arXiv:2007.07314). The network learns what lifts a class above its frequency, probabilities stay
    calibrated, and the untrained head predicts the base rates.
    """

    def __init__(self, *, evidence_dim: int, num_classes: int, frequencies: Sequence[float] | None = None) -> None:
        """``frequencies`` are the training shares of the classes; equal where not given."""
        super().__init__(evidence_dim=evidence_dim, outputs=num_classes)
        shares = torch.tensor(list(frequencies or [1.0] * num_classes), dtype=torch.float32)
        self.register_buffer("log_prior", torch.log(shares / shares.sum()))

    def forward(self, evidence: Float[Tensor, "visits evidence"]) -> Float[Tensor, "visits classes"]:
        """Logits, whose softmax is the calibrated probability."""
        return super().forward(evidence) + self.log_prior

    def loss(self, prediction: Float[Tensor, "visits classes"], outcome: ClassLabel) -> Float[Tensor, ""]:
        """Mean log loss in nats over the visits whose class is known, over all ranks."""
        count = distributed.all_sum(outcome.observed.sum()).clamp(min=1)
        each = F.cross_entropy(prediction.float(), outcome.class_id, reduction="none")
        return torch.where(outcome.observed, each, 0.0).sum() * distributed.world_size() / count

    def readout(self, prediction: Float[Tensor, "visits classes"]) -> Float[Tensor, "visits classes"]:
        """Probability of each class."""
        return prediction.float().softmax(dim=1)

    def fill(
        self, coefficients: Float[np.ndarray, "evidence outputs"], intercept: Float[np.ndarray, " outputs"]
    ) -> None:
        """Also takes the one-logit form of two classes."""
        if coefficients.shape[1] == 1:
            coefficients = np.concatenate([np.zeros_like(coefficients), coefficients], axis=1)
            intercept = np.concatenate([np.zeros(1), intercept])
        super().fill(coefficients, intercept - self.log_prior.double().numpy())
