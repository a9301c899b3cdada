"""A file that reaches outside itself, or asks for more memory than it holds, is refused from its headers alone."""

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from benchmarks.hostile.hdf5_files import CRAFTED
from omicsfm.data.ingest.hdf5 import check_hdf5
from omicsfm.errors import InputError

SAID = {
    "external_storage": "/X is stored in another file",
    "external_link": "/X is a link to 'other.h5'",
    "declares_32_gb": "/X declares 32.0 GB",
    "soft_link": "/X is a link to '/obs'",
    "linked_group": "/obs is a link to 'other.h5ad'",
    "virtual_dataset": "/X is stored in another file",
    "vlen_numbers": "/X holds objects",
    "references": "/X holds objects",
    "opaque": "/X holds objects",
    "objects_in_records": "/obs holds objects",
    "one_huge_chunk": "/X declares 3.6 GB",
    "many_empty_layers": "the file declares",
    "one_layer_at_many_places": "the file declares",
    "group_in_itself": "/uns/again stands at two places",
    "doubling_groups": "stands at two places",
    "deep_groups": "lies more than 32 deep",
    "many_entries": "has 100,0",
    "edited_link": "/uns/elsewhere is a link to '../../etc/passwd'",
}


@pytest.mark.parametrize(("name", "craft"), CRAFTED.items())
def test_a_crafted_h5ad_is_refused_from_its_headers(name: str, craft: Callable[[Path], None], tmp_path: Path) -> None:
    craft(tmp_path / "x.h5ad")
    with pytest.raises(InputError) as caught:
        check_hdf5(tmp_path / "x.h5ad")
    assert SAID[name] in str(caught.value)
    assert "x.h5ad: " in str(caught.value)


def test_what_anndata_writes_passes(tmp_path: Path) -> None:
    obs = pd.DataFrame(
        {"c": pd.Categorical(["a", None, "b"]), "n": pd.array([1, None, 3]), "b": pd.array([True, None, False])},
        index=["r1", "r2", "r3"],
    )
    table = anndata.AnnData(sparse.csr_matrix(np.eye(3, dtype=np.float32)), obs, uns={"deep": {"er": np.arange(3)}})
    table.layers["dense"] = np.zeros((3, 3), bool)
    table.write(tmp_path / "x.h5ad", compression="gzip")
    check_hdf5(tmp_path / "x.h5ad")
