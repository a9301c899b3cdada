"""Which features drive the prediction: a bar for each of the most important, and how far several models agree.

``OUT/explanation.parquet`` has a row per output and feature (see ``omicsfm.explain.summary``), ``explanation.json``
what must be known to read them; ``write_explanation`` makes both, and ``explanation.csv`` for people.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from omicsfm.errors import InputError
from omicsfm.report.read import write_table
from omicsfm.report.section import Section, section
from omicsfm.report.style import BLUE, INK, MUTED, ORANGE, draw, number

FILES = ("explanation.parquet", "explanation.csv", "explanation.json")
COLUMNS = ("output", "modality", "name", "importance", "share", "direction", "direction_agreement")
MOST_FIGURES = 4
LONGEST_NAME = 30
POOR = 0.4
AGREED = 0.75
"""Share of the models whose sign must be the same for a feature to have a direction."""


def write_explanation(table: pd.DataFrame, record: Mapping[str, Any], out: Path) -> None:
    """Write the table, for machines and for people, and the record; each under a temporary name first."""
    write_table(table, out / FILES[0])
    texts = {FILES[1]: table.to_csv(index=False, float_format="%.6g"), FILES[2]: json.dumps(record, indent=1)}
    for name, text in texts.items():
        partial = out / f".{name}.partial"
        partial.write_text(text)
        partial.replace(out / name)


def read_explanation(out: Path) -> tuple[pd.DataFrame, dict[str, Any]] | None:
    """The table and the record of an OUT folder, None where there are none.

    Raises:
        InputError: They cannot be read.
    """
    file, beside = out / FILES[0], out / FILES[2]
    if not (file.exists() and beside.exists()):
        return None
    try:
        table, record = pd.read_parquet(file), json.loads(beside.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{out}: its explanation cannot be read ({error}). Run eval/explain.py again.") from error
    if missing := [column for column in COLUMNS if column not in table]:
        raise InputError(f"{file}: column '{missing[0]}' is missing. Run eval/explain.py again.")
    return table, record


def explanation_words(record: Mapping[str, Any]) -> str:
    """What the numbers are, of whom, and what they are not."""
    models = len(record["models"])
    trained = f"the mean of {models} models" if models > 1 else "one model"
    return (
        f"How far each measured value moves the prediction of {record['outcome']}, in {record['unit']}, from that of a "
        f"person with the training median of everything: integrated gradients of {trained}, their absolute value "
        f"averaged over {record['participants']:,} participants ({record['whom']}). This is what the model uses; it "
        "need not be what causes the outcome."
    )


def stability_words(record: Mapping[str, Any], output: str) -> str:
    """How far the models agree, in words (thresholds: Nogueira et al. 2018, after Fleiss)."""
    found, parts = record["stability"][output], []
    if found["both ways"]["sets"] is not None:
        agree = {way: number(found[way]["sets"], 2) for way in ("both ways", "values", "embedding")}
        values, embedding = found["values"]["sets"] or 0.0, found["embedding"]["sets"] or 0.0
        parts.append(
            f"Trained again, would a model name the same features? The {record['top']} largest of "
            f"{len(record['models'])} models agree with a stability of {agree['both ways']} "
            f"({_level(found['both ways']['sets'])}; 1 is always the same, 0 is chance). Of what the head reads from "
            f"the values alone it is {agree['values']}, of what passes through the embedding {agree['embedding']}."
        )
        if embedding < POOR and values > embedding:
            parts.append("Rely on the column 'values' of explanation.csv rather than on the bars.")
    parts.append(f"{found['embedding_share']:.0%} of the attributions, sign apart, pass through the embedding.")
    return " ".join(parts)


def _level(stability: float) -> str:
    return "poor" if stability < POOR else "intermediate to good" if stability <= 0.75 else "excellent"


def explanation_text(table: pd.DataFrame, record: Mapping[str, Any], rows: int = 10) -> str:
    """The first features of each output and the stability, for a terminal."""
    lines = []
    for output in record["outputs"]:
        lines.append(f"{_title(record, output)} ({record['unit']}):")
        for feature in table[table["output"] == output].head(rows).to_dict("records"):
            sign = "?" if feature["direction_agreement"] < AGREED else "+" if feature["direction"] > 0 else "-"
            chosen = f"  in {feature['selection_frequency']:.0%} of the models' first {record['top']}"
            lines.append(
                f"  {sign} {feature['importance']:.4f}  {feature['name']} ({feature['modality']})"
                + (chosen if len(record["models"]) > 1 else "")
            )
        lines.append(stability_words(record, output))
    return "\n".join(lines)


def modality_rows(table: pd.DataFrame, record: Mapping[str, Any]) -> tuple[list[str], list[list[dict[str, str]]]]:
    """Header and cells of a table of the modalities' shares, for each output."""
    outputs = list(record["outputs"])
    several = len(outputs) > 1
    header = ["modality", "features", *(output if several else "share of all attributions" for output in outputs)]
    header += [] if several else [f"among the first {record['top']}"]
    rows = []
    for modality, own in table.groupby("modality", sort=False):
        cells = [{"text": str(modality)}, {"text": f"{int((own['output'] == outputs[0]).sum()):,}"}]
        cells += [{"text": f"{own.loc[own['output'] == output, 'share'].sum():.0%}"} for output in outputs]
        if not several:
            cells.append({"text": str(int((table.head(record["top"])["modality"] == modality).sum()))})
        rows.append(cells)
    return header, rows


