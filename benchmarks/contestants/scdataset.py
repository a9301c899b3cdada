"""scDataset on the .h5ad, blocks of 16 rows, 64 batches a fetch."""

from typing import Any

from benchmarks.contestants.measure import measure, run


def contestant(task: dict[str, Any]) -> dict[str, Any]:
    import anndata
    from scdataset import BlockShuffling, scDataset

    loader = scDataset(
        anndata.read_h5ad(task["h5ad"], backed="r"),
        BlockShuffling(block_size=16),
        batch_size=task["batch"],
        fetch_factor=64,
        fetch_transform=lambda part: part.X,
    )

    def epoch(number: int):  # type: ignore[no-untyped-def]
        return ((batch.shape[0], batch.data) for batch in loader)

    return measure(task, epoch)


if __name__ == "__main__":
    run(contestant)
