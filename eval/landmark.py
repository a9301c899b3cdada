"""Predict an event from landmarks on: python eval/landmark.py --store STORE --outcome NAME --out OUT --horizons 28 365.

A landmark is a visit, or an age; at each, those who are still at risk are predicted from what was measured until then,
on participant-grouped folds, by omicsfm and by Cox and logistic regression of the last visit, of the covariates alone,
and the landmark supermodel. Writes OUT/split.csv, predictions.parquet, metrics.json and report.html.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from omicsfm.command import run_command
from omicsfm.data.split_options import add_split_options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it; exit status 1 and one message where the input is at fault, 2 on wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="prepared cohort")
    parser.add_argument("--outcome", required=True, help="time to an event, best of level: participant")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--horizons", type=float, nargs="+", required=True, metavar="DAYS", help="risk by so many days from a landmark"
    )
    parser.add_argument("--visits", help="comma-separated names of visits (default: all with enough events after them)")
    parser.add_argument("--ages", type=float, nargs="+", default=[], metavar="YEARS", help="landmarks by age instead")
    parser.add_argument("--checkpoint", type=Path, help="pretrained encoder (default: pretrain in each fold)")
    parser.add_argument(
        "--methods",
        help="comma-separated: linear, logistic, boosting, each also as name[modality+modality]; landmark_cox; omicsfm "
        "(default: all but boosting, linear and logistic on the covariates alone too)",
    )
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="training config, as for train.py")
    parser.add_argument("--split", type=Path, help="SPLIT.csv instead of the options that make one")
    add_split_options(parser, repeats=10)
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap draws of participants (default: 1000)")
    parser.add_argument("--person", metavar="ID", help="draw this participant's risk over time in the report")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    run_command(lambda: _run(chosen))


def _run(chosen: argparse.Namespace) -> None:
    from omicsfm.data.split_options import split_asked
    from omicsfm.data.splits import Split
    from omicsfm.data.store import OmicsStore
    from omicsfm.data.stratify import outcome_labels
    from omicsfm.evaluation.landmark.compare import landmark_methods, run_landmark
    from omicsfm.evaluation.landmark.rows import make_landmark_task
    from omicsfm.evaluation.landmark.summary import landmark_table
    from omicsfm.evaluation.methods import split_names
    from omicsfm.report.landmark import landmark_report

    store = OmicsStore.open(chosen.store)
    visits = split_names(chosen.visits) if chosen.visits else []
    task, said = make_landmark_task(store, chosen.outcome, visits=visits, ages=chosen.ages, horizons=chosen.horizons)
    for line in said:
        logging.warning(line)
    names = split_names(chosen.methods) if chosen.methods else None
    methods = landmark_methods(names, task, checkpoint=chosen.checkpoint, overrides=chosen.set)
    if chosen.split is not None:
        split = Split.read(chosen.split)
    else:
        split = split_asked(chosen, task.visits, outcome_labels(store, task.outcome)[task.rows])
    metrics = run_landmark(
        task, methods, out=chosen.out, split=split, seed=chosen.seed, resamples=chosen.resamples, notes=said
    )
    least = int(store.manifest["policy"].get("min_cell_count", 10))
    report = landmark_report(chosen.out, min_cell_count=least, person=chosen.person)
    print(landmark_table(metrics))
    print(f"report: {report}")


if __name__ == "__main__":
    main()