def explanation_plot(table: pd.DataFrame, record: Mapping[str, Any], output: str, *, name: str) -> str:
    """The most important features of one output: a bar each, and in how many models it is among the first."""
    shown = table[table["output"] == output].head(record["top"])
    several = len(record["models"]) > 1
    modalities = shown["modality"].nunique() > 1

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        places = np.arange(len(shown))
        colours = [
            MUTED if agreed < AGREED else BLUE if up > 0 else ORANGE
            for up, agreed in zip(shown["direction"], shown["direction_agreement"], strict=True)
        ]
        axes.barh(places, shown["importance"], color=colours, height=0.66, alpha=0.85)
        if several:
            for place, frequency in zip(places, shown["selection_frequency"], strict=True):
                text = f"{round(frequency * len(record['models']))}/{len(record['models'])}"
                axes.annotate(
                    text,
                    (1.01, place),
                    xycoords=("axes fraction", "data"),
                    va="center",
                    color=MUTED,
                    fontsize=8.5,
                    annotation_clip=False,
                )
        labels = [
            _short(feature) + (f" · {modality}" if modalities else "")
            for feature, modality in zip(shown["name"], shown["modality"], strict=True)
        ]
        axes.set_yticks(places, labels, color=INK, fontsize=9)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(left=0)
        axes.set_xlabel(f"Mean absolute attribution of the mean model ({record['unit']})")
        axes.set_title(_title(record, output), pad=24)
        for colour, text in ((BLUE, "a higher value raises it"), (ORANGE, "lowers it"), (MUTED, "models differ")):
            if colour in colours:
                axes.barh([0], [0], color=colour, alpha=0.85, label=text)
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2, ncols=3, fontsize=9)

    first = shown.head(10)
    spoken = "; ".join(
        f"{feature} ({modality}) {number(size, 3)}"
        for feature, modality, size in zip(first["name"], first["modality"], first["importance"], strict=True)
    )
    alt = f"Features with the largest attributions for {output}: {spoken}."
    return draw(paint, alt=alt, name=name, width=8.4, height=1.2 + 0.235 * len(shown))


def _title(record: Mapping[str, Any], output: str) -> str:
    return f"What drives the prediction of {output}" if record["kind"] != "class" else f"What speaks for '{output}'"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def explanation_section(out: Path) -> Section | None:
    """The section of an OUT folder's report, None where nothing was explained.

    Raises:
        InputError: The files cannot be read.
    """
    found = read_explanation(out)
    if found is None:
        return None
    table, record = found
    outputs = record["outputs"][:MOST_FIGURES]
    header, rows = modality_rows(table, record)
    plots = [explanation_plot(table, record, output, name=f"explanation{n}") for n, output in enumerate(outputs)]
    captions = [stability_words(record, output) for output in outputs]
    everything = "Every feature, with slope, ranks and how often it was among the first: explanation.csv."
    rest = "" if len(outputs) == len(record["outputs"]) else f" The other {record['outcome']} classes are there, too."
    return section(
        "What drives the prediction?",
        explanation_words(record),
        figures=[{"svg": svg, "caption": caption} for svg, caption in zip(plots, captions, strict=True)],
        tables=[{"header": header, "rows": [{"cells": cells, "focus": False} for cells in rows], "map": False}],
        notes=[*record["cautions"], everything + rest],
        wide=True,
    )
