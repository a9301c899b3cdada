"""The types that pass between rooms.

Axis names are the same everywhere: ``visits``, ``features`` (of one modality), ``tokens`` (all modalities
joined), ``latents``, ``dim``, ``embedding``, ``classes``, ``times``. A visit is one row of a cohort: one
participant at one point in time. All members of a batch share the first axis, ``visits``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from omicsfm.outcome_spec import FROM_VISIT as FROM_VISIT
from omicsfm.outcome_spec import TIMED as TIMED
from omicsfm.outcome_spec import OutcomeKind as OutcomeKind
from omicsfm.outcome_spec import OutcomeSpec as OutcomeSpec


@dataclass(frozen=True)
class Measurement:
    """One modality of a batch. Padding, absent assays and unmeasured features are all ``observed == False``."""

    feature_ids: Int[Tensor, "visits features"]
    """Position of each feature in the modality's FeatureSpace; 0 in padding."""
    values: Float[Tensor, "visits features"]
    """Transformed values (model scale); arbitrary but finite where not observed; the limit where below it."""
    observed: Bool[Tensor, "visits features"]
    """Measured, or known to lie below the detection limit."""
    below_limit: Bool[Tensor, "visits features"]
    """The value is a detection limit: the truth lies below it."""
    queried: Bool[Tensor, "visits features"]
    """Withheld from the encoder, to be predicted. A queried value is zeroed."""

    @property
    def visible(self) -> Bool[Tensor, "visits features"]:
        """What the encoder may see."""
        return self.observed & ~self.queried


@dataclass(frozen=True)
class ClassLabel:
    """One of several classes."""

    class_id: Int[Tensor, " visits"]
    observed: Bool[Tensor, " visits"]


@dataclass(frozen=True)
class Quantity:
    """A real number in the outcome's own unit."""

    value: Float[Tensor, " visits"]
    observed: Bool[Tensor, " visits"]


@dataclass(frozen=True)
class Survival:
    """Time from zero to the event, or to the end of follow-up where no event was seen (censored)."""

    time_days: Float[Tensor, " visits"]
    event: Bool[Tensor, " visits"]
    observed: Bool[Tensor, " visits"]
    entry_days: Float[Tensor, " visits"]
    """From when on it would have been seen (delayed entry); 0 where from time zero on."""


@dataclass(frozen=True)
class CompetingRisks:
    """Time from zero to the first of several events, and which it was; 0 where none was seen (censored)."""

    time_days: Float[Tensor, " visits"]
    cause: Int[Tensor, " visits"]
    """1 for the first of the outcome's ``classes``, 2 for the second; 0 for none."""
    observed: Bool[Tensor, " visits"]
    entry_days: Float[Tensor, " visits"]

    def of_cause(self, number: int) -> Survival:
        """The event of one cause (1 for the first), the others as censoring: what its cause-specific hazard sees."""
        return Survival(self.time_days, self.cause == number, self.observed, self.entry_days)


Outcome = ClassLabel | Quantity | Survival | CompetingRisks


def move(record, device, non_blocking: bool = False):  # type: ignore[no-untyped-def]
    """The same record with every tensor on ``device``; for Measurement and the outcome types."""
    moved = {name: value.to(device, non_blocking=non_blocking) for name, value in vars(record).items()}
    return type(record)(**moved)


