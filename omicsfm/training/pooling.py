"""Linear models that the strata of a cohort share: what thirteen cancers have in common, each too small to find it.

A stratum keeps its own intercept, or for survival its own baseline hazard, so that only what goes along with the
outcome *within* a stratum is learnt. Such models are members of a stack beside the stratum's own: where the strata
have nothing in common they get little weight.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from omicsfm.contracts import OutcomeSpec
from omicsfm.data.collate import BatchReader, read_outcome
from omicsfm.inference import evidence
from omicsfm.training.members import Member, Parts, fit_members, target_of


class Pool:
    """The training visits of all strata, and the models that were fitted to them so far."""

    def __init__(
        self,
        reader: BatchReader,
        outcome: OutcomeSpec,
        *,
        rows: Int[np.ndarray, " rows"],
        strata: Shaped[np.ndarray, " rows"],
        groups: Shaped[np.ndarray, " rows"],
        seed: int,
    ) -> None:
        """``rows`` are store rows of training visits with a value of the outcome."""
        self._reader, self._outcome, self._seed = reader, outcome, seed
        self._rows = pd.Index(rows)
        self._strata, self._groups = pd.factorize(strata)[0], groups
        self._fitted: dict[Parts, Member] = {}

    def members(self, model: Any, parts: Sequence[Parts], *, of: Int[np.ndarray, " own"]) -> list[Member]:
        """The shared models as they hold in the stratum of the visits ``of``, with held-out predictors of these alone.

        The encoder of ``model`` is the same at every call: a model is fitted once for all strata.
        """
        missing = [own for own in parts if own not in self._fitted]
        if missing:
            rows = self._rows.to_numpy()
            target = target_of(read_outcome(self._reader.store, self._outcome, rows), self._outcome)
            fitted = fit_members(
                model,
                evidence(model, self._reader, rows),
                target,
                groups=self._groups,
                seed=self._seed,
                members=missing,
                strata=self._strata,
            )
            self._fitted |= dict(zip(missing, fitted, strict=True))
        place = self._rows.get_indexer(of)
        stratum = int(self._strata[place[0]])
        shared = []
        for own in parts:
            fit = self._fitted[own].fit.within(stratum)
            fit = replace(fit, held_out=fit.held_out[place])
            shared.append(replace(self._fitted[own], name=f"shared {self._fitted[own].name}", fit=fit))
        return shared
