"""Forecast a later visit: python eval/forecast.py --store STORE --quantity NAME --out OUT, or --every-feature.

A quantity is an outcome, or MODALITY:FEATURE. Each visit that has it is forecast from the participant's visits before
it, on participant-grouped folds, by omicsfm and by what it must beat: the last observation carried forward, a line
through it, that and the omics of the last visit, a linear mixed model. Writes OUT/split.csv, predictions.parquet,
metrics.json and report.html; with --every-feature, features.parquet in place of the last but one.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from omicsfm.command import run_command
from omicsfm.data.split_options import add_split_options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the forecast; exit status 1 and one message where the input is at fault, 2 on wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="prepared cohort")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--quantity", metavar="NAME", help="an outcome, or MODALITY:FEATURE")
    what.add_argument("--every-feature", action="store_true", help="all that is measured at later visits")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--until", type=float, metavar="DAY", help="last day of a history (default: the visit before)")
    parser.add_argument(
        "--between", type=float, nargs=2, metavar=("FIRST", "LAST"), help="days of the visits that are forecast"
    )
    parser.add_argument(
        "--last",
        metavar="NAME",
        help="the quantity is recorded where the history ends (at: next_visit); this is what was known of it there",
    )
    parser.add_argument("--checkpoint", type=Path, help="pretrained encoder (default: pretrain in each fold)")
    parser.add_argument("--person", metavar="ID", help="draw this participant's values and path in the report")
    parser.add_argument("--methods", help="comma-separated (default: all)")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="training config, as for train.py")
    parser.add_argument("--split", type=Path, help="SPLIT.csv instead of the options that make one")
    add_split_options(parser, repeats=10)
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap draws of participants (default: 1000)")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    run_command(lambda: _run(chosen))


def _run(chosen: argparse.Namespace) -> None:
    from omicsfm.data.split_options import split_asked
    from omicsfm.data.splits import Split
    from omicsfm.data.store import OmicsStore
    from omicsfm.errors import InputError
    from omicsfm.evaluation.forecast.compare import forecast_methods, run_forecast
    from omicsfm.evaluation.forecast.encoders import forecast_encoders
    from omicsfm.evaluation.forecast.every_feature import feature_table, run_feature_forecast
    from omicsfm.evaluation.forecast.person_path import FILE as PATH
    from omicsfm.evaluation.forecast.person_path import write_path
    from omicsfm.evaluation.forecast.task import every_feature_task, forecast_task
    from omicsfm.evaluation.methods import split_names
    from omicsfm.evaluation.summary import benchmark_table
    from omicsfm.report import benchmark_report

    between = None if chosen.between is None else (chosen.between[0], chosen.between[1])
    store = OmicsStore.open(chosen.store)
    shared = {"out": chosen.out, "seed": chosen.seed, "resamples": chosen.resamples}
    if chosen.every_feature:
        if any(option is not None for option in (chosen.last, chosen.methods, chosen.person)):
            raise InputError("--every-feature: every method takes part; --last and --person are of a single quantity.")
        task = every_feature_task(store, until=chosen.until, between=between)
        split = split_asked(chosen, task.visits) if chosen.split is None else Split.read(chosen.split)
        encoders = forecast_encoders(chosen.set, checkpoint=chosen.checkpoint)
        print(feature_table(run_feature_forecast(task, encoders, split=split, **shared)))
        return
    task = forecast_task(store, chosen.quantity, last=chosen.last, until=chosen.until, between=between)
    names = split_names(chosen.methods) if chosen.methods else None
    methods = forecast_methods(names, task, checkpoint=chosen.checkpoint, overrides=chosen.set)
    split = split_asked(chosen, task.visits) if chosen.split is None else Split.read(chosen.split)
    (chosen.out / PATH).unlink(missing_ok=True)  # of an earlier run
    if chosen.person is not None:
        encoders = forecast_encoders(chosen.set, checkpoint=chosen.checkpoint)
        write_path(task, encoders, chosen.person, split=split, seed=chosen.seed, out=chosen.out)
    print(benchmark_table(run_forecast(task, methods, split=split, **shared)))
    report = benchmark_report(chosen.out, min_cell_count=int(store.manifest["policy"].get("min_cell_count", 10)))
    print(f"report: {report}")


if __name__ == "__main__":
    main()
