"""Low-rank adaptation: fine-tune a small correction to each weight instead of the weight (Hu et al. 2021)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """weight -> weight + B A * (alpha / rank); B starts at zero, so adaptation starts at the pretrained model."""

    def __init__(self, *, rows: int, columns: int, rank: int, alpha: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(rank, columns) / columns**0.5)
        self.b = nn.Parameter(torch.zeros(rows, rank))
        self.scale = alpha / rank

    def forward(self, weight: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
        return weight + self.scale * self.b @ self.a


def add_low_rank(module: nn.Module, *, rank: int, alpha: float) -> None:
    """Freeze ``module`` and give each of its linear layers a trainable correction of ``rank``."""
    module.requires_grad_(False)
    for layer in [m for m in module.modules() if isinstance(m, nn.Linear)]:
        rows, columns = layer.weight.shape
        correction = LowRank(rows=rows, columns=columns, rank=min(rank, rows, columns), alpha=alpha)
        parametrize.register_parametrization(layer, "weight", correction)


def merge_low_rank(module: nn.Module) -> None:
    """Add the corrections into the weights: what is exported is the plain model."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear) and parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
