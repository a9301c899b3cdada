"""Compare methods on identical folds: python eval/benchmark.py --store STORE --outcome NAME --out OUT.

Writes OUT/split.csv, predictions.parquet, metrics.json and report.html. Finished folds are kept in OUT/folds, so that
a second start of the same command goes on where the first stopped. Where visits are repeated and no --methods are
named, OUT/forecast (of a quantity) or OUT/landmark (of a time to an event) is made too: what the visits before allow.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from omicsfm.command import run_command
from omicsfm.data.split_options import add_split_options


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
        "also as omicsfm[adaptation] (default: all, linear on each modality alone, and what is compared along visits)",
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
    from omicsfm.evaluation.longitudinal import FORECAST, LANDMARK, forget, run_longitudinal
    from omicsfm.evaluation.methods import Method, baseline_methods, default_names, split_names
    from omicsfm.evaluation.pretrained import NAME as PRETRAINED
    from omicsfm.evaluation.pretrained import pretrained_methods
    from omicsfm.evaluation.summary import benchmark_table
    from omicsfm.evaluation.task import make_task
    from omicsfm.report import benchmark_report
    from omicsfm.report.landmark import landmark_report
    from omicsfm.report.missingness import write_missingness

    if chosen.checkpoint is not None and chosen.pretrain_on:
        raise InputError("--pretrain-on: a --checkpoint is not pretrained again. Give one of the two.")
    beside = [OmicsStore.open(path) for path in chosen.pretrain_on]
    store = with_mapping(OmicsStore.open(chosen.store), chosen.mapping)
    task = make_task(store, chosen.outcome, within=chosen.within, only=chosen.only)
    for warning in alike([task.store, *beside]):
        logging.warning(warning)
    names = split_names(chosen.methods) if chosen.methods else [*default_names(task), PRETRAINED]
    ours = pretrained_methods(names, checkpoint=chosen.checkpoint, overrides=chosen.set, beside=beside)
    theirs = baseline_methods([name for name in names if name not in ours], task, others=[PRETRAINED])
    by_name: dict[str, Method] = {**ours, **{method.name: method for method in theirs}}
    methods = [by_name[name] for name in names]
    if chosen.split is not None:
        split = Split.read(chosen.split)
    else:
        split = split_asked(chosen, task.visits, fold_labels(task))
    metrics = run_benchmark(
        task,
        methods,
        out=chosen.out,
        split=split,
        seed=chosen.seed,
        resamples=chosen.resamples,
        model=next(iter(ours), None),
    )
    write_missingness(task.store, chosen.out)
    along = None
    forget(chosen.out)
    if not chosen.methods and chosen.only is None:  # which asks of all visits
        along = run_longitudinal(
            task,
            out=chosen.out,
            split=split,
            seed=chosen.seed,
            resamples=chosen.resamples,
            checkpoint=chosen.checkpoint,
            overrides=chosen.set,
        )
    least = int(task.store.manifest["policy"].get("min_cell_count", 10))
    report = benchmark_report(chosen.out, min_cell_count=least)
    print(benchmark_table(metrics))
    if along:
        print(f"\n{along}")
        if (chosen.out / FORECAST / "metrics.json").exists():
            benchmark_report(chosen.out / FORECAST, min_cell_count=least)
        else:
            landmark_report(chosen.out / LANDMARK, min_cell_count=least)
    print(f"report: {report}")


if __name__ == "__main__":
    main()
