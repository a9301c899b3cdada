"""One self-contained ``report.html`` from the files of an OUT folder, and from nothing else.

    metrics.json            scores, differences, subgroups, provenance
    predictions.parquet     every prediction
    missingness.parquet     optional; see ``missingness.py``
    embedding.parquet       optional; see ``embedding.py``
    explanation.parquet     optional; see ``explanation.py``
    ablation.json           optional; see ``ablation.py``; that of a benchmark lies in ablation/
    imputation/             optional; see ``imputation.py``
    forecast/, landmark/    optional; see ``along_visits.py``

No request leaves the page. Nothing in it is about fewer than ``min_cell_count`` participants.
"""

from pathlib import Path

import pandas as pd

from omicsfm.errors import InputError
from omicsfm.report import tables
from omicsfm.report.ablation import ablation_section
from omicsfm.report.along_visits import along_visits
from omicsfm.report.calibration import calibration_plot
from omicsfm.report.discrimination import agreement_plot, error_plot, roc_plot
from omicsfm.report.embedding import PLACE, embedding_plot
from omicsfm.report.explanation import explanation_section, read_explanation
from omicsfm.report.forest import forest_plot
from omicsfm.report.imputation import imputation_section
from omicsfm.report.missingness import missingness_cells
from omicsfm.report.read import read_results
from omicsfm.report.results import Results
from omicsfm.report.section import Section, render, section
from omicsfm.report.style import count
from omicsfm.report.survival_curves import survival_plot
from omicsfm.report.trajectory import trajectory_section
from omicsfm.report.words import encoder_gain, headline, tally


def benchmark_report(out: Path, *, min_cell_count: int = 10) -> Path:
    """Write ``out/report.html``, which compares methods on the same folds, and return its path.

    Raises:
        InputError: ``metrics.json`` or ``predictions.parquet`` is missing or incomplete.
    """
    return _write(out, "Benchmark", min_cell_count)


def evaluation_report(out: Path, *, min_cell_count: int = 10) -> Path:
    """Write ``out/report.html``, which looks at one model on one cohort, and return its path.

    Raises:
        InputError: ``metrics.json`` or ``predictions.parquet`` is missing or incomplete.
    """
    return _write(out, "Evaluation", min_cell_count)


def explanation_report(out: Path, *, min_cell_count: int = 10) -> Path:
    """Write ``out/report.html`` with what drives the prediction, as a part of the report of the benchmark or evaluation
    that ``out`` holds, if any, and return its path.

    Raises:
        InputError: ``explanation.parquet`` or ``explanation.json`` is missing or cannot be read.
    """
    out = Path(out)
    if (out / "metrics.json").exists():
        return _write(out, "Evaluation" if read_results(out).tested else "Benchmark", min_cell_count)
    shown, found = explanation_section(out), read_explanation(out)
    if shown is None or found is None:
        raise InputError(f"{out}: there is no explanation. Make one with eval/explain.py.")
    record = found[1]
    return render(
        out,
        [shown],
        title=f"Explanation: {record['outcome']}",
        eyebrow=f"Explanation · {record['cohort']} · outcome '{record['outcome']}'",
        headline=f"What the model looks at to predict {record['outcome']}",
        cautions=record["cautions"],
        facts=[("participants", f"{record['participants']:,}"), ("models", str(len(record["models"])))],
        provenance=list(record["provenance"].items()),
    )


def _write(out: Path, what: str, least: int) -> Path:
    out = Path(out)
    results = read_results(out)
    sections = [
        ablation_section(out),
        _methods(results),
        _differences(results),
        *along_visits(out),
        ablation_section(out / "ablation"),
        imputation_section(out / "imputation"),
        _looked_at_closely(results, least),
        _subgroups(results, least),
        _readings(results),
        _missingness(out, least, whole=bool(results.tested)),
        explanation_section(out),
        trajectory_section(out, results.predictions, results.focus, results.outcome),
        _embedding(out, least),
    ]
    return render(
        out,
        [one for one in sections if one is not None],
        title=f"{what}: {results.outcome}",
        eyebrow=" · ".join(part for part in (what, results.cohort, f"outcome '{results.outcome}'") if part),
        headline=headline(results),
        tally=results.tested or tally(results),
        cautions=results.cautions,
        facts=_facts(results, least),
        notes=results.notes,
        provenance=list(results.provenance.items()),
        disclosure=f"Groups of fewer than {least} participants are not shown; where one of them would follow from a "
        "total, the next is hidden with it.",
    )


def _facts(results: Results, least: int) -> list[tuple[str, str]]:
    table = results.of(results.focus)
    people = table.drop_duplicates("participant_id")
    facts = [("participants tested", count(len(people), least))]
    visits = table.drop_duplicates(["participant_id", "visit"])
    if len(visits) > len(people):
        facts.append(("visits tested", count(len(visits), least)))
    if results.kind == "survival":
        facts.append(("events", count(int((people["event"] == 1).sum()), least)))
    if results.kind == "competing_risks":
        for cause in results.classes:
            facts.append((cause, count(int((people["cause"] == cause).sum()), least)))
    if results.kind == "class":
        for label in results.classes[:6]:
            own = table.loc[table["y_true"].astype(str) == label, "participant_id"].nunique()
            facts.append((f"{'ever' if len(visits) > len(people) else 'with'} '{label}'", count(own, least)))
    if results.tested:
        if results.excluded:
            facts.append(("left out: seen in training", count(results.excluded, least)))
        return facts
    folds = table[["repeat", "fold"]].drop_duplicates()
    facts.append(("folds", f"{folds['repeat'].nunique()} × {folds['fold'].nunique()}"))
    facts.append(("methods", str(len(results.scores))))
    return facts


