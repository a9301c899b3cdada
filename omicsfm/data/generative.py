"""The generative model behind simulated cohorts: people whose hidden factors drift, and assays that see them.

Each person carries latent factors with mean 0 and variance 1, shared in part with the family, which follow a
stationary AR(1) from visit to visit. A factor is a pathway: some features of every modality load on it. Outcomes are
functions of the factors alone, so a ``signal`` of 0 leaves nothing to learn.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Int
from scipy.stats import norm

from omicsfm.seeding import derive

AUTOCORRELATION = 0.8  # of a factor between neighbouring visits
FAMILY_SHARE = 0.3  # of a factor's variance at the first visit that relatives have in common
LOADED_SHARE = 0.6  # of a modality's features that belong to a pathway; the others are noise
WEIBULL_SHAPE = 1.2
BASELINE_HAZARD = 0.4  # cumulative, at the end of follow-up, for an average person


@dataclass(frozen=True)
class People:
    """Attended visits, and what is true but hidden at each of them."""

    visits: pd.DataFrame
    factors: Float[np.ndarray, "visits factors"]
    linear_predictors: pd.DataFrame
    """One column per outcome, variance 1; constant over a participant's visits for a participant's outcome."""


@dataclass(frozen=True)
class Assay:
    """One modality at the visits where it was measured."""

    values: Float32[np.ndarray, "measured features"]
    below_limit: Bool[np.ndarray, "measured features"]
    loadings: Float[np.ndarray, "features factors"]
    rows: Int[np.ndarray, " measured"]


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """The random numbers of one purpose: asking for more genes leaves every other draw as it was."""
    return np.random.default_rng(derive(seed, "synthetic", *purpose))


def draw_people(
    *,
    participants: int,
    visits: int,
    factors: int,
    sites: int,
    interval_days: float,
    follow_up_days: float,
    momentum: float,
    dropout: float,
    signal: float,
    missing_outcome: float,
    seed: int,
) -> People:
    """People, the visits they attended, and their outcomes; nobody visits after death or after dropping out.

    ``interval_days`` is the time between visits, ``follow_up_days`` the longest time to censoring; ``signal`` is the
    standard deviation of the linear predictor in logits, in log hazard, and in residual standard deviations of the
    quantity; ``momentum`` is how much of a change goes on at the next visit (see ``_drift``).
    """
    person = _draw_persons(participants, sites, generator(seed, "persons"))
    latent = _drift(person["family"].to_numpy(), visits, factors, momentum, generator(seed, "factors"))
    rng = generator(seed, "schedule")
    jitter = rng.uniform(-0.1, 0.1, (participants, visits)) * interval_days
    day = np.maximum(np.round(np.arange(visits) * interval_days + jitter), 0.0)
    day[:, 0] = 0.0

    weights = _outcome_weights(factors, generator(seed, "weights"))
    predictor = {name: latent @ weight for name, weight in weights.items()}
    died_after, followed = _draw_survival(
        signal * predictor["death"][:, 0], follow_up_days, generator(seed, "survival")
    )
    stayed = np.cumprod(np.c_[np.ones(participants), rng.random((participants, visits - 1)) >= dropout], axis=1) > 0
    attended = stayed & (day < died_after[:, None])
    attended[:, 0] = True

    who, when = np.nonzero(attended)
    table = person.iloc[who].drop(columns="family").reset_index(drop=True)
    table.insert(1, "visit", (when + 1).astype(str))
    table.insert(2, "time_days", day[who, when])
    table["age"] = np.round(table["age"] + table["time_days"] / 365.25, 1)
    table["age_band"] = np.select([table["age"] < 45, table["age"] < 65], ["under 45", "45 to 64"], "65 and over")

    rng = generator(seed, "outcomes")
    first = {name: value[:, :1].repeat(visits, axis=1) for name, value in predictor.items()}
    truth = pd.DataFrame(
        {
            "responder": first["responder"][who, when],
            "severity": predictor["severity"][who, when],
            "bmi": predictor["bmi"][who, when],
            "death": first["death"][who, when],
        }
    )
    leaning = signal * predictor["responder"][:, 0] + rng.logistic(size=participants)
    responds = leaning > np.quantile(leaning, 0.6)
    table["responder"] = np.where(responds, "yes", "no")[who]
    burden = signal * truth["severity"].to_numpy() + rng.logistic(size=len(table))
    grade = np.searchsorted(np.quantile(burden, [0.5, 0.8]), burden)
    table["severity"] = np.array(["mild", "moderate", "severe"])[grade]
    spread = signal * truth["bmi"].to_numpy() + rng.normal(size=len(table))
    table["bmi"] = np.round(26.0 + 4.0 * spread / np.hypot(signal, 1.0), 2)
    table["follow_up_days"] = np.minimum(died_after, followed)[who]
    table["died"] = (died_after <= followed).astype(float)[who]

    unknown = rng.random(participants) < missing_outcome
    table["responder"] = table["responder"].where(~unknown[who], None)
    for name in ("severity", "bmi"):
        table[name] = table[name].where(rng.random(len(table)) >= missing_outcome, None)
    table["bmi"] = table["bmi"].astype(float)
    return People(table, latent[who, when], truth)


def _draw_persons(participants: int, sites: int, rng: np.random.Generator) -> pd.DataFrame:
    family = np.repeat(np.arange(participants), rng.integers(1, 5, participants))[:participants]
    width = max(4, len(str(participants)))
    site_of_family = rng.integers(0, sites, participants)
    ancestry_of_family = rng.choice(["European", "African", "South Asian"], participants, p=[0.7, 0.15, 0.15])
    return pd.DataFrame(
        {
            "participant_id": [f"P-{number:0{width}d}" for number in range(1, participants + 1)],
            "family": family,
            "family_id": [f"F-{number:0{width}d}" for number in family + 1],
            "site": [f"site_{number + 1}" for number in site_of_family[family]],
            "sex": rng.choice(["female", "male"], participants),
            "age": rng.uniform(25, 80, participants),
            "ancestry": ancestry_of_family[family],
        }
    )


def _drift(
    family: Int[np.ndarray, " participants"], visits: int, factors: int, momentum: float, rng: np.random.Generator
) -> Float[np.ndarray, "participants visits factors"]:
    """A stationary AR(2) whose partial autocorrelations are ``AUTOCORRELATION`` and ``-momentum``.

    Neighbouring visits are correlated alike whatever the momentum, so the last visit foretells the next as well as
    ever; who knows the last two errs by sqrt(1 - momentum**2) of that.
    """
    participants = len(family)
    shared = rng.normal(size=(participants, factors))[family]
    own = rng.normal(size=(visits, participants, factors))
    now = np.sqrt(FAMILY_SHARE) * shared + np.sqrt(1 - FAMILY_SHARE) * own[0]
    path = [now]
    for number, step in enumerate(own[1:]):
        going_on = momentum if number else 0.0  # of the first visit there is no change to go on
        before = path[-2] if number else 0.0
        spread = np.sqrt((1 - AUTOCORRELATION**2) * (1 - going_on**2))
        now = AUTOCORRELATION * (1 + going_on) * now - going_on * before + spread * step
        path.append(now)
    return np.stack(path, axis=1)


def _outcome_weights(factors: int, rng: np.random.Generator) -> dict[str, Float[np.ndarray, " factors"]]:
    weights = {}
    for name in ("responder", "severity", "bmi", "death"):
        chosen = rng.choice(factors, size=min(3, factors), replace=False)
        weight = np.zeros(factors)
        weight[chosen] = rng.choice([-1.0, 1.0], len(chosen)) * rng.uniform(0.5, 1.0, len(chosen))
        weights[name] = weight / np.linalg.norm(weight)
    return weights


def _draw_survival(
    log_hazard: Float[np.ndarray, " participants"], follow_up_days: float, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " participants"], Float[np.ndarray, " participants"]]:
    """Days to death (Weibull proportional hazards, by inversion) and days to the end of follow-up."""
    exponential = rng.exponential(size=len(log_hazard))
    scaled = (exponential / (BASELINE_HAZARD * np.exp(log_hazard))) ** (1 / WEIBULL_SHAPE)
    died_after = np.ceil(np.clip(scaled * follow_up_days, 1.0, 1e7))
    followed = np.ceil(rng.uniform(0.5, 1.0, len(log_hazard)) * follow_up_days)
    return died_after, followed


def draw_presence(
    people: People, *, modalities: tuple[str, ...], missing: float, missing_by_health: float, seed: int
) -> dict[str, Int[np.ndarray, " measured"]]:
    """Rows at which each modality was measured; every visit keeps at least one.

    ``missing_by_health`` adds to the logit of being missing for each standard deviation of the risk of death: above 0
    the sick are measured less.
    """
    rng = generator(seed, "presence")
    rows = len(people.visits)
    if 0.0 < missing < 1.0:
        logit = np.log(missing / (1 - missing)) + missing_by_health * people.linear_predictors["death"].to_numpy()
        chance = 1 / (1 + np.exp(-logit))
    else:
        chance = np.full(rows, missing)
    present = rng.random((rows, len(modalities))) >= chance[:, None]
    kept = rng.integers(0, len(modalities), rows)
    empty = ~present.any(axis=1)
    present[empty, kept[empty]] = True
    return {name: np.flatnonzero(present[:, column]) for column, name in enumerate(modalities)}


def draw_assay(
    people: People,
    rows: Int[np.ndarray, " measured"],
    *,
    modality: str,
    scale: str,
    features: int,
    noise: float,
    batch_effect: float,
    missing_value: float,
    below_limit: float,
    seed: int,
) -> Assay:
    """Measured values in ``scale`` (counts, log2 or raw).

    On the log2 scale a value is the feature's level, plus its loading on its pathway's factor, plus age and sex on some
    features, plus offsets of site and plate, plus noise; counts are Poisson-gamma draws around it with a sequencing
    depth for each visit. ``below_limit`` is the mean share of values under the detection limit (counts have none).
    """
    rng = generator(seed, "features", modality)
    loadings = _draw_loadings(features, people.factors.shape[1], rng)
    level = rng.normal({"counts": 7.0, "log2": 5.0, "raw": 16.0}[scale], 1.5, features)
    by_age, by_sex = (rng.normal(0, 0.4, features) * (rng.random(features) < 0.15) for _ in range(2))
    limit_share = rng.uniform(0, 2 * below_limit, features)
    visits = people.visits.iloc[rows]

    rng = generator(seed, "batches", modality)
    offset = np.zeros((len(rows), features))
    for column in ("site", "plate"):
        group, names = pd.factorize(people.visits[column])
        offset += batch_effect * rng.normal(size=(len(names), features))[group[rows]]

    rng = generator(seed, "values", modality)
    log2 = level + people.factors[rows] @ loadings.T + offset + noise * rng.normal(size=offset.shape)
    log2 += ((visits["age"].to_numpy() - 50) / 15)[:, None] * by_age
    log2 += (visits["sex"] == "male").to_numpy()[:, None] * by_sex
    if scale == "counts":
        depth = rng.normal(0, 0.4, (len(rows), 1))
        rate = np.exp2(np.minimum(log2 + depth, 22.0)) * rng.gamma(10.0, 0.1, log2.shape)
        return Assay(rng.poisson(rate).astype(np.float32), np.zeros(log2.shape, dtype=bool), loadings, rows)

    deviation = np.sqrt((loadings**2).sum(axis=1) + noise**2 + 2 * batch_effect**2)
    limit = level + deviation * norm.ppf(limit_share)
    measured = rng.random(log2.shape) >= missing_value
    below = (log2 < limit) & measured
    values = np.where(measured, np.maximum(log2, limit), np.nan)
    if scale == "raw":
        values = np.exp2(values)
    return Assay(values.astype(np.float32), below, loadings, rows)


def _draw_loadings(features: int, factors: int, rng: np.random.Generator) -> Float[np.ndarray, "features factors"]:
    loaded = rng.permutation(features)[: int(np.ceil(LOADED_SHARE * features))]
    loadings = np.zeros((features, factors))
    loadings[loaded, np.arange(len(loaded)) % factors] = rng.choice([-1.0, 1.0], len(loaded)) * rng.uniform(
        0.6, 1.2, len(loaded)
    )
    return loadings
