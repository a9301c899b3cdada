"""``omicsfm identifiers``: build a table of identifiers, show what is in one, translate ids by hand."""

import argparse
from pathlib import Path

from omicsfm.data.identifiers.build import CARRIERS, build, read_mapping
from omicsfm.data.identifiers.table import IdentifierTable
from omicsfm.errors import InputError, closest
from omicsfm.namespaces import NAMESPACES


def add_options(parser: argparse.ArgumentParser) -> None:
    """The three things that the command does, with their options."""
    what = parser.add_subparsers(dest="what", required=True, metavar="build|show|translate")
    make = what.add_parser("build", help="make a table from wheels, an ADAT or your own tables")
    make.add_argument("out", type=Path, metavar="OUT.parquet", help="file to write")
    make.add_argument(
        "--from",
        dest="sources",
        nargs="+",
        required=True,
        metavar="SOURCE",
        help=f"wheels or installed packages ({', '.join(CARRIERS)}), .adat, .csv or .tsv whose columns are namespaces",
    )
    make.add_argument(
        "--columns", nargs="+", default=[], metavar="NAMESPACE=COLUMN", help="which column of a table is a namespace"
    )
    show = what.add_parser("show", help="sources, licences and numbers of ids")
    show.add_argument("table", type=Path, metavar="FILE")
    by_hand = what.add_parser("translate", help="ids of one namespace in another, one line each")
    by_hand.add_argument("table", type=Path, metavar="FILE")
    by_hand.add_argument("source", metavar="NAMESPACE")
    by_hand.add_argument("target", metavar="NAMESPACE")
    by_hand.add_argument("ids", nargs="+", metavar="ID")


def run(arguments: argparse.Namespace) -> None:
    """Do what was asked and print the answer."""
    if arguments.what == "build":
        if arguments.out.suffix != ".parquet":
            raise InputError(
                f"{arguments.out}: a table of identifiers is written as .parquet. Give a name that ends so."
            )
        table = build(arguments.sources, _columns(arguments.columns))
        table.write(arguments.out)
        print(_description(arguments.out, table))
        print(f"next: mapping: {arguments.out} in COHORT.yaml, or --mapping {arguments.out}")
    elif arguments.what == "show":
        print(_description(arguments.table, read_mapping([arguments.table])))
    else:
        for namespace in (arguments.source, arguments.target):
            if namespace not in NAMESPACES:
                raise InputError(f"'{namespace}' is no namespace; {closest(namespace, NAMESPACES)}.")
        table = read_mapping([arguments.table])
        for feature, meaning in zip(
            arguments.ids, table.translate(arguments.ids, arguments.source, arguments.target), strict=True
        ):
            said = " or ".join(meaning.ids) if meaning.ids else "unknown"
            marks = [mark for mark in ("ambiguous", "withdrawn", "reused") if getattr(meaning, mark)]
            print(f"{feature}\t{said}" + (f"\t{', '.join(marks)}" if marks else ""))


def _columns(given: list[str]) -> dict[str, str]:
    for pair in given:
        if "=" not in pair:
            raise InputError(f"--columns {pair}: expected NAMESPACE=COLUMN, such as uniprot=UniProtID.")
    return dict(pair.split("=", 1) for pair in given)


def _description(path: Path, table: IdentifierTable) -> str:
    lines = [f"{path}: {len(table.rows):,} ids, fingerprint {table.fingerprint}"]
    for source in table.sources:
        name = f"{source.name} {source.version}".strip()
        lines.append(f"  from {name} (SHA-256 {source.sha256[:12]}); licence: {source.licence}")
    counts = table.rows.groupby(["namespace", "kind"]).size().unstack(fill_value=0)
    for namespace, row in counts.iterrows():
        lines.append(f"  {namespace}: " + ", ".join(f"{size:,} {kind}" for kind, size in row.items() if size))
    return "\n".join(lines)
