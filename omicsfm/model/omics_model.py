"""OmicsModel: measurements of a visit -> its embedding; the embedding and a question -> a value; a head -> an outcome.

Knows no Lightning, no Hydra and no file format. Built from a plain mapping by ``build``.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from omicsfm.contracts import Batch, Encoded, Tokens
from omicsfm.errors import closest


class Modality(nn.Module):
    """The parts of a model that belong to one modality."""

    def __init__(self, *, tokenizer: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.decoder = decoder


class OmicsModel(nn.Module):
    """Tokenizers, an encoder, a pooling, decoders and heads, given already built."""

    def __init__(
        self,
        *,
        encoder: nn.Module,
        pooling: nn.Module,
        modalities: Mapping[str, Modality],
        heads: Mapping[str, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.modalities = nn.ModuleDict(modalities)
        self.heads = nn.ModuleDict(heads or {})
        self.summary = nn.Linear(pooling.embedding_dim, encoder.dim)

    @property
    def embedding_dim(self) -> int:
        """Length of a visit's embedding."""
        return int(self.pooling.embedding_dim)

    def tokenize(self, batch: Batch) -> Tokens:
        """The tokens of every modality joined, masked to what the encoder may see."""
        parts = [(self.modalities[name].tokenizer(m), m.visible) for name, m in self._measured(batch)]
        return Tokens(
            embedding=torch.cat([embedding for embedding, _ in parts], dim=1),
            mask=torch.cat([mask for _, mask in parts], dim=1),
        )

    def encode(self, batch: Batch) -> Encoded:
        """What the encoder knows of each visit from its visible features."""
        latents = self.encoder(self.tokenize(batch))
        return Encoded(latents=latents, visit=self.pooling(latents))

    def decode(self, encoded: Encoded, modality: str, feature_ids: Int[Tensor, "visits features"]) -> Any:
        """The distribution of the value of each asked feature, in model scale."""
        if modality not in self.modalities:
            raise KeyError(f"modality '{modality}' is not in the model; {closest(modality, self.modalities)}")
        parts = self.modalities[modality]
        return parts.decoder(
            self.summary(encoded.visit),
            parts.tokenizer.loading.weight,
            parts.tokenizer.identity.weight,
            feature_ids,
        )

    def predict(self, encoded: Encoded, head: str) -> Float[Tensor, "visits ..."]:
        """A head's prediction for each visit."""
        return self.heads[head](encoded.visit)

    def _measured(self, batch: Batch) -> list[tuple[str, Any]]:
        return [(name, batch.measurements[name]) for name in self.modalities]
