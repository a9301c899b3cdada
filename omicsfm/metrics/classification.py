"""Metrics of predicted class probabilities [rows, classes], classes in the order of the outcome's class ids.

With two classes the second is the positive one.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from omicsfm.metrics.registry import metric, safe_ratio
from omicsfm.metrics.targets import ClassTarget

Probability = Float[np.ndarray, "rows classes"]
Weights = Float[np.ndarray, "rows resamples"]
PerResample = Float[np.ndarray, " resamples"]

SMALLEST = 1e-15  # a probability of zero would make one row's log loss infinite


@metric("class", best="high")
def auroc(target: ClassTarget, probability: Probability, weights: Weights) -> PerResample:
    """Probability that a random positive row scores above a random negative one; a tied pair counts one half.

    0 to 1, higher is better, 0.5 is chance. With three or more classes the unweighted mean of each class against
    the rest, over the classes that occur (macro one-vs-rest).
    """
    return _one_versus_rest(_auroc, target, probability, weights)


@metric("class", best="high")
def auprc(target: ClassTarget, probability: Probability, weights: Weights) -> PerResample:
    """Average precision: precision at each distinct score, weighted by the recall it adds; tied rows enter together.

    0 to 1, higher is better, chance is the share of positives. Not interpolated. With three or more classes macro
    one-vs-rest, over the classes that occur.
    """
    return _one_versus_rest(_auprc, target, probability, weights)


@metric("class", best="low")
def log_loss(target: ClassTarget, probability: Probability, weights: Weights) -> PerResample:
    """Mean of -ln p(true class), in nats; 0 upwards, lower is better. Probabilities are clipped at 1e-15."""
    own = probability[np.arange(len(target)), target.class_id]
    return _mean(-np.log(np.clip(own, SMALLEST, 1.0)), weights)


@metric("class", best="low")
def brier(target: ClassTarget, probability: Probability, weights: Weights) -> PerResample:
    """Mean squared error of the probabilities; lower is better.

    Two classes: that of the positive class, 0 to 1. Three or more: summed over the classes, 0 to 2 (Brier 1950).
    """
    truth = np.eye(len(target.classes))[target.class_id]
    squared = (probability - truth) ** 2
    return _mean(squared[:, 1] if len(target.classes) == 2 else squared.sum(axis=1), weights)


@metric("class", best="high")
def balanced_accuracy(target: ClassTarget, probability: Probability, weights: Weights) -> PerResample:
    """Mean over the classes that occur of the share of their rows given that class (the most probable one).

    0 to 1, higher is better, chance is 1 / classes. Of equally probable classes the first is taken.
    """
    right = probability.argmax(axis=1) == target.class_id
    recalls = []
    for class_id in range(len(target.classes)):
        own = weights * (target.class_id == class_id)[:, None]
        recalls.append(safe_ratio((own * right[:, None]).sum(axis=0), own.sum(axis=0)))
    return _mean_present(recalls)


def _one_versus_rest(score, target: ClassTarget, probability, weights):  # type: ignore[no-untyped-def]
    if len(target.classes) == 2:
        return score(target.class_id == 1, probability[:, 1], weights)
    return _mean_present([score(target.class_id == k, probability[:, k], weights) for k in range(len(target.classes))])


def _auroc(positive: Bool[np.ndarray, " rows"], score: Float[np.ndarray, " rows"], weights: Weights) -> PerResample:
    ascending, starts = _tie_groups(score)
    positives = np.add.reduceat((weights * positive[:, None])[ascending], starts, axis=0)
    negatives = np.add.reduceat((weights * ~positive[:, None])[ascending], starts, axis=0)
    below = np.cumsum(negatives, axis=0) - negatives
    won = (positives * (below + 0.5 * negatives)).sum(axis=0)
    return safe_ratio(won, positives.sum(axis=0) * negatives.sum(axis=0))


def _auprc(positive: Bool[np.ndarray, " rows"], score: Float[np.ndarray, " rows"], weights: Weights) -> PerResample:
    descending, starts = _tie_groups(-score)
    positives = np.add.reduceat((weights * positive[:, None])[descending], starts, axis=0)
    everyone = np.add.reduceat(weights[descending], starts, axis=0)
    drawn = np.cumsum(everyone, axis=0)
    precision = np.divide(np.cumsum(positives, axis=0), drawn, out=np.zeros_like(drawn), where=drawn > 0)
    return safe_ratio((precision * positives).sum(axis=0), positives.sum(axis=0))


def _tie_groups(score: Float[np.ndarray, " rows"]) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " groups"]]:
    """Order by score, and where each run of equal scores begins in that order."""
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return order, starts


def _mean(values: Float[np.ndarray, " rows"], weights: Weights) -> PerResample:
    return safe_ratio(values @ weights, weights.sum(axis=0))


def _mean_present(values: list[np.ndarray]) -> PerResample:
    stacked = np.stack(values)
    present = np.isfinite(stacked)
    return safe_ratio(np.where(present, stacked, 0.0).sum(axis=0), present.sum(axis=0).astype(float))
