"""Whether the files of a store are those that were written: the tables and shapes at every opening, all on demand.

This finds what was edited by hand, cut or mixed up. Whoever can write a whole store can write a consistent one; the
fingerprint, which stands in every checkpoint, tells it from the one that was trained on.
"""

import hashlib
import json
import tokenize
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from omicsfm.errors import InputError

HASHED_AT_ONCE = 2  # files; more would only wait for the disk
DAMAGED = (ValueError, SyntaxError, EOFError, OverflowError, tokenize.TokenError)  # numpy reads a header as Python


def sha256(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint_of(files: Mapping[str, str]) -> str:
    """SHA-256 over the names and hashes of a store's files."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def hashes_of(folder: Path, names: list[str]) -> dict[str, str]:
    """SHA-256 of these files of a folder."""
    with ThreadPoolExecutor(HASHED_AT_ONCE) as pool:
        return dict(zip(names, pool.map(lambda name: sha256(folder / name), names), strict=True))


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest as it is written: plain JSON values, and under ``checksum`` the SHA-256 of everything else."""
    plain = json.loads(json.dumps(manifest, default=str))
    return {**plain, "checksum": _checksum(plain)}


def check_store_files(path: Path, manifest: Mapping[str, Any]) -> None:
    """What is cheap: the manifest is the one written, the tables have their hashes, the arrays their shapes.

    Raises:
        InputError: The message names the file that was changed.
    """
    if manifest.get("checksum") != _checksum({key: own for key, own in manifest.items() if key != "checksum"}):
        raise InputError(
            f"{path}: the store is damaged: manifest.json is not as it was written (its checksum differs). What it "
            "says of scales, ids and files cannot be relied on; prepare the store again."
        )
    files = manifest["files"]
    for name in files:
        if not (path / name).is_file():
            raise InputError(f"{path}: the store is damaged: {name} is missing. Prepare it again.")
    for name in sorted(files):
        if name.endswith(".parquet") and sha256(path / name) != files[name]:
            raise _changed(path, [name])
    for modality, entry in manifest["modalities"].items():
        for name, shape in _shapes(path / "modalities" / modality, entry, int(manifest["visits"])):
            if shape is not None:
                raise InputError(
                    f"{path}: the store is damaged: modalities/{modality}/{name} {shape}. It was changed after the "
                    "store was written, or comes from another one; prepare the store again."
                )


def check_all_files(path: Path, manifest: Mapping[str, Any]) -> None:
    """Every byte of every file: reads the whole store.

    Raises:
        InputError: The message names the files that were changed.
    """
    found = hashes_of(path, sorted(manifest["files"]))
    changed = [name for name, value in found.items() if value != manifest["files"][name]]
    if changed:
        raise _changed(path, changed)


def _checksum(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _changed(path: Path, names: list[str]) -> InputError:
    listed = ", ".join(names[:5]) + (f", ... ({len(names)} in all)" if len(names) > 5 else "")
    return InputError(f"{path}: the store is damaged: changed after it was written: {listed}. Prepare it again.")


def _shapes(folder: Path, entry: Mapping[str, Any], visits: int) -> Iterator[tuple[str, str | None]]:
    """Each array of a modality, and what is wrong with it."""
    rows, width = int(entry["visits"]), int(entry["features"])
    numbers = _mapped(folder / "rows.npy")
    yield "rows.npy", _unlike(numbers, (rows,), "i")
    if rows and (numbers[0] < 0 or numbers[-1] >= visits):
        yield "rows.npy", f"names visits {numbers[0]:,} to {numbers[-1]:,} of {visits:,}"
    if entry["layout"] == "dense":
        yield "values.npy", _unlike(_mapped(folder / "values.npy"), (rows, width), "f")
    else:
        bounds = _mapped(folder / "indptr.npy")
        yield "indptr.npy", _unlike(bounds, (rows + 1,), "i")
        stored = int(bounds[-1])
        yield "indices.npy", _unlike(_mapped(folder / "indices.npy"), (stored,), "iu")
        yield "data.npy", _unlike(_mapped(folder / "data.npy"), (stored,), "f")
    if (folder / "below_limit.npy").exists():
        yield "below_limit.npy", _unlike(_mapped(folder / "below_limit.npy"), (rows, width), "b")


def _mapped(file: Path) -> np.ndarray:
    try:
        return np.load(file, mmap_mode="r")
    except DAMAGED as error:
        raise InputError(
            f"{file}: the store is damaged: no array of numbers ({' '.join(str(error).split())}). Prepare it again."
        ) from None


def _unlike(array: np.ndarray, shape: tuple[int, ...], kinds: str) -> str | None:
    if array.shape == shape and array.dtype.kind in kinds:
        return None
    found, expected = (" x ".join(f"{n:,}" for n in own) for own in (array.shape, shape))
    return f"holds {found} of {array.dtype}, expected {expected}"
