"""Small models, batches and cohorts that the rooms of the model, the objectives, the heads and training share."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from torch import nn

from omicsfm.build import build
from omicsfm.contracts import Batch, Measurement, OutcomeSpec
from omicsfm.data.store import Matrix, OmicsStore, write_store
from omicsfm.features import FeatureSpace

SIZES = {"transcriptome": 9, "proteome": 6, "metabolome": 4}

MakeSpec = Callable[..., dict[str, Any]]
MakeModel = Callable[..., Any]
MakeBatch = Callable[..., Batch]


def _measurement(visits: int, features: int, share: float, generator: torch.Generator) -> Measurement:
    """Features in an order of each visit's own, about ``share`` of them observed, the rest padding."""
    order = torch.rand(visits, features, generator=generator).argsort(dim=1)
    observed = torch.rand(visits, features, generator=generator) < share
    values = torch.randn(visits, features, generator=generator)
    below = (torch.rand(visits, features, generator=generator) < 0.2) & observed
    return Measurement(
        feature_ids=torch.where(observed, order, 0),
        values=torch.where(observed, values, 0.0),
        observed=observed,
        below_limit=below,
        queried=torch.zeros_like(observed),
    )


def _cohort(
    folder: Path,
    name: str,
    proteins: Sequence[str] = ("P00001", "P00002", "P00003"),
    *,
    visits: int = 30,
    namespace: str = "uniprot",
    scale: str = "log2",
    people: str = "",
    modality: str = "proteome",
    level: float = 20.0,
    platform: str = "",
    layout: str = "dense",
) -> OmicsStore:
    """Two visits a participant P0, P1, ...; the last visit has no proteome and every cell after the first row may be
    missing or below its limit.
    """
    generator = np.random.default_rng(sum(map(ord, name)))
    values = generator.normal(level, 2, (visits - 1, len(proteins))).astype(np.float32)
    values = np.exp2(values) if scale == "raw" else values
    values[1:][generator.random(values[1:].shape) < 0.2] = np.nan
    below = (generator.random(values.shape) < 0.1) & ~np.isnan(values)
    values = sparse.csr_matrix(values) if layout == "csr" else values
    space = FeatureSpace(modality, tuple(proteins), namespace, scale, platform)
    return write_store(
        folder / name.replace(" ", "_"),
        name=name,
        people=people,
        visits=pd.DataFrame(
            {
                "participant_id": [f"P{n // 2}" for n in range(visits)],
                "visit": [str(n % 2) for n in range(visits)],
                "time_days": [100.0 * (n % 2) + len(name) for n in range(visits)],
            }
        ),
        outcomes=pd.DataFrame({"ill": ["yes" if n // 2 % 2 else "no" for n in range(visits)]}),
        outcome_specs={"ill": OutcomeSpec("ill", "class", "visit", ("no", "yes"))},
        matrices={modality: Matrix(space, np.arange(visits - 1), values, below)},
    )


@pytest.fixture
def cohort() -> Callable[..., OmicsStore]:
    """Makes a small store of a name, with a proteome of some features."""
    return _cohort


@pytest.fixture
def make_batch() -> MakeBatch:
    """Makes a batch whose first visit lacks the last modality and whose last visit has nothing measured."""

    def make(
        *,
        visits: int = 6,
        sizes: Mapping[str, int] = SIZES,
        share: float = 0.7,
        seed: int = 0,
        outcomes: Mapping[str, Any] | None = None,
    ) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        measurements = {name: _measurement(visits, size, share, generator) for name, size in sizes.items()}
        for number, (name, measured) in enumerate(measurements.items()):
            kept = torch.ones(visits, 1, dtype=torch.bool)
            kept[-1:] = False
            if number == len(sizes) - 1:
                kept[:1] = False
            fields = {field: torch.where(kept, value, 0).to(value.dtype) for field, value in vars(measured).items()}
            measurements[name] = Measurement(**fields)
        return Batch(
            participant=torch.arange(visits),
            time_days=torch.zeros(visits),
            row=torch.arange(100, 100 + visits),
            measurements=measurements,
            outcomes=outcomes or {},
            seed=seed,
        )

    return make


@pytest.fixture
def make_spec() -> MakeSpec:
    """Makes the plain mapping that ``build`` turns into a small model."""

    def make(
        *,
        encoder: str = "PerceiverEncoder",
        pooling: str = "ConcatenateLatents",
        sizes: Mapping[str, int] = SIZES,
        heads: Mapping[str, Any] | None = None,
        dim: int = 8,
        num_latents: int = 3,
        depth: int = 2,
        relative: bool = False,
    ) -> dict[str, Any]:
        shape = {"dim": dim, "num_latents": num_latents}
        tokenizer = {"_target_": "omicsfm.model.tokenizers.ContinuousTokenizer", "num_frequencies": 2, "dim": dim}
        modalities = {
            name: {
                "_target_": "omicsfm.model.omics_model.Modality",
                "tokenizer": {**tokenizer, "num_features": size},
                "decoder": {"_target_": "omicsfm.model.decoders.GaussianDecoder", "dim": dim},
            }
            for name, size in sizes.items()
        }
        return {
            "_target_": "omicsfm.model.omics_model.OmicsModel",
            "encoder": {"_target_": f"omicsfm.model.encoders.{encoder}", "num_heads": 2, "depth": depth, **shape},
            "pooling": {"_target_": f"omicsfm.model.pooling.{pooling}", **shape},
            "modalities": modalities,
            "heads": dict(heads or {}),
            "relative": {"_target_": "omicsfm.model.relative.RelativeProfile", "sizes": dict(sizes)}
            if relative
            else None,
        }

    return make


@pytest.fixture
def make_model(make_spec: MakeSpec) -> MakeModel:
    """Makes a small model; its weights are random everywhere, for layers that start at zero would hide a leak."""

    def make(*, scramble: bool = True, **shape: Any) -> Any:
        torch.manual_seed(0)
        model: nn.Module = build(make_spec(**shape))
        if scramble:
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.normal_(0.0, 0.5)
        return model

    return make
