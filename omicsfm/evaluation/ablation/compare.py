"""What each part of omicsfm is worth: the same folds with one thing taken away at a time.

no pretraining        the same network with its initial weights
prior                 identities from co-measurement, and from random vectors
labels permuted       must score as guessing does
modalities            each subset of them, at the visits that have all
labels                the outcome known of a tenth, a quarter, a half of the training participants
linear, clinical      what a linear model makes of everything, and of the covariates alone
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from omicsfm.data.covariates import CLINICAL
from omicsfm.data.splits import Split
from omicsfm.data.store import OmicsStore
from omicsfm.errors import InputError, closest
from omicsfm.evaluation.ablation.arms import FewerLabels, OfModalities, PermutedLabels
from omicsfm.evaluation.benchmark import run_benchmark, write_json
from omicsfm.evaluation.methods import Method, baseline_methods
from omicsfm.evaluation.pretrained import Encoders, Pretrained, adaptation_named, make_encoders
from omicsfm.evaluation.summary import aligned, number
from omicsfm.evaluation.task import Task

SHARES = {10: 0.1, 4: 0.25, 2: 0.5}
"""One in so many training participants has a label, as a share."""
MOST_SUBSETS = 14
GROUPS = ("model", "linear", "prior", "modalities", "labels")


@dataclass(frozen=True)
class Labelled:
    """A method and what it is in the report."""

    method: Method
    group: str
    """Part of the table that it stands in."""
    taken: str
    """What was taken away."""
    share: float = 1.0
    """Of the training participants' labels."""
    family: str = ""
    """Which curve over the shares it belongs to."""


def complete(task: Task) -> Task:
    """The task at its visits that have every modality, so that a subset of them is judged on the same people.

    Raises:
        InputError: Too few have.
    """
    every = reduce(np.intersect1d, [matrix.rows for matrix in task.store.modalities.values()])
    kept = np.flatnonzero(np.isin(task.rows, every))
    if len(kept) < 20:
        raise InputError(
            f"{task.store.path}: {len(kept)} of {len(task)} visits with outcome '{task.outcome.name}' have every "
            f"modality ({', '.join(task.store.modalities)}); at least 20 are needed. Leave some out of the store."
        )
    return replace(
        task,
        rows=task.rows[kept],
        target=task.target[kept],
        participant_ids=task.participant_ids[kept],
        strata=None if task.strata is None else task.strata[kept],
    )


def arms(
    task: Task,
    *,
    adaptation: str,
    overrides: Sequence[str],
    beside: Sequence[OmicsStore] = (),
    groups: Sequence[str] | None = None,
) -> list[Labelled]:
    """The whole model first, then everything that is compared with it, or what is in these ``groups``.

    Raises:
        InputError: There is no such group.
    """
    for group in groups or ():
        if group not in GROUPS:
            raise InputError(f"--arms: '{group}' is none; {closest(group, GROUPS)}.")
    name = f"omicsfm[{adaptation}]"
    config = make_encoders(overrides).config
    encoders = Encoders(config, beside=beside, blind=True)

    def model(label: str, using: Encoders) -> Pretrained:
        return Pretrained(name=label, encoders=using, adaptation=adaptation_named(adaptation))

    def changed(*more: str) -> Encoders:
        return Encoders(make_encoders([*overrides, *more]).config, beside=beside, blind=True)

    untrained = Encoders(config, beside=beside, untrained=True)
    linear, *alone = baseline_methods(
        ["linear", *([f"linear[{CLINICAL}]"] if CLINICAL in task.store.inputs else [])], task
    )
    whole, scratch = model(name, encoders), model(f"{name}, no pretraining", untrained)
    found = [
        Labelled(whole, "model", "nothing", family="pretrained"),
        Labelled(scratch, "model", "pretraining", family="not pretrained"),
        Labelled(PermutedLabels(f"{name}, labels permuted", model(name, encoders)), "model", "the labels' meaning"),
        Labelled(linear, "linear", "the network", family="linear"),
        *(Labelled(one, "linear", "all omics") for one in alone),
    ]
    if not config.get("prior"):
        found.append(
            Labelled(model(f"{name}, co-measurement prior", changed("prior=co_measurement")), "prior", "nothing")
        )
    found.append(Labelled(model(f"{name}, random prior", changed("prior=random")), "prior", "the prior's meaning"))
    for subset in _subsets(tuple(task.store.modalities)):
        own = model(name, changed())
        taken = " and ".join(other for other in task.store.modalities if other not in subset)
        label = f"{name}, {' and '.join(subset)} only"
        found.append(Labelled(OfModalities(label, own, modalities=subset), "modalities", taken))
    for one_in, share in SHARES.items():
        for family, method in (("pretrained", whole), ("not pretrained", scratch), ("linear", linear)):
            arm = FewerLabels(f"{method.name}, {share:.0%} of labels", method, one_in=one_in)
            found.append(Labelled(arm, "labels", f"{1 - share:.0%} of labels", share, family))
    return [one for one in found if one.method is whole or groups is None or one.group in groups]


def _subsets(modalities: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Each proper subset; single ones and those that lack one only, where there are too many."""
    sizes = range(1, len(modalities))
    found = [subset for size in sizes for subset in combinations(modalities, size)]
    if len(found) <= MOST_SUBSETS:
        return found
    return [subset for subset in found if len(subset) in (1, len(modalities) - 1)]


def run_ablation(
    task: Task, compared: Sequence[Labelled], *, out: Path, split: Split, seed: int, resamples: int
) -> dict[str, Any]:
    """Cross-validate every arm; writes what a benchmark writes, and OUT/ablation.json, whose content it returns."""
    methods, whole = [one.method for one in compared], compared[0].method.name
    metrics = run_benchmark(task, methods, out=out, split=split, seed=seed, resamples=resamples, model=whole)
    write_json({**metrics, "gate": None}, out / "metrics.json")  # the gate asks of baselines, and arms are none
    primary = metrics["primary"]
    lost = {gain["other"]: gain for gain in metrics["gains"]}
    rows = [
        {
            "method": one.method.name,
            "group": one.group,
            "taken": one.taken,
            "share": one.share,
            "family": one.family,
            **metrics["methods"][one.method.name]["metrics"][primary],
            "lost": lost.get(one.method.name),
        }
        for one in compared
    ]
    content = {"metric": primary, "kind": metrics["kind"], "whole": whole, "arms": rows}
    write_json(content, out / "ablation.json")
    return content


def ablation_table(ablation: Mapping[str, Any]) -> str:
    """Every arm: what was taken away, what is left, and what was lost, with its 95 % interval."""
    rows: list[Sequence[str]] = [("arm", "taken away", ablation["metric"], "95 % interval", "lost")]
    for arm in ablation["arms"]:
        lost = arm["lost"]
        rows.append(
            (
                arm["method"],
                arm["taken"],
                number(arm["value"]),
                f"{number(arm['low'])} to {number(arm['high'])}",
                "" if lost is None else f"{number(lost['value'])} ({number(lost['low'])} to {number(lost['high'])})",
            )
        )
    return aligned(rows)
