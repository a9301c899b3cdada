"""What a benchmark of a cohort with repeated visits also found, from OUT/forecast or OUT/landmark."""

import json
from pathlib import Path

from omicsfm.report.landmark import score_sections
from omicsfm.report.read import read_results
from omicsfm.report.section import Section, section
from omicsfm.report.tables import method_table


def along_visits(out: Path) -> list[Section]:
    """The sections; none where neither folder holds a result."""
    found = []
    if (out / "forecast" / "metrics.json").exists():
        results = read_results(out / "forecast")
        found.append(
            section(
                f"Forecast: {results.outcome}",
                "Another question, on the same folds: these methods read the visits before the one that is forecast, "
                "earlier values of the outcome among them. The last observation carried forward is what most "
                "longitudinal models lose to. More in forecast/report.html.",
                tables=[method_table(results)],
                wide=True,
            )
        )
    if (out / "landmark" / "metrics.json").exists():
        found += score_sections(json.loads((out / "landmark" / "metrics.json").read_text()))  # more in its report.html
    return found
