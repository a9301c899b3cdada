"""Compare methods on identical folds: python eval/benchmark.py --store STORE --outcome NAME --out OUT.

Writes OUT/split.csv, predictions.parquet, metrics.json and report.html. Finished folds are kept in OUT/folds, so that
a second start of the same command goes on where the first stopped. The report also answers, where no --methods are
named or as --also asks, on the folds of the first repeat:

    visits         what the visits before allow, where visits are repeated: OUT/forecast (of a quantity) or OUT/landmark
                   (of a time to an event), on all folds
    parts          what pretraining, each modality and each label are worth, as eval/ablate.py does: OUT/ablation
    imputation     how well each modality is foretold by the others, as eval/impute.py does: OUT/imputation
    explanation    which features drive the prediction, as eval/explain.py does: OUT/explanation.*
"""

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omicsfm.command import run_command
from omicsfm.data.split_options import add_split_options

if TYPE_CHECKING:  # options are shown by --help, which imports nothing heavy
    from omicsfm.data.splits import Split
    from omicsfm.data.store import OmicsStore
    from omicsfm.evaluation.pretrained import Pretrained
    from omicsfm.evaluation.task import Task

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; exit status 1 and one message where the input is at fault, 2 on wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="prepared cohort")
    parser.add_argument(
        "--mapping", nargs="+", type=Path, default=[], metavar="FILE", help="tables of identifiers between namespaces"
    )
    parser.add_argument("--outcome", required=True, help="outcome to predict")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--checkpoint", type=Path, help="pretrained encoder for omicsfm (default: pretrain in each fold)"
    )
    parser.add_argument(
        "--pretrain-on",
        nargs="+",
        type=Path,
        default=[],
        metavar="STORE",
        help="other stores that each fold pretrains omicsfm on, beside its training participants",
    )
    parser.add_argument(
        "--methods",
        help="comma-separated: linear, late_fusion, boosting, forest, each also as name[modality+modality]; omicsfm, "
        "also as omicsfm[adaptation] (default: all, linear on each modality alone, omicsfm with and without encoder)",
    )
    parser.add_argument(
        "--also",
        metavar="PART,...",
        help=f"what else the report answers: some of {', '.join(ALSO)}, or none (default: all where no --methods are "
        "named, else none)",
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="training config of omicsfm, as for train.py"
    )
    parser.add_argument("--split", type=Path, help="SPLIT.csv instead of the options that make one")
    add_split_options(parser, repeats=10)
    parser.add_argument("--within", metavar="COLUMN", help="fit and score within each value of a visit column")
    parser.add_argument(
        "--only", metavar="COLUMN=VALUE", help="predict at such visits alone; pretraining reads the others too"
    )
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap draws of participants (default: 1000)")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    run_command(lambda: _run(chosen))


def _run(chosen: argparse.Namespace) -> None:
    from omicsfm.data.identifiers.bridge import with_mapping
    from omicsfm.data.split_options import split_asked
    from omicsfm.data.splits import Split
    from omicsfm.data.store import OmicsStore
    from omicsfm.data.union import alike
    from omicsfm.errors import InputError
    from omicsfm.evaluation.benchmark import fold_labels, run_benchmark
    from omicsfm.evaluation.methods import Method, baseline_methods, default_names, split_names
    from omicsfm.evaluation.pretrained import NAME, WITHOUT_ENCODER, pretrained_methods
    from omicsfm.evaluation.summary import benchmark_table
    from omicsfm.evaluation.task import make_task
    from omicsfm.report import benchmark_report
    from omicsfm.report.missingness import write_missingness

    if chosen.checkpoint is not None and chosen.pretrain_on:
        raise InputError("--pretrain-on: a --checkpoint is not pretrained again. Give one of the two.")
    also = _asked(chosen)
    beside = [OmicsStore.open(path) for path in chosen.pretrain_on]
    store = with_mapping(OmicsStore.open(chosen.store), chosen.mapping)
    task = make_task(store, chosen.outcome, within=chosen.within, only=chosen.only)
    for warning in alike([task.store, *beside]):
        log.warning(warning)
    names = split_names(chosen.methods) if chosen.methods else [*default_names(task), NAME, WITHOUT_ENCODER]
    ours = pretrained_methods(names, checkpoint=chosen.checkpoint, overrides=chosen.set, beside=beside)
    theirs = baseline_methods([name for name in names if name not in ours], task, others=[NAME])
    by_name: dict[str, Method] = {**ours, **{method.name: method for method in theirs}}
    if chosen.split is not None:
        split = Split.read(chosen.split)
    else:
        split = split_asked(chosen, task.visits, fold_labels(task))
    metrics = run_benchmark(
        task,
        [by_name[name] for name in names],
        out=chosen.out,
        split=split,
        seed=chosen.seed,
        resamples=chosen.resamples,
        model=next(iter(ours), None),
    )
    write_missingness(task.store, chosen.out)
    _forget(chosen.out)
    cohort = Cohort(chosen, task, split, beside, ours.get(NAME))
    said = [text for name in also for text in _answer(name, cohort)]
    report = benchmark_report(chosen.out, min_cell_count=cohort.least)
    print("\n\n".join([benchmark_table(metrics), *said]))
    print(f"report: {report}")


