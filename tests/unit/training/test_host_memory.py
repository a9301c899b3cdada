"""What a step frees stays with the process."""

import platform
import resource

import pytest
import torch

from omicsfm.training.host_memory import kept_between_steps


def pages_of_a_step() -> int:
    """How many pages the system handed out while sixteen tensors of 16 MB came and went, four at a time."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        tensors = [torch.ones(4 << 20) for _ in range(4)]
        del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif("glibc" not in platform.libc_ver(), reason="asks glibc")
def test_a_step_that_comes_again_asks_the_system_for_no_pages() -> None:
    with kept_between_steps():
        pages_of_a_step()
        assert pages_of_a_step() < 1000  # the tensors take 65,536
