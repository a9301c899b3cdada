"""How well a hidden modality is foretold: python eval/impute.py --store STORE --out OUT.

    python eval/impute.py --checkpoint DIR --store STORE --out FULL.h5mu

writes the store with every gap imputed, on the model's scale, and a layer that says which values are.

One modality after the other is hidden whole from each test participant and predicted from the rest: by omicsfm
(pretrained on the training participants of each fold, or --checkpoint), by ridge regression from the same inputs and by
the mean. Writes OUT/MODALITY/metrics.json, features.parquet (each feature by itself) and split.csv.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from omicsfm.command import run_command
from omicsfm.data.split_options import add_split_options, positive


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison; exit status 1 and one message where the input is at fault, 2 on wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="prepared cohort")
    parser.add_argument(
        "--mapping", nargs="+", type=Path, default=[], metavar="FILE", help="tables of identifiers between namespaces"
    )
    parser.add_argument(
        "--targets", metavar="MODALITY,...", help="what is hidden and predicted (default: each modality)"
    )
    parser.add_argument(
        "--sources", metavar="MODALITY,...", help="what it is predicted from (default: every other modality)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write, or FULL.h5mu")
    parser.add_argument("--checkpoint", type=Path, help="pretrained model (default: pretrain in each fold)")
    parser.add_argument("--methods", default="omicsfm,ridge,mean", help="comma-separated (default: omicsfm,ridge,mean)")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="training config of omicsfm, as for train.py"
    )
    parser.add_argument("--split", type=Path, help="SPLIT.csv instead of the options that make one")
    add_split_options(parser, repeats=1)
    parser.add_argument(
        "--resamples", type=positive, default=500, help="bootstrap draws of participants (default: 500)"
    )
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    run_command(lambda: _run(chosen))


def _run(chosen: argparse.Namespace) -> None:
    from omicsfm.data.identifiers.bridge import with_mapping
    from omicsfm.data.split_options import split_asked
    from omicsfm.data.splits import Split
    from omicsfm.data.store import OmicsStore
    from omicsfm.evaluation.imputation.compare import compare_imputers, imputation_table
    from omicsfm.evaluation.imputation.hidden import hide_modality
    from omicsfm.evaluation.imputation.imputers import IMPUTING, imputers
    from omicsfm.evaluation.methods import split_names
    from omicsfm.evaluation.pretrained import NAME, make_encoders

    if chosen.out.suffix == ".h5mu":
        return _fill(chosen)
    names = split_names(chosen.methods)
    encoders = make_encoders([*IMPUTING, *chosen.set], checkpoint=chosen.checkpoint) if NAME in names else None
    store = with_mapping(OmicsStore.open(chosen.store), chosen.mapping)
    sources = split_names(chosen.sources) if chosen.sources else None
    targets = (
        split_names(chosen.targets) if chosen.targets else [m for m in store.modalities if m not in (sources or ())]
    )
    tasks = [hide_modality(store, target, sources) for target in targets]
    methods = imputers(names, encoders)
    for task in tasks:
        split = split_asked(chosen, task.visits) if chosen.split is None else Split.read(chosen.split)
        asked = {"seed": chosen.seed, "resamples": chosen.resamples}
        metrics = compare_imputers(task, methods, split, out=chosen.out / task.target, **asked)
        print(imputation_table(metrics), flush=True)
    print(f"each feature: {chosen.out}/MODALITY/features.parquet")


def _fill(chosen: argparse.Namespace) -> None:
    """Impute every gap of the store."""
    from omicsfm.checkpoint import load_checkpoint
    from omicsfm.data.identifiers.bridge import with_mapping
    from omicsfm.data.store import OmicsStore
    from omicsfm.errors import InputError
    from omicsfm.evaluation.imputation.fill import write_filled

    if chosen.checkpoint is None:
        raise InputError(f"--out {chosen.out}: to fill a store takes a --checkpoint, trained with imputer=profile.")
    store = with_mapping(OmicsStore.open(chosen.store), chosen.mapping)
    checkpoint = load_checkpoint(chosen.checkpoint)
    if checkpoint.model.imputer is None:
        print(
            f"warning: {chosen.checkpoint} was trained without imputer=profile: where a visit lacks a whole modality, "
            "the decoder answers from the embedding alone, which foretells less than ridge regression of the others.",
            file=sys.stderr,
        )
    for name, share in write_filled(checkpoint, store, chosen.out).items():
        print(f"{name}: {share:.1%} of the values imputed")
    print(f"{chosen.out}: measured and imputed values, on the model's scale; layer 'imputed' tells them apart")


if __name__ == "__main__":
    main()
