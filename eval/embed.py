"""Write the embedding of every visit: python eval/embed.py --checkpoint DIR --store STORE --out EMB.h5ad.

EMB.h5ad is an AnnData: X the embedding, obs the visits, uns["omicsfm"] the checkpoint's digest and the store's
fingerprint. Needs no Hydra and no Lightning.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from omicsfm.command import run_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Embed the store; exit status 1 and one message where the input is at fault, 2 on wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder that a training wrote")
    parser.add_argument("--store", type=Path, required=True, help="prepared cohort")
    parser.add_argument(
        "--mapping", nargs="+", type=Path, default=[], metavar="FILE", help="tables of identifiers between namespaces"
    )
    parser.add_argument("--out", type=Path, required=True, help="file to write, NAME.h5ad")
    chosen = parser.parse_args(arguments)
    run_command(lambda: _run(chosen))


def _run(chosen: argparse.Namespace) -> None:
    from omicsfm.checkpoint import load_checkpoint
    from omicsfm.data.identifiers.bridge import with_mapping
    from omicsfm.data.store import OmicsStore
    from omicsfm.evaluation.embed import require_writable, write_embeddings

    require_writable(chosen.out)
    visits, dim = write_embeddings(
        load_checkpoint(chosen.checkpoint), with_mapping(OmicsStore.open(chosen.store), chosen.mapping), chosen.out
    )
    print(f"{chosen.out}: {visits:,} visits, {dim} dimensions")


if __name__ == "__main__":
    main()
