"""The console script ``omicsfm``. A command imports what it needs when it runs, so that ``--help`` answers at once."""

import argparse
import inspect as introspection
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omicsfm import __version__
from omicsfm.command import run_command
from omicsfm.errors import InputError
from omicsfm.memory import bounded_memory, parse_size

if TYPE_CHECKING:
    from omicsfm.data.store import OmicsStore

SIMULATION_HELP = {
    "participants": "people in the cohort",
    "visits": "most visits a participant has",
    "seed": "same seed and arguments, same cohort",
    "genes": "features of the transcriptome; 0 leaves the modality out",
    "proteins": "features of the proteome",
    "metabolites": "features of the metabolome",
    "signal": "strength of every outcome; 0: nothing to learn",
    "factors": "hidden factors behind all modalities",
    "sites": "study sites, each with its own shift",
    "noise": "standard deviation of the measurement, log2 scale",
    "batch_effect": "standard deviation of site and plate shifts, log2 scale",
    "dropout": "probability to leave the study before a visit",
    "missing_modality": "share of visits without a modality",
    "missing_by_health": "above 0 the sick miss more assays",
    "missing_value": "share of values not measured",
    "below_limit": "share of values of what is measured below the detection limit",
    "missing_outcome": "share of outcomes not known",
    "interval_days": "days between planned visits",
    "momentum": "how much of a change goes on at the next visit, -0.95 to 0.95",
}


@dataclass(frozen=True)
class Command:
    """One subcommand: its line in the help, its options, and what it does (returns an exit status or None)."""

    summary: str
    options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]


def _simulate_options(parser: argparse.ArgumentParser) -> None:
    from omicsfm.data.synthetic import simulate

    parser.add_argument("path", type=Path, metavar="COHORT.h5mu", help="file to write")
    for name, parameter in introspection.signature(simulate).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            parser.add_argument(
                f"--{name.replace('_', '-')}",
                type=parameter.annotation,
                default=parameter.default,
                metavar="N" if parameter.annotation is int else "X",
                help=f"{SIMULATION_HELP[name]} (default: {parameter.default})",
            )


def _simulate(arguments: argparse.Namespace) -> None:
    from omicsfm.data.synthetic import simulate

    options = {name: value for name, value in vars(arguments).items() if name not in ("command", "path")}
    written = simulate(arguments.path, **options)
    print(f"{written}: {arguments.participants} participants, seed {arguments.seed}")
    print(f"next: omicsfm prepare {written} STORE/")


def _prepare_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cohort", type=Path, metavar="COHORT", help="COHORT.yaml, .h5mu or .h5ad")
    parser.add_argument("store", type=Path, metavar="STORE", help="folder to write; a store there is replaced")
    parser.add_argument("--part", metavar="I/N", help="prepare one of N parts of the participants, for omicsfm merge")
    _memory_option(parser)


def _memory_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-memory",
        type=_size,
        metavar="SIZE",
        help="most memory to take, such as 4G (default: four fifths of what is left)",
    )


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _prepare(arguments: argparse.Namespace) -> None:
    from omicsfm.data.ingest.preflight import preflight

    preflight(arguments.cohort)  # before what follows imports a second of packages
    from omicsfm.data.ingest.part import Part
    from omicsfm.data.ingest.prepare import prepare

    part = None if arguments.part is None else Part.parse(arguments.part)
    with bounded_memory(arguments.max_memory):
        store = prepare(arguments.cohort, arguments.store, part)
    _print_store(store)
    print(f"next: omicsfm {'inspect' if part is None else 'merge'} {arguments.store}")


def _merge_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", type=Path, metavar="STORE", help="folder to write; a store there is replaced")
    parser.add_argument("parts", type=Path, nargs="*", metavar="PART", help="default: STORE.part-*, beside the store")
    _memory_option(parser)


def _merge(arguments: argparse.Namespace) -> None:
    from omicsfm.data.ingest.merge import merge

    store = arguments.store
    with bounded_memory(arguments.max_memory):
        merged = merge(store, arguments.parts or sorted(store.parent.glob(f"{store.name}.part-*-of-*")))
    _print_store(merged)
    print(f"next: omicsfm inspect {store}; then delete {store}.part-*")


def _print_store(store: "OmicsStore") -> None:
    counts = store.manifest
    print(f"{store.path}: {counts['participants']:,} participants, {counts['visits']:,} visits")
    for name, entry in counts["modalities"].items():
        cells = max(entry["features"] * entry["visits"], 1)
        measured = max(cells - entry["missing"], 1)
        print(
            f"  {name}: {entry['features']:,} features in {entry['visits']:,} visits ({entry['namespace']}, "
            f"{entry['scale']}); {entry['missing'] / cells:.1%} not measured, "
            f"{entry['below_limit'] / measured:.1%} of what is measured below the detection limit"
        )
    for name, spec in store.outcome_specs.items():
        known = int(store.outcome_observed(name).sum())
        print(f"  outcome {name}: {spec.kind} per {spec.level}, known at {known:,} visits")
    for leak in counts["source"].get("leaks", ()):
        print(f"warning: {leak}", file=sys.stderr)


