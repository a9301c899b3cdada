"""Crafted .h5ad files: good but for .X, or for one entry beside it, which no reader should follow."""

from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np

VISITS, FEATURES = 20, 50


def good(path: Path) -> h5py.File:
    """A small .h5ad, opened to be spoiled."""
    anndata.AnnData(np.ones((VISITS, FEATURES), np.float32)).write(path)
    return h5py.File(path, "a")


def external_storage(path: Path) -> None:
    """.X is the bytes of another local file (CVE-2026-1669 in another reader)."""
    secret = path.with_name("secret.bin")
    secret.write_bytes(b"\0" * 4000)
    with good(path) as file:
        del file["X"]
        file.create_dataset("X", (VISITS, FEATURES), "f4", external=[(str(secret), 0, 4000)])


def external_link(path: Path) -> None:
    """.X is an array of another file."""
    with h5py.File(path.with_name("other.h5"), "w") as other:
        other["X"] = np.ones((VISITS, FEATURES), np.float32)
    with good(path) as file:
        del file["X"]
        file["X"] = h5py.ExternalLink("other.h5", "/X")


def declares_32_gb(path: Path) -> None:
    """1.4 kB whose .X was never written."""
    with h5py.File(path, "w") as file:
        file.attrs["encoding-type"] = "anndata"
        file.create_dataset("X", (10**6, 8000), "f4", chunks=(1000, 1000), compression="gzip")


def soft_link(path: Path) -> None:
    """.X is a name for something else."""
    with good(path) as file:
        del file["X"]
        file["X"] = h5py.SoftLink("/obs")


def linked_group(path: Path) -> None:
    """The whole of .obs stands in another file."""
    with good(path.with_name("other.h5ad")):
        pass
    with good(path) as file:
        del file["obs"]
        file["obs"] = h5py.ExternalLink("other.h5ad", "/obs")


def virtual_dataset(path: Path) -> None:
    """.X is put together from another file's arrays."""
    with h5py.File(path.with_name("other.h5"), "w") as other:
        other["X"] = np.ones((VISITS, FEATURES), np.float32)
    layout = h5py.VirtualLayout((VISITS, FEATURES), "f4")
    layout[:] = h5py.VirtualSource(str(path.with_name("other.h5")), "X", (VISITS, FEATURES))
    with good(path) as file:
        del file["X"]
        file.create_virtual_dataset("X", layout)


def vlen_numbers(path: Path) -> None:
    """.X holds arrays of any length."""
    with good(path) as file:
        del file["X"]
        file.create_dataset("X", (VISITS,), h5py.vlen_dtype(np.dtype("f4")))


def references(path: Path) -> None:
    """.X holds references to other entries."""
    with good(path) as file:
        del file["X"]
        file.create_dataset("X", (VISITS,), h5py.ref_dtype)


def opaque(path: Path) -> None:
    """.X holds bytes without a meaning, where a pickle would be."""
    with good(path) as file:
        del file["X"]
        file.create_dataset("X", (VISITS,), np.dtype("V64"))


def objects_in_records(path: Path) -> None:
    """.obs is a record array, as old files have it, with arrays in a field."""
    with good(path) as file:
        del file["obs"]
        fields = np.dtype([("index", "S4"), ("more", h5py.vlen_dtype(np.dtype("f4")))])
        file.create_dataset("obs", (VISITS,), fields)


def one_huge_chunk(path: Path) -> None:
    """A small .X in one chunk of 3.6 GB, which a reader inflates as a whole."""
    with good(path) as file:
        del file["X"]
        options = {"maxshape": (None, None), "chunks": (30_000, 30_000), "compression": "gzip"}
        file.create_dataset("X", (VISITS, FEATURES), "f4", **options)


def many_empty_layers(path: Path) -> None:
    """A thousand layers of 60 MB, none of them written."""
    with good(path) as file:
        for number in range(1000):
            file.create_dataset(f"layers/l{number}", (15, 10**6), "f4", chunks=(1, 10**5), compression="gzip")


def one_layer_at_many_places(path: Path) -> None:
    """One array of zeros under ten thousand names."""
    with good(path) as file:
        zeros = np.zeros((10, 10**6), np.float32)
        layer = file.create_dataset("layers/l", data=zeros, compression="gzip", chunks=(1, 10**6))
        for number in range(10_000):
            file[f"layers/l{number}"] = layer


def group_in_itself(path: Path) -> None:
    """A group that contains itself."""
    with good(path) as file:
        file["uns/again"] = file["uns"]


def doubling_groups(path: Path) -> None:
    """Twenty groups, each twice in the one before: 2^20 places."""
    with good(path) as file:
        group = file["uns"]
        for number in range(20):
            below = file.create_group(f"g{number}")
            group["left"] = group["right"] = below
            group = below


def deep_groups(path: Path) -> None:
    """A thousand groups, each in the one before."""
    with good(path) as file:
        file.create_group("uns/" + "/".join("d" for _ in range(1000)))


def many_entries(path: Path) -> None:
    """More entries than any table has columns."""
    with good(path) as file:
        small = file.create_dataset("uns/one", data=1)
        for number in range(100_001):
            file[f"uns/e{number}"] = small


def edited_link(path: Path) -> None:
    """A link whose target was edited by hand."""
    with good(path) as file:
        file["uns/elsewhere"] = h5py.SoftLink("/NOT/A/REAL/LINK")
    whole = path.read_bytes()
    spot = whole.rindex(b"/NOT/A/REAL/LINK")
    path.write_bytes(whole[:spot] + b"../../etc/passwd" + whole[spot + 16 :])


CRAFTED: dict[str, Callable[[Path], None]] = {
    own.__name__: own
    for own in (
        external_storage,
        external_link,
        declares_32_gb,
        soft_link,
        linked_group,
        virtual_dataset,
        vlen_numbers,
        references,
        opaque,
        objects_in_records,
        one_huge_chunk,
        many_empty_layers,
        one_layer_at_many_places,
        group_in_itself,
        doubling_groups,
        deep_groups,
        many_entries,
        edited_link,
    )
}
