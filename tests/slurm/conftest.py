"""The Slurm that the tests of this room share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, lacking


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running Slurm of two nodes with one core each; skips where it cannot be installed."""
    if reason := lacking():
        pytest.skip(reason)
    with Cluster(Path(tmp_path_factory.mktemp("slurm"))) as cluster:
        yield cluster