@dataclass(frozen=True)
class Cohort:
    """What a part of the report is made from."""

    chosen: argparse.Namespace
    task: "Task"
    split: "Split"
    beside: Sequence["OmicsStore"]
    ours: "Pretrained | None"
    """The method omicsfm, where it was compared: it knows the encoder of every fold."""

    @property
    def least(self) -> int:
        """Fewer people than that are not shown."""
        return int(self.task.store.manifest["policy"].get("min_cell_count", 10))


def _asked(chosen: argparse.Namespace) -> Sequence[str]:
    from omicsfm.errors import InputError, closest
    from omicsfm.evaluation.methods import split_names

    if chosen.also is None:
        return [] if chosen.methods else list(ALSO)
    names = [] if chosen.also == "none" else split_names(chosen.also)
    for name in names:
        if name not in ALSO:
            raise InputError(f"--also: '{name}' is none; {closest(name, [*ALSO, 'none'])}.")
    return names


def _answer(name: str, cohort: Cohort) -> Iterator[str]:
    """A part's tables; where a cohort cannot answer it, the reason in the log."""
    from omicsfm.errors import InputError

    try:
        yield from ALSO[name](cohort)
    except InputError as error:
        log.warning("--also %s: %s", name, error)


def _forget(out: Path) -> None:
    """Take away what an earlier run in this folder said, so that no report shows it beside another's numbers."""
    from omicsfm.evaluation.longitudinal import forget

    forget(out)
    for file in (out / "ablation" / "ablation.json", *(out / "imputation").glob("*/metrics.json")):
        file.unlink(missing_ok=True)


def _visits(cohort: Cohort) -> Iterator[str]:
    from omicsfm.evaluation.longitudinal import FORECAST, LANDMARK, run_longitudinal
    from omicsfm.report import benchmark_report
    from omicsfm.report.landmark import landmark_report

    chosen = cohort.chosen
    if chosen.only is not None:  # all visits are asked
        return
    asked = {"seed": chosen.seed, "resamples": chosen.resamples, "checkpoint": chosen.checkpoint}
    along = run_longitudinal(cohort.task, out=chosen.out, split=cohort.split, overrides=chosen.set, **asked)
    if along is None:
        return
    if (chosen.out / FORECAST / "metrics.json").exists():
        benchmark_report(chosen.out / FORECAST, min_cell_count=cohort.least)
    else:
        landmark_report(chosen.out / LANDMARK, min_cell_count=cohort.least)
    yield along


def _parts(cohort: Cohort) -> Iterator[str]:
    from omicsfm.errors import InputError
    from omicsfm.evaluation.ablation.compare import ablation_table, arms, complete, run_ablation

    chosen = cohort.chosen
    if chosen.checkpoint is not None:
        raise InputError("a --checkpoint is not pretrained again, with or without a part of it.")
    task = complete(cohort.task)
    compared = arms(task, adaptation="probe", overrides=chosen.set, beside=cohort.beside)
    asked = {"seed": chosen.seed, "resamples": chosen.resamples}
    yield ablation_table(
        run_ablation(task, compared, out=chosen.out / "ablation", split=cohort.split.first_repeat(), **asked)
    )


def _imputation(cohort: Cohort) -> Iterator[str]:
    from omicsfm.evaluation.imputation.compare import compare_imputers, imputation_table
    from omicsfm.evaluation.imputation.hidden import hide_modality
    from omicsfm.evaluation.imputation.imputers import IMPUTING, METHODS, imputers
    from omicsfm.evaluation.pretrained import make_encoders

    chosen, store = cohort.chosen, cohort.task.store
    if len(store.modalities) < 2:  # of one there is nothing to ask
        return
    encoders = make_encoders([*IMPUTING, *chosen.set], checkpoint=chosen.checkpoint, beside=cohort.beside)
    methods, split = imputers(METHODS, encoders), cohort.split.first_repeat()
    asked = {"seed": chosen.seed, "resamples": chosen.resamples}
    for target in store.modalities:
        hidden = hide_modality(store, target)
        yield imputation_table(
            compare_imputers(hidden, methods, split, out=chosen.out / "imputation" / target, **asked)
        )


def _explanation(cohort: Cohort) -> Iterator[str]:
    from omicsfm.errors import InputError
    from omicsfm.evaluation.pretrained import NAME, pretrained_methods
    from omicsfm.explain.folds import explain_folds
    from omicsfm.report.explanation import explanation_text, write_explanation

    chosen = cohort.chosen
    if cohort.task.strata is not None:
        raise InputError("a model for each stratum is not explained; eval/explain.py explains one of everybody.")
    method = (
        cohort.ours
        or pretrained_methods([NAME], checkpoint=chosen.checkpoint, overrides=chosen.set, beside=cohort.beside)[NAME]
    )
    explanation = explain_folds(cohort.task, method, cohort.split.first_repeat(), seed=chosen.seed)
    write_explanation(explanation.table, explanation.record, chosen.out)
    yield explanation_text(explanation.table, explanation.record)


ALSO: dict[str, Callable[[Cohort], Iterator[str]]] = {
    "visits": _visits,
    "parts": _parts,
    "imputation": _imputation,
    "explanation": _explanation,
}


if __name__ == "__main__":
    main()
