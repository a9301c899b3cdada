"""How well each modality of a cohort is foretold by the others: a table for each, from ``OUT/imputation/MODALITY``.

``metrics.json`` is written by ``omicsfm.evaluation.imputation.compare``.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omicsfm.errors import InputError
from omicsfm.report.results import Difference, Estimate, metric_of
from omicsfm.report.section import Section, section
from omicsfm.report.style import signed
from omicsfm.report.tables import score_cell

SPEARMAN, ABOVE = "spearman", "share of features above"


def imputation_section(folder: Path) -> Section | None:
    """The section, None where the folder holds no imputed modality.

    Raises:
        InputError: A file of it cannot be read.
    """
    tables = []
    for file in sorted(folder.glob("*/metrics.json")):
        try:
            tables.append(_table(json.loads(file.read_text())))
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{file}: cannot be read ({error!r}). Make it again with eval/impute.py.") from error
    if not tables:
        return None
    return section(
        "How well is a missing modality foretold by the others?",
        "A modality is hidden whole from people who were not trained on, and predicted from their others. Each feature "
        "is scored by itself; shown is the median over features, in small print its 95% interval. Ridge regression "
        "reads the same; the mean knows nothing of the person. RMSE is in spreads of the feature.",
        tables=tables,
        wide=True,
    )


def _table(found: Mapping[str, Any]) -> dict[str, object]:
    against = {(one["method"], one["metric"]): one for one in found["differences"]}
    rows = []
    for name, own in found["methods"].items():
        compared, share = against.get((name, SPEARMAN)), against.get((name, ABOVE), {}).get("value")
        cells = [
            {"text": name},
            score_cell(_estimate(own["metrics"][SPEARMAN])),
            {"text": "reference"} if compared is None else _verdict(compared),
            {"text": "–" if share is None else f"{share:.0%}"},
            score_cell(_estimate(own["metrics"]["rmse"])),
        ]
        rows.append({"cells": cells, "focus": name == "omicsfm"})
    hidden = f"{found['target']} ({found['features']:,}) from {' and '.join(found['sources'])}"
    header = [hidden, "Spearman ρ", "against ridge", "features above ridge", "RMSE"]
    return {"header": header, "rows": rows, "map": False}


def _verdict(compared: Mapping[str, Any]) -> dict[str, str]:
    if compared["value"] is None:
        return {"text": "–"}
    difference = Difference(compared["method"], compared["reference"], Estimate(**_ends(compared)))
    verdict = difference.verdict(metric_of(SPEARMAN, "quantity"))
    return {"text": verdict, "small": signed(compared["value"]), "verdict": verdict}


def _estimate(scored: Mapping[str, Any]) -> Estimate | None:
    return None if scored["value"] is None else Estimate(**_ends(scored))


def _ends(scored: Mapping[str, Any]) -> dict[str, float]:
    return {name: scored[name] for name in ("value", "low", "high")}
