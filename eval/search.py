"""Search hyper-parameters: python eval/search.py --store STORE --outcome NAME --split SPLIT.csv --out OUT.

Only training participants of one (repeat, fold) of the split take part: each config pretrains and is adapted in inner
folds of them, and is scored there. Writes OUT/experiment/best.yaml, which train.py takes, and OUT/search.json. Finished
inner folds are kept in OUT/folds, so that a second start of the same command goes on where the first stopped.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from omicsfm.command import run_command
from omicsfm.data.split_options import positive


def main(arguments: Sequence[str] | None = None) -> None:
    """Search; exit status 1 and one message where the input is at fault, 2 on wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="prepared cohort")
    parser.add_argument("--outcome", required=True, help="outcome whose prediction is to become better")
    parser.add_argument("--split", type=Path, required=True, help="SPLIT.csv; its tested participants are not touched")
    parser.add_argument("--repeat", type=int, default=0, help="of the split (default: 0)")
    parser.add_argument("--fold", type=int, default=0, help="of the split (default: 0)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--space", type=Path, help="YAML of what may change (default: configs/search/default.yaml)")
    parser.add_argument("--trials", type=positive, default=20, help="configs to try (default: 20)")
    parser.add_argument("--inner-folds", type=positive, default=3, help="of the training participants (default: 3)")
    parser.add_argument("--within", metavar="COLUMN", help="fit and score within each value of a visit column")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="training config to start from, as for train.py"
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed, same numbers (default: 0)")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    run_command(lambda: _run(chosen))


def _run(chosen: argparse.Namespace) -> None:
    from omicsfm.data.splits import Split
    from omicsfm.data.store import OmicsStore
    from omicsfm.errors import InputError
    from omicsfm.evaluation.task import make_task
    from omicsfm.paths import configs_dir
    from omicsfm.search.nested import training_task
    from omicsfm.search.output import claim_search, write_search
    from omicsfm.search.space import read_space
    from omicsfm.search.study import search

    if chosen.inner_folds < 2:
        raise InputError("--inner-folds: at least 2 are needed, one to score what the others trained.")
    space = read_space(chosen.space or configs_dir() / "search" / "default.yaml")
    task = make_task(OmicsStore.open(chosen.store), chosen.outcome, within=chosen.within)
    split = Split.read(chosen.split)
    place = {"repeat": chosen.repeat, "fold": chosen.fold}
    inner = training_task(task, split, **place, folds=chosen.inner_folds, seed=chosen.seed)
    claim_search(chosen.out)
    asked = {"trials": chosen.trials, "overrides": chosen.set, "seed": chosen.seed}
    found = search(inner, space, **asked, keep=chosen.out / "folds")
    record = {"cohort": task.store.name, "outcome": chosen.outcome, "split_sha256": split.sha256, **place, **asked}
    print(write_search(found, record, chosen.out))


if __name__ == "__main__":
    main()
