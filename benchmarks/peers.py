"""Environments of the peers, which ask for other versions of Python and packages than omicsfm.

``OMICSFM_PEERS="annbatch=/path/to/python,scdl=/path/to/python"`` names environments that are there; what is not named
is made in the cache folder with pip. A peer that cannot be installed is reported as such.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

TORCH = next(
    line
    for line in (Path(__file__).parents[1] / "constraints.txt").read_text().splitlines()
    if line.startswith("torch==")
)
"""The torch that all are measured with; an unpinned one may bring a build for GPUs."""
PEERS = {
    "annbatch": ("3.12", ["annbatch[zarrs,torch]"]),
    "scdataset": ("3.11", ["scdataset", "anndata", TORCH]),
    "scdl": ("3.12", ["bionemo-scdl"]),
    "flexynesis": ("3.11", [TORCH, "flexynesis"]),
}
"""Python version and packages."""
LOADERS = ("annbatch", "scdataset", "scdl")
OF_OURS = ("annloader",)  # comes with anndata


def cache_folder() -> Path:
    """Where data and environments are kept: ``OMICSFM_BENCH_CACHE``, or a folder of this clone."""
    return Path(os.environ.get("OMICSFM_BENCH_CACHE", "outputs/benchmarks/cache")).resolve()


def python_of(peer: str) -> str | None:
    """The interpreter that has this peer, None where it cannot be had."""
    if peer in OF_OURS:
        return sys.executable
    named = dict(part.split("=", 1) for part in os.environ.get("OMICSFM_PEERS", "").split(",") if part)
    return named.get(peer) or _made(peer)


def versions(peer: str, python: str) -> str:
    """Name and version of every package the peer's environment holds that matters, as pip says them."""
    listed = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=False).stdout
    wanted = ("annbatch", "zarrs", "scdataset", "bionemo-scdl", "flexynesis", "lightning", "anndata", "torch", "numpy")
    return ", ".join(line for line in listed.splitlines() if line.lower().split("==")[0] in wanted)


def _made(peer: str) -> str | None:
    version, packages = PEERS[peer]
    folder = cache_folder() / "environments" / peer
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return str(python)
    base = shutil.which(f"python{version}") or (sys.executable if sys.version.startswith(version) else None)
    if base is None:
        print(f"{peer}: no CPython {version} found; name one with OMICSFM_PEERS={peer}=/path/to/python")
        return None
    shutil.rmtree(folder, ignore_errors=True)
    try:
        subprocess.run([base, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"{peer}: cannot be installed ({error})")
        return None
    (folder / "complete").touch()
    return str(python)
