"""BioNeMo-SCDL on its memory-mapped store, rows collated as its README does."""

import shutil
from pathlib import Path
from typing import Any

from benchmarks.contestants.measure import measure, run


def contestant(task: dict[str, Any]) -> dict[str, Any]:
    from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset
    from bionemo.scdl.util.torch_dataloader_utils import collate_sparse_matrix_batch
    from torch.utils.data import DataLoader

    store = Path(task["cache"]) / f"{Path(task['h5ad']).stem}.scdl"
    if not store.with_suffix(".complete").exists():
        shutil.rmtree(store, ignore_errors=True)
        SingleCellMemMapDataset(str(store), task["h5ad"], use_X_not_raw=True)
        store.with_suffix(".complete").touch()
    if task.get("prepare"):
        return {}
    data = SingleCellMemMapDataset(str(store))
    loader = DataLoader(data, batch_size=task["batch"], shuffle=True, collate_fn=collate_sparse_matrix_batch)

    def epoch(number: int):  # type: ignore[no-untyped-def]
        return ((batch.shape[0], batch.values()) for batch in loader)

    return measure(task, epoch)


if __name__ == "__main__":
    run(contestant)
