"""What a cohort file says, as plain records: its visits, its matrices and its outcomes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Literal

from omicsfm.data.ingest.columns import ColumnRule
from omicsfm.data.ingest.conditions import EVERYBODY, Conditions, Test
from omicsfm.outcome_spec import OutcomeKind

OPTIONAL_COLUMNS = ("site", "plate", "platform", "family_id", "age")
"""Columns of a store that mean the same in every cohort, where the cohort has them."""
Layout = Literal["rows_are_visits", "columns_are_visits"]


@dataclass(frozen=True)
class TimeRule:
    """A time column and the days in one unit of it."""

    rule: ColumnRule
    days: float


@dataclass(frozen=True)
class LookupSpec:
    """A further clinical table, whose columns are added to the visits by key."""

    paths: tuple[Path, ...]
    """Files whose rows continue each other."""
    key: Mapping[str, str]
    """Columns of the visits and, for each, the table's."""
    where: Conditions = EVERYBODY
    """Which rows of the table are read."""
    columns: Mapping[str, str] | None = None
    """New name and name in the table of each column that is added; None: all, by their own names."""


@dataclass(frozen=True)
class VisitsSpec:
    """The table of visits."""

    paths: tuple[Path, ...]
    """Files whose rows continue each other; none where a .h5mu brings its own."""
    participant_id: ColumnRule
    key: str | None = None
    visit: ColumnRule | None = None
    time: TimeRule | None = None
    columns: Mapping[str, ColumnRule] = field(default_factory=dict)
    """Further columns of the store: site, plate, platform, family_id, age, and what ``keep`` names."""
    where: Conditions = EVERYBODY
    join: tuple[LookupSpec, ...] = ()


@dataclass(frozen=True)
class FeatureNames:
    """A table that names the features of a matrix."""

    path: Path
    code: str
    """Its column of the names that the matrix has."""
    name: str
    """Its column of the names that the store gets."""


@dataclass(frozen=True)
class Peaks:
    """Which features are peaks that nobody has identified: a pattern of their names, or a table of them."""

    pattern: str = ""
    """Its groups ``mz`` and ``retention_time`` are read from the name."""
    path: Path | None = None
    id: str = ""
    """Column of the table with the features' names."""
    mz: str = ""
    retention_time: str = ""


@dataclass(frozen=True)
class ModalitySpec:
    """One omics matrix. ``path`` is None where a .h5mu brings its own."""

    name: str
    path: Path | None
    namespace: str
    scale: str
    layout: Layout = "rows_are_visits"
    key: tuple[str, ...] = ()
    key_pattern: str | None = None
    features: str | None = None
    """Column (or .var column) that holds the feature ids."""
    feature_names: FeatureNames | None = None
    layer: str | None = None
    columns: tuple[str, ...] | str | None = None
    drop: tuple[str, ...] | str = ()
    allow: tuple[str, ...] = ()
    """Features that may bear the name of a clinical column."""
    below_limit: Mapping[str, float | None] = field(default_factory=dict)
    """Cells that mean below the limit, each with its limit, None where the file does not give one; '' is empty."""
    where: Conditions = EVERYBODY
    """Which rows of the matrix's file are read; the columns it tests are no features."""
    number_repeats: bool = False
    """Features of one name are told apart by a number; otherwise they are refused."""
    platform: str = ""
    map_to: str | None = None
    """Namespace that the features are mapped to, by the tables of identifiers in ``mapping``."""
    mapping: tuple[Path, ...] = ()
    peaks: Peaks | None = None
    about: tuple[str, ...] = ()
    """Columns of .var that the store keeps of each feature beside its id."""
    parts: tuple["ModalitySpec", ...] = ()
    """Several files whose rows continue each other, each described by itself; ``path`` is the first."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that is read."""
        own = [self.path, *(part.path for part in self.parts)]
        own.append(self.feature_names.path if self.feature_names is not None else None)
        own += [*self.mapping, self.peaks.path if self.peaks is not None else None]
        return tuple(dict.fromkeys(path for path in own if path is not None))


@dataclass(frozen=True)
class LaterVisit:
    """The participant's first visit after this one that is at least ``from_days`` and at most ``to_days`` away."""

    from_days: float = 0.0
    to_days: float = inf


@dataclass(frozen=True)
class OutcomeRule:
    """Where an outcome's values come from."""

    name: str
    kind: OutcomeKind
    level: Literal["visit", "participant"]
    column: str | None = None
    positive_if: Test | None = None
    classes: tuple[str, ...] = ()
    among: Conditions = EVERYBODY
    at: LaterVisit | None = None
    """Whose value of a class or quantity a visit has; None: its own."""
    time: TimeRule | None = None
    time_zero: str = "visit"
    """What the time counts from: one of ``contracts.FROM_VISIT``, or the origin of a clock of its own, as birth."""
    event: str | None = None
    """Column of the event, or of what it was."""
    event_if: Test | None = None
    causes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Of competing risks: each cause's name and the values of ``event`` that mean it."""
    censored: tuple[str, ...] = ()
    """Values of ``event`` that end follow-up without any of the causes."""
    entry: TimeRule | None = None
    """From when on the event would have been seen, on the clock of ``time``; None: from time zero on."""
    censor_after_days: float | None = None
    """Administrative end of follow-up, on the clock of ``time``."""


@dataclass(frozen=True)
class CohortFile:
    """Everything a COHORT.yaml says."""

    name: str
    where: str
    """Name of the file, to begin messages with."""
    visits: VisitsSpec
    modalities: Mapping[str, ModalitySpec]
    outcomes: Mapping[str, OutcomeRule]
    people: str = ""
    """Whose participant ids these are, where another cohort has the same people under the same ids."""
    clinical: tuple[str, ...] | None = None
    """Columns of the store's visits that a clinician would predict from; None: age and sex where there are any."""
    subgroups: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    policy: Mapping[str, Any] = field(default_factory=dict)

    def key_columns(self) -> set[str]:
        """Columns by which matrices and further tables may be joined to the visits."""
        return {name for spec in self.modalities.values() for name in spec.key} | {
            name for lookup in self.visits.join for name in lookup.key
        }

    def clinical_columns(self) -> set[str]:
        """Columns of the visits table that the yaml uses; outcomes, keys and tests among them."""
        used = {c for o in self.outcomes.values() for c in (o.column, o.event, *o.among.tests)}
        rules = [self.visits.participant_id, self.visits.visit, *self.visits.columns.values()]
        times = [self.visits.time, *(time for o in self.outcomes.values() for time in (o.time, o.entry))]
        rules += [time.rule for time in times if time is not None]
        used |= {rule.column for rule in rules if rule is not None}
        used |= {self.visits.key, *self.visits.where.tests, *self.subgroups}
        return {name for name in used if name is not None}
