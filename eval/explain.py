"""Which features drive a prediction: python eval/explain.py --store STORE --outcome NAME --out OUT.

Integrated gradients of the prediction with respect to the measured values, averaged over participants, and how far
several trainings agree. With --checkpoint the given models are explained; without, one is trained in each fold of a
split, as eval/benchmark.py trains it. Writes OUT/explanation.parquet,
explanation.csv, explanation.json and report.html; an OUT of eval/benchmark.py or eval/evaluate.py keeps its files and
gets a section in its report.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from omicsfm.command import run_command
from omicsfm.data.split_options import add_split_options, positive


def main(arguments: Sequence[str] | None = None) -> None:
    """Explain; exit status 1 and one message where the input is at fault, 2 on wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="prepared cohort")
    parser.add_argument("--outcome", required=True, help="outcome whose prediction is explained")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--checkpoint",
        nargs="+",
        type=Path,
        default=[],
        metavar="DIR",
        help="fine-tuned models to explain, such as those of several folds or seeds (default: train in each fold)",
    )
    parser.add_argument(
        "--mapping",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="tables of identifiers between namespaces, which also name the features",
    )
    parser.add_argument("--top", type=positive, default=25, help="features shown, and compared as a set (default: 25)")
    parser.add_argument("--participants", type=positive, default=200, help="explained, at most (default: 200)")
    parser.add_argument(
        "--split",
        type=Path,
        help="SPLIT.csv: with --checkpoint the one of its training, whose held-out people are explained (default: "
        "everybody); without, instead of the options that make one",
    )
    add_split_options(parser, repeats=1)
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="training config without --checkpoint, as for train.py",
    )
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    run_command(lambda: _run(chosen))


def _run(chosen: argparse.Namespace) -> None:
    from omicsfm.data.identifiers.bridge import with_mapping
    from omicsfm.data.split_options import split_asked
    from omicsfm.data.splits import Split
    from omicsfm.data.store import OmicsStore
    from omicsfm.errors import InputError
    from omicsfm.explain.output import require_place
    from omicsfm.report import explanation_report
    from omicsfm.report.explanation import explanation_text, write_explanation

    store = with_mapping(OmicsStore.open(chosen.store), chosen.mapping)
    require_place(chosen.out, cohort=store.name, outcome=chosen.outcome)
    split = None if chosen.split is None else Split.read(chosen.split)
    asked = {"number": chosen.top, "most": chosen.participants, "seed": chosen.seed}
    if chosen.checkpoint:
        from omicsfm.explain.checkpoints import explain_checkpoints

        if chosen.set:
            raise InputError("--set: a --checkpoint is not trained again. Give one of the two.")
        explanation = explain_checkpoints(chosen.checkpoint, store, chosen.outcome, split=split, **asked)
    else:
        from omicsfm.evaluation.benchmark import fold_labels
        from omicsfm.evaluation.pretrained import NAME, pretrained_methods
        from omicsfm.evaluation.task import make_task
        from omicsfm.explain.folds import explain_folds

        task = make_task(store, chosen.outcome)
        method = pretrained_methods([NAME], overrides=chosen.set)[NAME]
        split = split or split_asked(chosen, task.visits, fold_labels(task))
        explanation = explain_folds(task, method, split, **asked)
    for caution in explanation.record["cautions"]:
        print(f"warning: {caution}", file=sys.stderr)
    write_explanation(explanation.table, explanation.record, chosen.out)
    report = explanation_report(chosen.out, min_cell_count=int(store.manifest["policy"].get("min_cell_count", 10)))
    print(explanation_text(explanation.table, explanation.record))
    print(f"report: {report}")


if __name__ == "__main__":
    main()
