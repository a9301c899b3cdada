"""The options by which a command makes a split, and the split that they ask for."""

import argparse
from typing import TYPE_CHECKING

from omicsfm.errors import InputError

if TYPE_CHECKING:  # options are shown by --help, which imports nothing heavy
    import numpy as np
    import pandas as pd

    from omicsfm.data.splits import Split


def add_split_options(parser: argparse.ArgumentParser, *, repeats: int) -> None:
    """Add what says how to split; ``repeats`` is the default of ``--repeats``."""
    parser.add_argument(
        "--group",
        default="participant_id",
        metavar="COLUMN[,COLUMN]",
        help="what is kept in one fold: participant_id, family_id, site, plate or another column of the visits "
        "(default: participant_id, and families where the cohort knows them)",
    )
    parser.add_argument("--repeats", type=positive, default=repeats, help=f"repeats of the folds (default: {repeats})")
    parser.add_argument("--folds", type=positive, default=5, help="folds a repeat (default: 5)")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--leave-one-out", action="store_true", help="one fold a group, instead of --repeats and --folds")
    way.add_argument(
        "--after",
        metavar="DATE_OR_DAYS",
        help="one split in time: train on people measured only before this, test those measured only at or after it",
    )
    parser.add_argument(
        "--cut-visits",
        action="store_true",
        help="with --after, for people who come back: --repeats of --folds, trained on visits before it, tested on the "
        "visits of other people at or after it",
    )
    parser.add_argument(
        "--time-column", default="time_days", metavar="COLUMN", help="what --after is a value of (default: time_days)"
    )
    parser.add_argument(
        "--families-may-cross", action="store_true", help="let members of one family stand on both sides"
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed, same numbers (default: 0)")


def positive(text: str) -> int:
    """A whole number above 0.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


def split_asked(chosen: argparse.Namespace, visits: "pd.DataFrame", labels: "np.ndarray | None" = None) -> "Split":
    """The split of these visits that the options ask for; ``labels`` of the visits balance the folds.

    Raises:
        InputError: The visits cannot be split so.
    """
    from omicsfm.data.folds import leave_one_out, make_split, split_at
    from omicsfm.data.groups import FAMILY
    from omicsfm.data.times import Cut

    by = tuple(name.strip() for name in chosen.group.split(",") if name.strip())
    may_cross = chosen.families_may_cross
    if may_cross and FAMILY in by:
        raise InputError(
            f"--families-may-cross with --group {chosen.group}: families cannot both cross and stay whole."
        )
    if chosen.cut_visits and chosen.after is None:
        raise InputError("--cut-visits: says how to cut in time. Give the time with --after.")
    if chosen.leave_one_out:
        return leave_one_out(visits, by=by, families_may_cross=may_cross)
    if chosen.after is not None and not chosen.cut_visits:
        return split_at(visits, after=chosen.after, column=chosen.time_column, by=by, families_may_cross=may_cross)
    return make_split(
        visits,
        by=by,
        families_may_cross=may_cross,
        labels=labels,
        repeats=chosen.repeats,
        folds=chosen.folds,
        seed=chosen.seed,
        cut=Cut(chosen.after, chosen.time_column) if chosen.cut_visits else None,
    )
