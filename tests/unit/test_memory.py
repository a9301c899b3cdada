"""Memory that a command may take: what was allowed is all it gets, and afterwards all is as before."""

import os
import resource
from pathlib import Path

import numpy as np
import pytest

from omicsfm.errors import InputError
from omicsfm.memory import bounded_memory, memory_left, parse_size

LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the bound is Linux's")


@pytest.mark.parametrize(
    ("text", "size"), [("4G", 4 << 30), ("800M", 800 << 20), ("1.5 GiB", 3 << 29), ("2tb", 2 << 40), ("512", 512)]
)
def test_a_size_is_read_in_powers_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-4G", "4 Gx", "0", "1e9", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no size of memory"):
        parse_size(text)


def test_what_is_left_is_no_more_than_the_machine_has() -> None:
    total = resource.getpagesize() * os.sysconf("SC_PHYS_PAGES")
    assert 0 <= memory_left() <= total


@LINUX
def test_more_than_was_allowed_is_refused_and_the_bound_is_lifted_afterwards() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(InputError, match=r"more than the 0\.1 GB of memory .* --max-memory"), bounded_memory(1 << 27):
        np.ones(1 << 26)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    np.ones(1 << 26)


@LINUX
def test_what_fits_passes() -> None:
    with bounded_memory(1 << 28):
        assert np.ones(1 << 20).sum() == 1 << 20
