"""Test a checkpoint on a cohort: python eval/evaluate.py --checkpoint DIR --store STORE --outcome NAME --out OUT.

Tested are people the checkpoint did not see in training: with --split the test participants of the split it was
trained with, else everybody whose salted hash it does not hold. Writes OUT/metrics.json, predictions.parquet and
report.html. Needs no Hydra and no Lightning.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from omicsfm.command import run_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the evaluation; exit status 1 and one message where the input is at fault, 2 on wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder that a fine-tuning wrote")
    parser.add_argument("--store", type=Path, required=True, help="prepared cohort")
    parser.add_argument(
        "--mapping", nargs="+", type=Path, default=[], metavar="FILE", help="tables of identifiers between namespaces"
    )
    parser.add_argument("--outcome", required=True, help="outcome to predict; the checkpoint has a head for it")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--split", type=Path, help="SPLIT.csv that the checkpoint was trained with")
    parser.add_argument("--subgroups", metavar="COLUMN,...", help="visit columns (default: those the cohort names)")
    parser.add_argument("--seed", type=int, default=0, help="of resampling and map (default: 0)")
    parser.add_argument(
        "--resamples", type=_positive, default=1000, help="bootstrap draws of participants (default: 1000)"
    )
    parser.add_argument("--map-visits", type=int, default=2000, help="visits in the map, 0 for none (default: 2000)")
    chosen = parser.parse_args(arguments)
    run_command(lambda: _run(chosen))


def _positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return int(text)


def _run(chosen: argparse.Namespace) -> None:
    from omicsfm.checkpoint import load_checkpoint
    from omicsfm.data.identifiers.bridge import with_mapping
    from omicsfm.data.splits import Split
    from omicsfm.data.store import OmicsStore
    from omicsfm.evaluation.evaluate import evaluate
    from omicsfm.evaluation.output import staged
    from omicsfm.evaluation.summary import evaluation_table
    from omicsfm.report import evaluation_report
    from omicsfm.report.embedding import write_embedding
    from omicsfm.report.missingness import write_missingness

    with staged(chosen.out) as folder:
        store = with_mapping(OmicsStore.open(chosen.store), chosen.mapping)
        evaluation = evaluate(
            load_checkpoint(chosen.checkpoint),
            store,
            chosen.outcome,
            split=None if chosen.split is None else Split.read(chosen.split),
            subgroups=None if chosen.subgroups is None else [part.strip() for part in chosen.subgroups.split(",")],
            seed=chosen.seed,
            resamples=chosen.resamples,
        )
        for warning in evaluation.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        evaluation.write(folder)
        write_missingness(store, folder)
        if chosen.map_visits > 0:
            embedding, visits, colours = evaluation.map_of_visits(most=chosen.map_visits, seed=chosen.seed)
            write_embedding(folder, embedding, visits=visits, colours=colours, seed=chosen.seed)
        evaluation_report(folder, min_cell_count=int(store.manifest["policy"].get("min_cell_count", 10)))
    print(evaluation_table(evaluation.metrics))
    print(f"report: {chosen.out / 'report.html'}")


if __name__ == "__main__":
    main()
