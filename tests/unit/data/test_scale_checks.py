"""ScaleCheck: what the declared scale cannot hold is refused by name, whatever the blocks it comes in."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from omicsfm.data.ingest.blocks import Matched
from omicsfm.data.ingest.checks import ScaleCheck
from omicsfm.data.ingest.cohort import ModalitySpec
from omicsfm.errors import InputError

ROWS, GENES = 60, 1200


def judged(scale: str, values: np.ndarray | sparse.csr_matrix, blocks: int = 1) -> str:
    """The refusal of these values, or nothing."""
    visits = pd.DataFrame({"participant_id": [f"P{n:02d}" for n in range(ROWS)], "visit": "V0"})
    check = ScaleCheck(
        ModalitySpec("assay", Path("assay.csv"), "local", scale), [f"f{n}" for n in range(values.shape[1])], visits
    )
    pieces = [Matched(values[part], part) for part in np.array_split(np.arange(values.shape[0]), blocks)]
    for piece in pieces:
        check.update(piece)
    try:
        check.finish(lambda: pieces)
    except InputError as error:
        return str(error)
    return ""


def tpm(rng: np.random.Generator) -> np.ndarray:
    values = rng.lognormal(0, 2, (ROWS, GENES))
    return (1e6 * values / values.sum(axis=1, keepdims=True)).astype(np.float32)


def log2_intensities(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(24, 2, (ROWS, 40)).clip(16, 34).astype(np.float32)


def honest(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Values of every scale as assays give them."""
    shares = rng.dirichlet(np.full(30, 0.3), ROWS).astype(np.float32)
    return {
        "counts": rng.poisson(3, (ROWS, 30)).astype(np.float32),
        "tpm": tpm(rng),
        "raw": np.exp2(log2_intensities(rng)),
        "concentration": rng.lognormal(3, 1.5, (ROWS, 30)).astype(np.float32),
        "relative_abundance": shares,
        "log2": log2_intensities(rng),
        "npx": rng.normal(2, 3, (ROWS, 30)).astype(np.float32),
        "log10": log2_intensities(rng) * 0.30103,
        "ln": log2_intensities(rng) * 0.693147,
        "identity": rng.normal(0, 100, (ROWS, 30)).astype(np.float32),
        "covariate": rng.normal(60, 10, (ROWS, 3)).astype(np.float32),
    }


def test_honest_values_of_every_scale_pass(rng) -> None:
    from omicsfm.data.transforms.scales import SCALES

    values = honest(rng)
    assert set(values) == set(SCALES)
    assert {scale: judged(scale, own) for scale, own in values.items() if judged(scale, own)} == {}


@pytest.mark.parametrize(
    ("declared", "true", "message"),
    [
        ("raw", "npx", "set scale: npx or log2 in COHORT.yaml"),
        ("counts", "npx", "set scale: npx or log2 in COHORT.yaml"),
        ("raw", "log2", "If the logarithm was taken, set scale: log2"),
        ("concentration", "log10", "If the logarithm was taken, set scale: log2, log10 or ln"),
        ("npx", "raw", "above 40"),
        ("npx", "concentration", "above 40"),
        ("log2", "raw", "above 64"),
        ("log10", "raw", "above 20"),
        ("ln", "raw", "above 45"),
        ("counts", "tpm", "set scale: tpm"),
        ("relative_abundance", "tpm", "Divide percentages by 100"),
        ("relative_abundance", "counts", "above 1"),
    ],
)
def test_a_wrong_declaration_is_refused_with_the_right_one(rng, declared: str, true: str, message: str) -> None:
    found = judged(declared, honest(rng)[true])
    assert message in found
    assert "scale" in found


def test_logarithms_of_tpm_are_no_tpm(rng) -> None:
    assert "If the logarithm was taken, set scale: log2" in judged("tpm", np.log2(1 + tpm(rng)))


def test_more_than_a_million_transcripts_are_no_tpm(rng) -> None:
    values = tpm(rng)
    values[7] *= 3
    found = judged("tpm", values)
    assert "1 of 60 visits sum to more than 1.05e+06 (most 3e+06, participant P07, visit V0), but TPM sum" in found
    assert judged("tpm", tpm(rng)[:, :1000]) == ""  # a part of the genes sums to less


def test_shares_of_several_taxonomic_levels_are_refused(rng) -> None:
    shares = honest(rng)["relative_abundance"]
    assert "Keep one taxonomic level" in judged("relative_abundance", np.concatenate([shares, shares], axis=1))
    assert judged("relative_abundance", shares[:, :20]) == ""


@pytest.mark.parametrize("sparse_rows", [True, False])
def test_the_verdict_does_not_depend_on_the_blocks(rng, sparse_rows: bool) -> None:
    values = rng.poisson(1, (ROWS, 30)).astype(np.float32)
    values[41, 3], values[50, 2] = -4.0, -1.0
    given = sparse.csr_matrix(values) if sparse_rows else values
    found = judged("counts", given)
    assert "(lowest -4, participant P41, visit V0, feature 'f3')" in found
    assert judged("counts", given, blocks=7) == found


def test_what_was_seen_is_all_that_a_check_remembers(rng) -> None:
    values = honest(rng)["counts"]
    values[3, 4] = 0.5
    whole, first, second = (ScaleCheck(ModalitySpec("a", None, "local", "counts"), ["f"] * 30, pd.DataFrame())
                            for _ in range(3))  # fmt: skip
    whole.update(Matched(values, np.arange(ROWS)))
    first.update(Matched(values[:9], np.arange(9)))
    second.seen = {name: np.array(array) for name, array in first.seen.items()}
    second.update(Matched(values[9:], np.arange(9, ROWS)))
    assert second.seen == whole.seen


def test_without_a_value_there_is_nothing_to_refuse() -> None:
    assert judged("counts", np.full((ROWS, 3), np.nan, np.float32)) == ""
    assert judged("counts", sparse.csr_matrix((ROWS, 3), dtype=np.float32)) == ""