def _methods(results: Results) -> Section:
    if results.tested:
        return section(
            "How well does it predict?",
            "The interval says how far the value could be off by the choice of these people. The last column is what "
            "the average answer, given to everybody, would score: where it is nearly as good, little was predicted.",
            tables=[tables.metric_table(results)],
        )
    return section(
        "How well does each method predict?",
        f"Every method was scored on people it had not been trained on, on the same folds, the best in "
        f"{results.primary.label} first. In small print the 95% interval.",
        tables=[tables.method_table(results)],
        notes=[tables.glossary(results)],
    )


def _differences(results: Results) -> Section | None:
    differences = [d for d in results.differences if d.estimate.value == d.estimate.value]
    if not differences:
        return None
    return section(
        f"Is any of them better than {differences[0].reference}?",
        "The same people, method against method. Where the bar crosses the line the two tie: the data do not tell them "
        "apart.",
        figures=[{"svg": forest_plot(differences, metric=results.primary), "caption": ""}],
        notes=[text for text in [encoder_gain(results)] if text],
        wide=True,
    )


def _looked_at_closely(results: Results, least: int) -> Section | None:
    if results.kind == "competing_risks" or "entry_days" in results.predictions:
        return section(
            "The predictions, looked at closely",
            "Curves and calibration of competing risks, and of participants who enter late, are drawn from landmarks: "
            "see eval/landmark.py.",
        )
    if results.kind == "quantity" and "rmse" not in results.scores[results.focus]:
        return None  # ranks alone were scored: predictions and truth may be in two units
    figures: list[dict[str, str | None]] = []
    shown: list[dict[str, object]] = []
    if results.kind == "class":
        caption = "The further towards the upper left, the better."
        figures.append({"svg": roc_plot(results, least=least), "caption": caption})
        if len(results.classes) > 2:
            shown.append(tables.confusion_table(results, least=least))
    if results.kind == "quantity":
        caption = "A dot is the mean of a group of people with similar predictions, a bar the middle half of them."
        figures.append({"svg": agreement_plot(results, least=least), "caption": caption})
        caption = "The steeper the curve, the better. It stops short of the largest errors: those are single people."
        figures.append({"svg": error_plot(results, least=least), "caption": caption})
    if results.kind == "survival":
        caption = (
            "Three equal groups by predicted risk. Shaded: 95% interval. A curve ends where too few people are left to "
            "follow. Risk is ranked within folds."
        )
        figures.append({"svg": survival_plot(results, least=least), "caption": caption})
    if results.kind != "quantity":
        caption = (
            "On the dashed line risks are true to the letter; below it they are overstated. A bar is a 95% interval. "
            "Below: how often each risk was given."
        )
        figures.append({"svg": calibration_plot(results, least=least), "caption": caption})
    drawn = [figure for figure in figures if figure["svg"] is not None]
    left_out = f"Some plots are left out: a group has fewer than {least} participants."
    notes = [] if len(drawn) == len(figures) else [left_out]
    if not drawn and not shown:
        return section("The predictions, looked at closely", left_out)
    others = f", next to {results.contrast[1]}" if len(results.contrast) > 1 else ""
    lead = f"What the predictions of {results.focus} look like{others}."
    return section("The predictions, looked at closely", lead, figures=drawn, tables=shown, notes=notes)


def _subgroups(results: Results, least: int) -> Section | None:
    if not results.subgroups:
        return None
    return section(
        "Does it hold for everybody?",
        "The same score within groups of participants. Small groups have wide intervals: compare those, not values.",
        tables=[tables.subgroup_table(results, least=least)],
    )


def _readings(results: Results) -> Section | None:
    if not results.readings:
        return None
    return section(
        "What could the model read?",
        "A feature that the model knows and the cohort lacks counts as not measured. The fewer are found, the less the "
        "model is the one that was trained.",
        tables=[tables.reading_table(results)],
    )


def _missingness(out: Path, least: int, *, whole: bool) -> Section | None:
    table = _optional(out / "missingness.parquet", ("modality", "visit", "participants", "measured"))
    if table is None:
        return None
    header, rows = missingness_cells(table, least=least)
    return section(
        "Who was measured for what?",
        "Share of the participants seen at a visit who have the assay"
        + (", in the whole cohort, tested or not." if whole else "."),
        tables=[{"header": header, "rows": [{"cells": cells, "focus": False} for cells in rows], "map": True}],
    )


def _embedding(out: Path, least: int) -> Section | None:
    table = _optional(out / "embedding.parquet", PLACE)
    if table is None:
        return None
    figures = []
    for place, column in enumerate(c for c in table if c not in PLACE):
        svg = embedding_plot(table, str(column), least=least, name=f"embedding{place}")
        if svg is not None:
            figures.append({"svg": svg, "caption": ""})
    if not figures:
        return None
    return section(
        "How does the model see the visits?",
        "Visits that look alike to the model lie close together (UMAP). Where the outcome's colours part, the model "
        "sees it; where the site's colours part, it sees where a sample was taken.",
        figures=figures,
    )


def _optional(file: Path, columns: tuple[str, ...]) -> pd.DataFrame | None:
    if not file.exists():
        return None
    table = pd.read_parquet(file)
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(f"{file}: column '{missing[0]}' is missing; it needs {', '.join(columns)}.")
    return table
