"""AnnLoader (anndata) on the .h5ad, backed."""

from typing import Any

from benchmarks.contestants.measure import measure, run


def contestant(task: dict[str, Any]) -> dict[str, Any]:
    import warnings

    import anndata
    from anndata.experimental import AnnCollection, AnnLoader

    warnings.simplefilter("ignore")
    data = anndata.read_h5ad(task["h5ad"], backed="r")
    loader = AnnLoader(AnnCollection([data], join_vars="inner"), batch_size=task["batch"], shuffle=True, use_cuda=False)

    def epoch(number: int):  # type: ignore[no-untyped-def]
        for batch in loader:
            yield batch.X.shape[0], batch.X.coalesce().values() if batch.X.is_sparse else batch.X

    return measure(task, epoch)


if __name__ == "__main__":
    run(contestant)
