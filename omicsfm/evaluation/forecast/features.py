"""Forecast every measured feature of a later visit, each in robust standard deviations of the training visits.

    last_observation    the last observed value of the feature, whichever earlier visit it is of; never observed: 0, the
                        training median
    linear_last         a line through that, for each feature
    last_and_omics      that line, and a ridge of the whole last visit for what it leaves
    omicsfm[decoder]    what the pretrained model itself decodes at the time of the later visit
    omicsfm             all of these and a ridge of the pretrained state (last_and_state), weighted for each modality by
                        forecasts of training participants whom neither the member nor the encoder was fitted to

The weights of the last are not negative and sum to one, so that the last observation carried forward is one of its
settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int, Shaped
from scipy.optimize import minimize

from omicsfm.baselines.multi_ridge import fit_multi_ridge
from omicsfm.checkpoint import Checkpoint
from omicsfm.data.collate import BatchReader
from omicsfm.data.covariates import CLINICAL
from omicsfm.data.folds import make_split
from omicsfm.data.histories import Histories
from omicsfm.evaluation.forecast.task import ForecastTask
from omicsfm.evaluation.methods import Test, Train
from omicsfm.evaluation.pretrained import NAME
from omicsfm.inference import batches, reader_for
from omicsfm.seeding import derive

LAST, LINE, OMICS, DECODER = "last_observation", "linear_last", "last_and_omics", f"{NAME}[decoder]"
STATE = "last_and_state"
PRIOR_ROWS, INNER_FOLDS = 10, 5
PULL_ROWS = 2
REACH = 32
"""A value is carried forward over so many visits at most."""
BATCH = 64

Panel = Float[np.ndarray, "rows features"]


@dataclass(frozen=True)
class FeatureForecast:
    """One modality at the test rows of a fold; all panels have a row for each and a column for each feature."""

    truth: Panel
    """NaN where the later visit lacks the feature."""
    predicted: Mapping[str, Panel]
    weights: Mapping[str, float]
    """Of the members of the stack."""


def forecast_features(
    task: ForecastTask,
    train: Train,
    test: Test,
    opened: Checkpoint,
    *,
    unseen: Bool[np.ndarray, " train"],
    seed: int,
) -> dict[str, FeatureForecast]:
    """Every method's forecast of every modality of the model, fitted on ``train``; the members are weighed by what they
    say of the ``unseen``, to whom the encoder was not fitted.
    """
    reader = reader_for(opened, task.store)
    known = _Known(task, opened, reader)
    groups = task.inner_groups(train)
    found = {}
    for name in opened.features:
        if name == CLINICAL:
            continue  # ages and sexes are no assay
        last, truth = known.last[name], reader.values(name, task.later)[0].astype(np.float64)
        carried = np.nan_to_num(last)
        line = _lines(last, truth, train, groups, seed)
        rest = truth[train] - line.held_out
        voices = {LAST: _Voice(carried[train], carried[test]), LINE: _Voice(line.held_out, line.everywhere[test])}
        for member, features in ((OMICS, known.profile), (STATE, known.state)):
            fit = fit_multi_ridge(features[train], rest, groups=groups, seed=seed)
            voices[member] = _Voice(line.held_out + fit.held_out, voices[LINE].test + fit.predict(features[test]))
        if known.decoded:
            voices[DECODER] = _Voice(known.decoded[name][train], known.decoded[name][test])
        weights = convex_weights([(voice.held_out - truth[train])[unseen] for voice in voices.values()])
        mean = np.tensordot(weights, np.stack([voice.test for voice in voices.values()]), axes=1)
        own = {method: voice.test for method, voice in voices.items() if method != STATE}
        own[NAME] = mean
        found[name] = FeatureForecast(truth[test], own, dict(zip(voices, weights.tolist(), strict=True)))
    return found


@dataclass(frozen=True)
class _Voice:
    """A member's held-out predictions of the training rows and predictions of the test rows."""

    held_out: Float[np.ndarray, "train features"]
    test: Float[np.ndarray, "test features"]


