"""OmicsModel: measurements of a visit -> its embedding; the embedding and a question -> a value; a head -> an outcome.

Knows no Lightning, no Hydra and no file format. Built from a plain mapping by ``build``.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from omicsfm.contracts import Batch, Encoded, Measurement, Tokens
from omicsfm.errors import closest
from omicsfm.model.packing import visible_part

RELATIVE, KERNEL = "relative", "kernel"
NETWORKS = ("embedding", "trajectory")
"""Parts of the evidence that a trained network made."""


class Modality(nn.Module):
    """The parts of a model that belong to one modality; a ``forecaster`` where it reads histories."""

    def __init__(self, *, tokenizer: nn.Module, decoder: nn.Module, forecaster: nn.Module | None = None) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.decoder = decoder
        self.forecaster = forecaster


class OmicsModel(nn.Module):
    """Tokenizers, an encoder, a pooling, decoders and heads, given already built; a ``trajectory`` encoder joins the
    visits of a participant where histories are read, ``relative`` shows encoder and heads values relative to the
    visit's own level, a ``kernel`` shows heads random features of these (of the values, where there is no
    ``relative``), and an ``imputer`` reads hidden values from visible ones too.
    """

    def __init__(
        self,
        *,
        encoder: nn.Module,
        pooling: nn.Module,
        modalities: Mapping[str, Modality],
        heads: Mapping[str, nn.Module] | None = None,
        trajectory: nn.Module | None = None,
        relative: nn.Module | None = None,
        kernel: nn.Module | None = None,
        imputer: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.modalities = nn.ModuleDict(modalities)
        self.heads = nn.ModuleDict(heads or {})
        self.summary = nn.Linear(pooling.embedding_dim, encoder.dim)
        self.trajectory = trajectory
        self.relative = relative
        self.kernel = kernel
        self.imputer = imputer

    @property
    def evidence(self) -> dict[str, slice]:
        """Where the parts of what a head reads stand: the embedding, state, each modality's values, all relative
        values, and their kernel.
        """
        sizes = {"embedding": int(self.pooling.embedding_dim)}
        if self.trajectory is not None:
            sizes["trajectory"] = int(self.trajectory.dim)
        sizes |= {name: parts.tokenizer.num_features for name, parts in self.modalities.items()}
        if self.relative is not None:
            sizes[RELATIVE] = sum(parts.tokenizer.num_features for parts in self.modalities.values())
        if self.kernel is not None:
            sizes[KERNEL] = int(self.kernel.columns)
        stops = list(accumulate(sizes.values()))
        return {name: slice(stop - sizes[name], stop) for name, stop in zip(sizes, stops, strict=True)}

    @property
    def evidence_dim(self) -> int:
        """Length of what a head reads."""
        return max(place.stop for place in self.evidence.values())

    def tokenize(self, batch: Batch) -> Tokens:
        """What the encoder may see of every modality, joined."""
        tokenizers = [parts.tokenizer for parts in self.modalities.values()]
        seen, counts = zip(*(visible_part(m) for m in self._measured(batch).values()), strict=True)
        first = accumulate((tokenizer.num_features for tokenizer in tokenizers), initial=0)
        return Tokens(
            feature=torch.cat([m.feature_ids[0] + start for m, start in zip(seen, first, strict=False)]),
            identities=torch.cat([tokenizer.joined_identities() for tokenizer in tokenizers]),
            value=torch.cat([tokenizer(m)[0] for tokenizer, m in zip(tokenizers, seen, strict=True)]),
            counts=torch.stack(counts),
        )

    def encode(self, batch: Batch) -> Encoded:
        """What the encoder knows of each visit from its visible features, and of the participant from those of the
        batch's visits that are not later.
        """
        latents = self.encoder(self.tokenize(batch))
        visit, state = self.pooling(latents), None
        if self.trajectory is not None:
            state = self.trajectory(visit, batch.participant, batch.time_days, batch.age_years)
        profile, visible = self.profile(batch)
        lacking = None if self.imputer is None else self._lacking(batch)
        return Encoded(
            latents=latents,
            visit=visit,
            summary=self.summary(visit),
            profile=profile,
            visible=visible,
            trajectory=state,
            lacking=lacking,
        )

    def decode(self, encoded: Encoded, modality: str, feature_ids: Int[Tensor, "visits features"]) -> Any:
        """The distribution of the value of each asked feature, in model scale."""
        if modality not in self.modalities:
            raise KeyError(f"modality '{modality}' is not in the model; {closest(modality, self.modalities)}")
        parts = self.modalities[modality]
        said = parts.decoder(
            encoded.summary,
            parts.tokenizer.loading.weight,
            parts.tokenizer.identities(),
            feature_ids,
        )
        if self.imputer is None or not self.imputer.answers(modality):
            return said
        assert encoded.lacking is not None
        return self.imputer(said, modality, self.read(encoded), encoded.lacking[modality], feature_ids)

    def forecast(
        self,
        state: Float[Tensor, "visits state"],
        modality: str,
        feature_ids: Int[Tensor, "visits features"],
        *,
        days_ahead: Float[Tensor, " visits"],
        last: Float[Tensor, "visits features"],
    ) -> Any:
        """The distribution of each asked feature's value so many days after the visit of the state, in model scale;
        ``last`` is its last observed value, NaN where there is none.
        """
        assert self.trajectory is not None, "the model reads no histories"
        change = self.trajectory.ahead(state, days_ahead)
        return self.modalities[modality].forecaster(change, days_ahead, last, feature_ids)

    def read(self, encoded: Encoded) -> Float[Tensor, "visits evidence"]:
        """What a head reads, its parts at the places of ``evidence``."""
        parts, profile = [encoded.visit, encoded.trajectory, encoded.profile], encoded.profile
        if self.relative is not None:
            profile = self.relative(profile, encoded.visible)
            parts.append(profile)
        if self.kernel is not None:
            parts.append(self.kernel(profile))
        return torch.cat([part.to(encoded.visit.dtype) for part in parts if part is not None], dim=1)

    def predict(self, encoded: Encoded, head: str) -> Float[Tensor, "visits ..."]:
        """A head's prediction for each visit."""
        return self.heads[head](self.read(encoded))

    def profile(self, batch: Batch) -> tuple[Float[Tensor, "visits all_features"], Bool[Tensor, "visits all_features"]]:
        """Visible values of every modality in the order of its features, 0 where there is none; where there is one."""
        panels, shown = [], []
        for name, parts in self.modalities.items():
            m = batch.measurements[name]
            nothing = m.values.new_zeros(len(batch), parts.tokenizer.num_features)
            seen = m.visible.to(m.values.dtype)
            panels.append(nothing.scatter_add(1, m.feature_ids, m.values * seen))  # padding adds 0 to feature 0
            shown.append(nothing.scatter_add(1, m.feature_ids, seen) > 0)
        return torch.cat(panels, dim=1), torch.cat(shown, dim=1)

    def _measured(self, batch: Batch) -> dict[str, Measurement]:
        """The measurements as the encoder reads them: relative where heads read such values too."""
        read = {name: batch.measurements[name] for name in self.modalities}
        if self.relative is None:
            return read
        sizes = [parts.tokenizer.num_features for parts in self.modalities.values()]
        panels = self.relative(*self.profile(batch)).split(sizes, dim=1)
        return {
            name: replace(m, values=panel.gather(1, m.feature_ids))
            for (name, m), panel in zip(read.items(), panels, strict=True)
        }

    def _lacking(self, batch: Batch) -> dict[str, Bool[Tensor, " visits"]]:
        """Of which modalities each visit shows nothing."""
        return {name: ~batch.measurements[name].visible.any(dim=1) for name in self.modalities}
