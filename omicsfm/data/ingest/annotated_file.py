"""A .h5ad or .h5mu file: its tables and its mapping, without its matrices."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from omicsfm.data.ingest.hdf5 import check_hdf5
from omicsfm.errors import InputError


class AnnotatedFile:
    """A .h5ad or .h5mu, whose headers were looked at before anything is read.

    Raises:
        InputError: The file is damaged, refers to other files, or is none of the two.
    """

    def __init__(self, path: Path) -> None:
        check_hdf5(path)
        self.path = path
        with self.opened() as file:
            self.members: tuple[str, ...] | None = tuple(file["mod"]) if "mod" in file else None
            _columns(file, "obs")  # a file without observations is none of the two

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """The open HDF5 file; what cannot be read of it is one InputError."""
        import h5py

        try:
            with warnings.catch_warnings(), h5py.File(self.path, "r") as file:
                warnings.simplefilter("ignore")  # about the age of the file's format, which is not the user's concern
                yield file
        except InputError:
            raise
        except MemoryError:
            raise
        except Exception as error:  # anndata and h5py raise anything on a file that is not what it says
            said = " ".join(str(error).split())
            raise InputError(f"{self.path}: not readable as {self.path.suffix[1:].lower()} ({said}).") from None

    def obs(self, member: str = "", columns: list[str] | None = None) -> pd.DataFrame:
        """The observations, all or some ``columns`` of them, the index as the first."""
        return self._frame(f"{member}/obs", columns)

    def var(self, member: str, columns: list[str] | None = None) -> pd.DataFrame:
        """The variables, likewise."""
        return self._frame(f"{member}/var", columns)

    def columns(self, name: str) -> list[str]:
        """Column names of a table such as 'obs' or 'mod/proteome/var', the index first."""
        with self.opened() as file:
            return list(_columns(file, name))

    def uns(self, key: str) -> Any:
        """An entry of ``.uns``, None where there is none."""
        from anndata.io import read_elem

        with self.opened() as file:
            return read_elem(file["uns"][key]) if key in file.get("uns", ()) else None

    def _frame(self, name: str, columns: list[str] | None) -> pd.DataFrame:
        from anndata.io import read_elem

        with self.opened() as file:
            stored = _columns(file, name)
            chosen = list(stored) if columns is None else list(dict.fromkeys(columns))
            return pd.DataFrame({column: read_elem(file[name][stored[column]]) for column in chosen}).reset_index(
                drop=True
            )


def _columns(file: Any, name: str) -> dict[str, str]:
    """Column names of a table and what each is called in the file; the index is 'obs_names' where it has no name."""
    import h5py

    frame = file[name]
    if not isinstance(frame, h5py.Group) or "_index" not in frame.attrs:
        raise InputError(
            f"{Path(file.filename).name}: {name} is stored in a way that AnnData left in 2020, or not by AnnData. Read "
            "the file with anndata and write it again."
        )
    index = str(frame.attrs["_index"])
    named = {"_index": "obs_names" if name.endswith("obs") else "var_names"}.get(index, index)
    columns = {str(column): str(column) for column in frame.attrs["column-order"]}
    return columns if named in columns else {named: index} | columns
