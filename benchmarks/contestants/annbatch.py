"""annbatch (scverse), with the Rust codecs, on its own pre-shuffled store."""

import shutil
from pathlib import Path
from typing import Any

from benchmarks.contestants.measure import measure, run


def contestant(task: dict[str, Any]) -> dict[str, Any]:
    import anndata
    import zarr
    from annbatch import DatasetCollection, Loader

    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    store = Path(task["cache"]) / f"{Path(task['h5ad']).stem}.annbatch.zarr"
    if not (store.parent / f"{store.name}.complete").exists():
        shutil.rmtree(store, ignore_errors=True)
        DatasetCollection(str(store)).add_adatas([task["h5ad"]], dataset_size=50_000)
        (store.parent / f"{store.name}.complete").touch()
    if task.get("prepare"):
        return {}
    loader = Loader(batch_size=task["batch"], shuffle=True, chunk_size=512, preload_nchunks=32, to="torch")
    loader.use_collection(
        DatasetCollection(str(store)), load_adata=lambda group: anndata.AnnData(X=anndata.io.sparse_dataset(group["X"]))
    )

    def epoch(number: int):  # type: ignore[no-untyped-def]
        for batch in loader:
            yield batch["X"].shape[0], batch["X"].values()

    return measure(task, epoch)


if __name__ == "__main__":
    run(contestant)
