"""Time to an event under proportional hazards, for times in whole days or coarser, which many people share."""

from jaxtyping import Float
from torch import Tensor

from omicsfm.contracts import Survival
from omicsfm.heads.cox import CoxHead
from omicsfm.heads.partial_likelihood import efron, gathered


class EfronCoxHead(CoxHead):
    """A Cox head whose tied events leave the risk set one after the other (Efron, JASA 1977)."""

    def loss(self, prediction: Float[Tensor, " visits"], outcome: Survival) -> Float[Tensor, ""]:
        """Negative log partial likelihood per event; the risk sets span all ranks. Zero without events."""
        return efron(*gathered(outcome, prediction))