class Batch:
    """Visits with their measurements and outcomes.

    A plain class on purpose. Lightning's precision plugins walk dataclasses, mappings and tuples and cast
    every float they find: under DeepSpeed a survival time of 365 days became 364. They leave this alone.
    """

    __slots__ = ("age_years", "measurements", "outcomes", "participant", "row", "seed", "time_days")

    def __init__(
        self,
        *,
        participant: Int[Tensor, " visits"],
        time_days: Float[Tensor, " visits"],
        row: Int[Tensor, " visits"],
        measurements: Mapping[str, Measurement],
        outcomes: Mapping[str, Outcome],
        seed: int = 0,
        age_years: Float[Tensor, " visits"] | None = None,
    ) -> None:
        """``row`` is the visit's row in the store, ``participant`` its participant's number there; ``age_years`` is NaN
        where not known.

        ``seed`` seeds every random choice made about this batch, such as what an objective withholds.
        ``measurements`` holds every configured modality, always: an absent one has nothing observed, so
        that the graph of a training step is the same on every rank.
        """
        self.participant = participant
        self.time_days = time_days
        self.age_years = torch.full_like(time_days, torch.nan) if age_years is None else age_years
        self.row = row
        self.measurements = dict(measurements)
        self.outcomes = dict(outcomes)
        self.seed = seed

    def __len__(self) -> int:
        return len(self.participant)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The same batch on another device; dtypes stay as they are."""
        return self._with(
            participant=self.participant.to(device, non_blocking=non_blocking),
            time_days=self.time_days.to(device, non_blocking=non_blocking),
            age_years=self.age_years.to(device, non_blocking=non_blocking),
            row=self.row.to(device, non_blocking=non_blocking),
            measurements={name: move(m, device, non_blocking) for name, m in self.measurements.items()},
            outcomes={name: move(o, device, non_blocking) for name, o in self.outcomes.items()},
        )

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory, for asynchronous copies to a GPU."""

        def pin(record):  # type: ignore[no-untyped-def]
            return type(record)(**{name: value.pin_memory() for name, value in vars(record).items()})

        return self._with(
            participant=self.participant.pin_memory(),
            time_days=self.time_days.pin_memory(),
            age_years=self.age_years.pin_memory(),
            row=self.row.pin_memory(),
            measurements={name: pin(m) for name, m in self.measurements.items()},
            outcomes={name: pin(o) for name, o in self.outcomes.items()},
        )

    def query(self, modality: str, where: Bool[Tensor, "visits features"]) -> "Batch":
        """A batch in which the values at ``where`` are withheld and asked for.

        The values are overwritten with zero, so that no tokenizer can leak them. The truth stays in the
        batch this was called on.
        """
        asked = self.measurements[modality]
        where = where & asked.observed  # an unmeasured feature has no truth to score against
        withheld = replace(
            asked,
            values=asked.values.masked_fill(where, 0.0),
            below_limit=asked.below_limit & ~where,
            queried=asked.queried | where,
        )
        return self._with(measurements={**self.measurements, modality: withheld})

    def _with(self, **changes: object) -> "Batch":
        return type(self)(**{name: changes.get(name, getattr(self, name)) for name in self.__slots__})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Tokens:
    """What the encoder may see of all visits: who each feature is, and what its value says. There is no padding: tokens
    stand by modality, then by visit.
    """

    feature: Int[Tensor, " tokens"]
    """Row of ``identities``."""
    identities: Float[Tensor, "all_features dim"]
    """Who every feature of the model is, whatever its value: the same for all visits."""
    value: Float[Tensor, "tokens dim"]
    counts: Int[Tensor, "modalities visits"]
    """How many of them each visit has of each modality."""

    @property
    def visit(self) -> Int[Tensor, " tokens"]:
        """Place in the batch of the visit that each is of."""
        visits = torch.arange(self.counts.shape[1], device=self.counts.device).repeat(len(self.counts))
        return visits.repeat_interleave(self.counts.flatten(), output_size=len(self.feature))


@dataclass(frozen=True)
class Encoded:
    """What is known of each visit: what the encoder made of it, and the visible values themselves."""

    latents: Float[Tensor, "visits latents dim"]
    visit: Float[Tensor, "visits embedding"]
    summary: Float[Tensor, "visits dim"]
    """The embedding brought to the width of a feature's loading, for the decoders."""
    profile: Float[Tensor, "visits all_features"]
    """Visible values of every modality in the order of its features, 0 (the training median) where there is none."""
    visible: Bool[Tensor, "visits all_features"]
    """Where there is one."""
    trajectory: Float[Tensor, "visits state"] | None = None
    """The state of the participant at each visit, from it and those before it, where the model reads histories."""
    lacking: Mapping[str, Bool[Tensor, " visits"]] | None = None
    """Of which modalities a visit shows nothing, where the model has an imputer."""


@dataclass(frozen=True)
class Loss:
    """A total to minimise, and its parts by name, to log."""

    total: Float[Tensor, ""]
    terms: Mapping[str, Float[Tensor, ""]]