def _split_options(parser: argparse.ArgumentParser) -> None:
    from omicsfm.data.split_options import add_split_options

    parser.add_argument("store", type=Path, metavar="STORE", help="a prepared store")
    parser.add_argument(
        "split", type=Path, metavar="SPLIT.csv", help="file to write; SPLIT.csv.json says how it was made"
    )
    parser.add_argument("--outcome", metavar="NAME", help="balance the folds on this outcome")
    parser.add_argument("--take", type=Path, metavar="FILE", help="check and take these folds instead of making some")
    add_split_options(parser, repeats=1)


def _split(arguments: argparse.Namespace) -> None:
    from omicsfm.data.split_options import split_asked
    from omicsfm.data.split_report import described, take
    from omicsfm.data.store import OmicsStore
    from omicsfm.data.stratify import outcome_labels

    store = OmicsStore.open(arguments.store)
    if arguments.take is not None:
        split = take(arguments.take, store.visits, families_may_cross=arguments.families_may_cross)
    else:
        outcome = None if arguments.outcome is None else store.outcome(arguments.outcome)
        labels = None if outcome is None else outcome_labels(store, outcome)
        split = split_asked(arguments, store.visits, labels)
    split.write(arguments.split)
    print(described(split, store, arguments.outcome))
    print(f"{arguments.split}: SHA-256 {split.sha256}")
    print(f"next: python eval/benchmark.py --store {store.path} --split {arguments.split} --outcome NAME --out OUT")


def _export_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", type=Path, metavar="STORE_OR_RUN", help="prepared store, or run folder of train.py")
    parser.add_argument(
        "path", type=Path, metavar="FILE.h5mu_OR_CHECKPOINT", help="file to write, or for a run a checkpoint folder"
    )


def _export(arguments: argparse.Namespace) -> None:
    if (arguments.store / "config.yaml").is_file():  # written by train.py alone
        from omicsfm.training.export_run import export_run

        what = export_run(arguments.store, arguments.path)
        print(f"{arguments.path}: {what} of {arguments.store}; the best epoch is {arguments.store / 'checkpoint'}")
        return
    from omicsfm.data.export import export_store
    from omicsfm.data.store import OmicsStore

    store = OmicsStore.open(arguments.store)
    written = export_store(store, arguments.path)
    print(f"{written}: {store.manifest['participants']:,} participants, {len(store):,} visits")
    print(f"omicsfm prepare {written} STORE/ gives the same store again (fingerprint {store.fingerprint[:12]})")


def _inspect_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", type=Path, metavar="STORE_OR_H5MU", help="a prepared store, or a cohort to look at first"
    )
    parser.add_argument("--checkpoint", type=Path, metavar="DIR", help="also match the features with a checkpoint's")
    parser.add_argument(
        "--mapping", nargs="+", type=Path, default=[], metavar="FILE", help="tables of identifiers between namespaces"
    )


def _inspect(arguments: argparse.Namespace) -> int:
    from omicsfm.data.inspect import inspect

    report = inspect(arguments.path, checkpoint=arguments.checkpoint, mapping=arguments.mapping)
    print(report.text)
    return 1 if report.problems else 0


def _identifiers_options(parser: argparse.ArgumentParser) -> None:
    from omicsfm.data.identifiers.command import add_options

    add_options(parser)


def _identifiers(arguments: argparse.Namespace) -> None:
    from omicsfm.data.identifiers.command import run

    run(arguments)


def _doctor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run-dir", type=Path, default=Path(), metavar="DIR", help="where runs will be written (default: here)"
    )


def _doctor(arguments: argparse.Namespace) -> int:
    from omicsfm.doctor import examine

    findings = examine(arguments.run_dir)
    print("\n".join(finding.line for finding in findings))
    return 1 if any(finding.stops for finding in findings) else 0


COMMANDS = {
    "simulate": Command("write a longitudinal cohort with known truth", _simulate_options, _simulate),
    "prepare": Command("turn a cohort's tables into a checked store", _prepare_options, _prepare),
    "merge": Command("join the parts of a store that several tasks prepared", _merge_options, _merge),
    "split": Command("say who is trained on and who is tested, in a file", _split_options, _split),
    "export": Command("write a store as one .h5mu, or where a run stands as a checkpoint", _export_options, _export),
    "inspect": Command("dry run: what a store holds and what stands in the way", _inspect_options, _inspect),
    "identifiers": Command("tables that translate feature ids between namespaces", _identifiers_options, _identifiers),
    "doctor": Command("what this machine offers, and what is wrong with it", _doctor_options, _doctor),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command.

    Raises:
        SystemExit: Status 1 when the input or the machine is at fault, 2 on wrong usage.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="omicsfm",
        description="Multi-omics foundation models for human cohorts.",
        epilog="Training and evaluation: python train.py, python eval/benchmark.py, or from an installed wheel "
        "python -m omicsfm.scripts.train, python -m omicsfm.scripts.benchmark.",
    )
    parser.add_argument("--version", action="version", version=f"omicsfm {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=command.summary, description=command.summary.capitalize() + ".")
        if name in argv[:1]:  # options may come from a heavy import
            command.options(subparser)
    arguments = parser.parse_args(argv)
    run_command(lambda: COMMANDS[arguments.command].run(arguments))


if __name__ == "__main__":
    main()
