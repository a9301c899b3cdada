"""What each part of omicsfm is worth: python eval/ablate.py --store STORE --outcome NAME --out OUT.

One command, one set of folds: no pretraining, a prior of co-measurement and a random one, permuted labels, every subset
of the modalities at the same visits, a linear model of everything and of the covariates alone, and the outcome known of
10, 25, 50 and 100 % of the training participants. Writes what eval/benchmark.py writes, and OUT/ablation.json; the
report has the table and the curve. A second start of the same command goes on where the first stopped.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from omicsfm.command import run_command
from omicsfm.data.split_options import add_split_options, positive


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the ablation; exit status 1 and one message where the input is at fault, 2 on wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="prepared cohort")
    parser.add_argument(
        "--mapping", nargs="+", type=Path, default=[], metavar="FILE", help="tables of identifiers between namespaces"
    )
    parser.add_argument("--outcome", required=True, help="outcome to predict")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--adaptation",
        default="probe",
        help="how omicsfm is fitted to the outcome: probe (default; shows the embedding alone) or stack",
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
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="training config of omicsfm, as for train.py"
    )
    parser.add_argument("--split", type=Path, help="SPLIT.csv instead of the options that make one")
    add_split_options(parser, repeats=1)
    parser.add_argument("--within", metavar="COLUMN", help="fit and score within each value of a visit column")
    parser.add_argument(
        "--only", metavar="COLUMN=VALUE", help="predict at such visits alone; pretraining reads the others too"
    )
    parser.add_argument(
        "--arms", metavar="GROUP,...", help="some of: model, linear, prior, modalities, labels (default: all)"
    )
    parser.add_argument(
        "--resamples", type=positive, default=1000, help="bootstrap draws of participants (default: 1000)"
    )
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    run_command(lambda: _run(chosen))


def _run(chosen: argparse.Namespace) -> None:
    from omicsfm.data.identifiers.bridge import with_mapping
    from omicsfm.data.split_options import split_asked
    from omicsfm.data.splits import Split
    from omicsfm.data.store import OmicsStore
    from omicsfm.evaluation.ablation.compare import ablation_table, arms, complete, run_ablation
    from omicsfm.evaluation.benchmark import fold_labels
    from omicsfm.evaluation.methods import split_names
    from omicsfm.evaluation.task import make_task
    from omicsfm.report import benchmark_report

    beside = [OmicsStore.open(path) for path in chosen.pretrain_on]
    store = with_mapping(OmicsStore.open(chosen.store), chosen.mapping)
    whole = make_task(store, chosen.outcome, within=chosen.within, only=chosen.only)
    task = complete(whole)
    if len(task) < len(whole):
        logging.info("%d of %d visits have every modality; the others are left out", len(task), len(whole))
    groups = split_names(chosen.arms) if chosen.arms else None
    compared = arms(task, adaptation=chosen.adaptation, overrides=chosen.set, beside=beside, groups=groups)
    split = split_asked(chosen, task.visits, fold_labels(task)) if chosen.split is None else Split.read(chosen.split)
    ablation = run_ablation(task, compared, out=chosen.out, split=split, seed=chosen.seed, resamples=chosen.resamples)
    report = benchmark_report(chosen.out, min_cell_count=int(store.manifest["policy"].get("min_cell_count", 10)))
    print(ablation_table(ablation))
    print(f"report: {report}")


if __name__ == "__main__":
    main()
