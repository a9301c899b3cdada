"""Forecast every measured feature of a later visit, each in robust standard deviations of the training visits.

    last_observation    the last observed value of the feature, whichever earlier visit it is of; never observed: 0, the
                        training median
    linear_last         a line through that, for each feature
    last_and_omics      that line, and a ridge of the whole last visit for what it leaves
    omicsfm[decoder]    what the pretrained model itself decodes at the time of the later visit
    omicsfm             these, and that line with ridges of the feature's own assay, of a kernel of the visit and of the
                        pretrained state

The weights of omicsfm are one for each modality and member, not negative and sum to one. Those of what no network
trained come from training participants whom no step of a member had seen (``weights.py``). The state and the decoder
are then weighed against the average of the others by the fifth of the training participants to whom the encoder was not
fitted, beginning at nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int, Shaped

from omicsfm.baselines.multi_ridge import fit_multi_ridge
from omicsfm.checkpoint import Checkpoint
from omicsfm.data.collate import BatchReader
from omicsfm.data.covariates import CLINICAL
from omicsfm.data.folds import make_split
from omicsfm.data.histories import Histories
from omicsfm.evaluation.forecast.task import ForecastTask
from omicsfm.evaluation.forecast.weights import convex_weights, held_out_members
from omicsfm.evaluation.methods import Test, Train
from omicsfm.evaluation.pretrained import NAME
from omicsfm.inference import batches, reader_for
from omicsfm.model.omics_model import KERNEL
from omicsfm.seeding import derive

LAST, LINE, OMICS, DECODER = "last_observation", "linear_last", "last_and_omics", f"{NAME}[decoder]"
OWN, KERNEL_OF, STATE = "last_and_own_assay", "last_and_kernel", "last_and_state"
PRIOR_ROWS, INNER_FOLDS = 10, 5
PULL_ROWS = 2.0
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
        members = _Members(last, truth, {**known.read, OWN: known.own[name]}, seed)
        found[name] = _of_modality(members, known.decoded.get(name), train, test, groups, unseen)
    return found


def _of_modality(
    members: "_Members",
    decoded: Panel | None,
    train: Train,
    test: Test,
    groups: Shaped[np.ndarray, " train"],
    unseen: Bool[np.ndarray, " train"],
) -> FeatureForecast:
    def made(own: Int[np.ndarray, " own"], out: Int[np.ndarray, " out"]) -> dict[str, Panel]:
        return members.made(train[own], train[out], groups[own])

    said = members.made(train, test, groups)
    others = {} if decoded is None else {DECODER: decoded[train]}
    held_out = {**held_out_members(groups, made, seed=members.seed), **others}
    weights = _weights(held_out, members.truth[train], unseen)
    if decoded is not None:
        said[DECODER] = decoded[test]
    mean = np.tensordot(list(weights.values()), np.stack([said[name] for name in weights]), axes=1)
    shown = {name: own for name, own in said.items() if name in (LAST, LINE, OMICS, DECODER)}
    return FeatureForecast(members.truth[test], {**shown, NAME: mean}, weights)


def _weights(held_out: Mapping[str, Panel], truth: Panel, unseen: Bool[np.ndarray, " rows"]) -> dict[str, float]:
    """Of every member: those that no network trained by all training rows, then these and the others by the unseen."""
    errors = {name: said - truth for name, said in held_out.items()}
    plain = [name for name in errors if name not in (STATE, DECODER)]
    others = [name for name in errors if name in (STATE, DECODER)]
    first = convex_weights([errors[name] for name in plain], pull_rows=PULL_ROWS)
    together = np.tensordot(first, np.stack([errors[name] for name in plain]), axes=1)
    unseen_errors = [together[unseen], *(errors[name][unseen] for name in others)]
    share = convex_weights(unseen_errors, pull_rows=PULL_ROWS, prior=np.eye(len(unseen_errors))[0])
    weights = zip((*plain, *others), (*(share[0] * first), *share[1:]), strict=True)
    return {name: float(weight) for name, weight in weights}


@dataclass(frozen=True)
class _Members:
    """What no network trained, and a ridge of the state: a line for each feature, and ridges for what it leaves."""

    last: Panel
    truth: Panel
    read: Mapping[str, Float[np.ndarray, "rows _"]]
    """Features of each ridge."""
    seed: int

    def made(self, train: Train, test: Test, groups: Shaped[np.ndarray, " train"]) -> dict[str, Panel]:
        """Fit on ``train``, predict ``test``."""
        line = _lines(self.last, self.truth, train, groups, self.seed)
        found = {LAST: np.nan_to_num(self.last[test]), LINE: line.everywhere[test]}
        rest = self.truth[train] - line.held_out
        for name, features in self.read.items():
            fit = fit_multi_ridge(features[train], rest, groups=groups, seed=self.seed)
            found[name] = found[LINE] + fit.predict(features[test])
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
        states, profiles, kernels, places = [], [], [], model.evidence
        model.eval()
        with torch.inference_mode():
            for start, (batch, asked) in zip(
                range(0, len(rows), BATCH), batches(model, reader, rows, BATCH), strict=True
            ):
                encoded, here = model.encode(batch), slice(start, start + BATCH)
                state = encoded.visit if encoded.trajectory is None else encoded.trajectory
                states.append(state[asked].float().cpu().numpy())
                profiles.append(encoded.profile[asked].float().cpu().numpy())
                if model.kernel is not None:
                    kernels.append(model.read(encoded)[asked][:, places[KERNEL]].float().cpu().numpy())
                for name, panel in self.decoded.items():
                    last = torch.from_numpy(self.last[name][here].astype(np.float32)).to(state.device)
                    ids = torch.arange(panel.shape[1], device=state.device).expand(len(asked), -1)
                    days = ahead[here].to(state.device)
                    panel[here] = model.forecast(state[asked], name, ids, days_ahead=days, last=last).mean.cpu().numpy()
        profile = np.concatenate(profiles).astype(np.float64)
        self.read = {OMICS: _rotated(profile), STATE: _rotated(np.concatenate(states).astype(np.float64))}
        if kernels:
            self.read[KERNEL_OF] = _rotated(np.concatenate(kernels).astype(np.float64))
        begin = min(places[name].start for name in opened.features)
        self.own = {
            name: _rotated(profile[:, places[name].start - begin : places[name].stop - begin])
            for name in opened.features
        }


def _rotated(features: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows rank"]:
    """As many columns as rows at most, with the same distances between rows: a ridge that centres and does not
    standardise predicts the same from them.
    """
    if features.shape[1] <= len(features):
        return features
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    return left * singular


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
