"""What drives the prediction, as a section of a report: complete, plain about stability, and drawn for every output."""

import re

import pandas as pd
import pytest

from omicsfm.errors import InputError
from omicsfm.report import explanation_report
from omicsfm.report.explanation import explanation_text, read_explanation, stability_words, write_explanation


def made(outputs=("mild", "severe"), models=("fold 0", "fold 1"), features=40):
    """A table and a record as ``omicsfm.explain.summary`` makes them."""
    rows = [
        {
            "modality": "proteome" if place % 4 else "metabolome",
            "feature_id": f"P{place:05d}",
            "name": f"<protein> & {place}",
            "output": output,
            "importance": 1 / (1 + place),
            "share": 1 / features,
            "direction": 1 if place % 2 else -1,
            "direction_agreement": 1.0 if place % 3 else 0.5,
            "selection_frequency": 0.5,
        }
        for output in outputs
        for place in range(features)
    ]
    agreed = {"sets": 0.31, "ranks": 0.5} if len(models) > 1 else {"sets": None, "ranks": None}
    ways = dict.fromkeys(("both ways", "values", "embedding"), agreed)
    record = {
        "cohort": "own",
        "outcome": "stage",
        "kind": "class",
        "outputs": list(outputs),
        "unit": "log odds",
        "models": list(models),
        "participants": 60,
        "whom": "everybody",
        "features": features,
        "top": 10,
        "stability": {output: {**ways, "embedding_share": 0.25} for output in outputs},
        "cautions": ["Attributions miss 3.0% of what they should sum to."],
        "provenance": {"store": "own"},
    }
    return pd.DataFrame(rows), record


def test_an_explanation_alone_makes_a_report_with_a_figure_for_each_output(tmp_path) -> None:
    table, record = made()
    write_explanation(table, record, tmp_path)
    page = explanation_report(tmp_path).read_text()
    assert len(re.findall(r"<svg ", page)) == 2
    assert "Attributions miss 3.0%" in page
    assert "60 participants (everybody)" in page
    assert "<protein>" not in page  # names are text, not markup
    assert not re.search(r'(?:src|href)="https?:', page)
    found = read_explanation(tmp_path)
    assert found is not None
    pd.testing.assert_frame_equal(found[0], table)
    assert pd.read_csv(tmp_path / "explanation.csv")["name"].tolist() == table["name"].tolist()


def test_stability_is_said_in_words_and_one_model_has_none() -> None:
    _, record = made()
    assert "a stability of 0.31 (poor; " in stability_words(record, "mild")
    assert "Rely on" not in stability_words(record, "mild")
    record["stability"]["mild"]["values"] = {"sets": 0.8, "ranks": 0.9}
    assert "Rely on the column 'values'" in stability_words(record, "mild")
    _, alone = made(models=("run",))
    assert "stability" not in stability_words(alone, "mild")
    assert "25% of the attributions" in stability_words(alone, "mild")


def test_a_direction_that_the_models_do_not_share_is_not_given() -> None:
    table, record = made(outputs=("mild",))
    lines = explanation_text(table, record).splitlines()
    assert lines[1].startswith("  ? 1.0000  <protein> & 0")
    assert lines[2].startswith("  + 0.5000")
    assert lines[3].startswith("  - 0.3333")


def test_a_folder_without_an_explanation_says_how_to_make_one(tmp_path) -> None:
    with pytest.raises(InputError, match=r"eval/explain\.py"):
        explanation_report(tmp_path)
