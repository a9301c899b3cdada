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
    def evidence(self) -> dict[str, slice]:
        """Where the parts of what a head reads stand: the embedding, then each modality's values."""
        places, start = {"embedding": slice(0, int(self.pooling.embedding_dim))}, int(self.pooling.embedding_dim)
        for name, parts in self.modalities.items():
            places[name] = slice(start, start + parts.tokenizer.num_features)
            start = places[name].stop
        return places

    @property
    def evidence_dim(self) -> int:
        """Length of what a head reads."""
        return max(place.stop for place in self.evidence.values())

    def tokenize(self, batch: Batch) -> Tokens:
        """The tokens of every modality joined, masked to what the encoder may see."""
        pairs = [(parts.tokenizer, batch.measurements[name]) for name, parts in self.modalities.items()]
        return Tokens(
            identity=torch.cat([tokenizer.identify(m.feature_ids) for tokenizer, m in pairs], dim=1),
            value=torch.cat([tokenizer(m) for tokenizer, m in pairs], dim=1),
            mask=torch.cat([m.visible for _, m in pairs], dim=1),
        )

    def encode(self, batch: Batch) -> Encoded:
        """What the encoder knows of each visit from its visible features."""
        latents = self.encoder(self.tokenize(batch))
        return Encoded(latents=latents, visit=self.pooling(latents), profile=self.profile(batch))

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
        return self.heads[head](encoded.evidence)

    def profile(self, batch: Batch) -> Float[Tensor, "visits all_features"]:
        """Visible values of every modality in the order of its features, 0 where there is none."""
        panels = []
        for name, parts in self.modalities.items():
            m = batch.measurements[name]
            panel = m.values.new_zeros(len(batch), parts.tokenizer.num_features)
            panels.append(panel.scatter_add(1, m.feature_ids, m.values * m.visible))  # padding adds 0 to feature 0
        return torch.cat(panels, dim=1)