class _Known:
    """What is known at the end of each history: the last observed values, and the model's view of them."""

    def __init__(self, task: ForecastTask, opened: Checkpoint, reader: BatchReader) -> None:
        model, rows = opened.model, task.rows
        self.last = {name: _last_observed(reader, name, task.histories, rows) for name in opened.features}
        self.decoded: dict[str, Panel] = {name: np.zeros(own.shape) for name, own in self.last.items()}
        if model.trajectory is None:
            self.decoded = {}
        ahead = torch.from_numpy(task.days_ahead.astype(np.float32))
        states, profiles = [], []
        model.eval()
        with torch.inference_mode():
            for start, (batch, asked) in zip(
                range(0, len(rows), BATCH), batches(model, reader, rows, BATCH), strict=True
            ):
                encoded, here = model.encode(batch), slice(start, start + BATCH)
                state = encoded.visit if encoded.trajectory is None else encoded.trajectory
                states.append(state[asked].float().cpu().numpy())
                profiles.append(encoded.profile[asked].float().cpu().numpy())
                for name, panel in self.decoded.items():
                    last = torch.from_numpy(self.last[name][here].astype(np.float32)).to(state.device)
                    ids = torch.arange(panel.shape[1], device=state.device).expand(len(asked), -1)
                    days = ahead[here].to(state.device)
                    panel[here] = model.forecast(state[asked], name, ids, days_ahead=days, last=last).mean.cpu().numpy()
        self.state = np.concatenate(states).astype(np.float64)
        self.profile = np.concatenate(profiles).astype(np.float64)


def _last_observed(reader: BatchReader, name: str, histories: Histories, rows: Int[np.ndarray, " rows"]) -> Panel:
    """The last observed value of each feature at each of the rows, NaN where there is none."""
    read = histories.complete(rows, reach=REACH)
    panel = reader.values(name, read)[0].astype(np.float64)
    for place in range(1, len(read)):
        if histories.first[read[place]] == histories.first[read[place - 1]]:
            panel[place] = np.where(np.isnan(panel[place]), panel[place - 1], panel[place])
    place_of = np.full(len(histories), -1)
    place_of[read] = np.arange(len(read))
    return panel[place_of[rows]]


@dataclass(frozen=True)
class _Lines:
    """Per feature a line through the last value: at every row, and held out at the training rows."""

    everywhere: Panel
    held_out: Float[np.ndarray, "train features"]


def _lines(last: Panel, truth: Panel, train: Train, groups: Shaped[np.ndarray, " train"], seed: int) -> _Lines:
    people = pd.DataFrame({"participant_id": groups})
    folds = min(INNER_FOLDS, people["participant_id"].nunique())
    split = make_split(people, repeats=1, folds=folds, seed=derive(seed, "inner folds"))
    held_out = np.zeros(truth[train].shape)
    for fold in range(folds):
        inner, out = split.masks(people, 0, fold)
        held_out[out] = _line(last[train][inner], truth[train][inner], last[train][out])
    return _Lines(_line(last[train], truth[train], last), held_out)


def _line(last: Panel, truth: Panel, new: Float[np.ndarray, "new features"]) -> Float[np.ndarray, "new features"]:
    """Least squares for each feature, its slope drawn to that of all features together as by ``PRIOR_ROWS`` rows."""
    both = ~np.isnan(last) & ~np.isnan(truth)
    count = np.maximum(both.sum(axis=0), 1)
    x_mean, y_mean = (np.where(both, panel, 0.0).sum(axis=0) / count for panel in (last, truth))
    x, y = (np.where(both, panel - mean, 0.0) for panel, mean in ((last, x_mean), (truth, y_mean)))
    products, squares = (x * y).sum(axis=0), (x * x).sum(axis=0)
    common = products.sum() / max(squares.sum(), 1e-12)
    prior = PRIOR_ROWS * squares.sum() / max(both.sum(), 1)
    slope = (products + prior * common) / np.maximum(squares + prior, 1e-12)
    return np.where(np.isnan(new), y_mean, y_mean + slope * (np.nan_to_num(new) - x_mean))


def convex_weights(errors: Sequence[Panel]) -> Float[np.ndarray, " members"]:
    """Weights that are not negative, sum to one, and give the least squared error where the truth is known, with a pull
    towards equal ones that counts as ``PULL_ROWS`` rows.
    """
    members, rows = len(errors), max(len(errors[0]), 1)
    known = np.stack([np.nan_to_num(error).ravel() for error in errors])
    products = known @ known.T
    products /= max(np.trace(products) / members, 1e-300)
    products += PULL_ROWS / rows * (np.eye(members) - 1.0 / members)
    solved = minimize(
        lambda w: (w @ products @ w, 2 * products @ w),
        np.full(members, 1.0 / members),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * members,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones(members)},
        options={"ftol": 1e-12},
    ).x
    return np.clip(solved, 0.0, None) / np.clip(solved, 0.0, None).sum()
