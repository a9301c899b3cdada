"""The report: self-contained, true to the files, plain about ties, silent about small groups."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter

from omicsfm.errors import InputError
from omicsfm.report import benchmark_report, evaluation_report
from omicsfm.report.calibration import wilson
from omicsfm.report.results import Difference, Estimate, metric_of
from omicsfm.report.survival_curves import survival_curve

METHODS = ("omicsfm", "elastic net", "random forest")
HEADLINE = {"class": "auroc", "quantity": "pearson", "survival": "harrell_c"}


def predictions_of(kind: str, *, people: int, methods: tuple[str, ...], classes: tuple[str, ...]) -> pd.DataFrame:
    """Made-up predictions that are right more often than not, in two repeats of five folds."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=people)
    fold = np.arange(people) % 5
    frames = []
    for place, method in enumerate(methods):
        for repeat in range(2):
            score = truth + rng.normal(scale=1.0 + place, size=people)
            frame = pd.DataFrame(
                {
                    "method": method,
                    "repeat": repeat,
                    "fold": fold,
                    "participant_id": [f"P{i:03d}" for i in range(people)],
                    "visit": "1",
                    "outcome": "remission",
                }
            )
            if kind == "class":
                rank = np.argsort(np.argsort(truth)) / people
                frame["y_true"] = np.array(classes)[(rank * len(classes)).astype(int)]
                logits = np.outer(score, np.arange(len(classes))) - 0.5 * np.arange(len(classes)) ** 2
                probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                for position, label in enumerate(classes):
                    frame[f"p_{label}"] = probability[:, position]
            elif kind == "quantity":
                frame["y_true"], frame["y_pred"] = truth, score
            else:
                days = np.ceil(2000 * np.exp(-truth) * rng.exponential(size=people)).clip(1, 3000)
                frame["time_days"], frame["event"], frame["y_pred"] = days, (days < 3000).astype(float), score
                for horizon in (365, 1095):
                    frame[f"survival_{horizon}"] = np.exp(-np.exp(score) * horizon / 2000)
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def write_out(
    out: Path,
    kind: str = "class",
    *,
    people: int = 120,
    methods: tuple[str, ...] = METHODS,
    classes: tuple[str, ...] = ("no", "yes"),
    difference: tuple[float, float, float] = (0.004, -0.012, 0.021),
    **more: Any,
) -> Path:
    """An OUT folder as an evaluation leaves it."""
    predictions_of(kind, people=people, methods=methods, classes=classes).to_parquet(out / "predictions.parquet")
    name = HEADLINE[kind]
    scored = (name, "rmse") if kind == "quantity" else (name,)
    content = {
        "cohort": "made up",
        "outcome": "remission",
        "kind": kind,
        "classes": list(classes) if kind == "class" else [],
        "primary": name,
        "model": "omicsfm",
        "methods": {
            method: {
                "metrics": {one: {"value": 0.842 - 0.004 * place, "low": 0.8, "high": 0.88} for one in scored},
                "seconds": 12.5,
            }
            for place, method in enumerate(methods)
        },
        "differences": [
            {"method": methods[0], "reference": other, "metric": name}
            | dict(zip(("value", "low", "high"), difference, strict=True))
            for other in methods[1:2]
        ],
        "provenance": {"seed": 7, "split": "ab12" * 16, "versions": {"omicsfm": "0.1.0"}},
    }
    (out / "metrics.json").write_text(json.dumps(content | more))
    return out


class Page(HTMLParser):
    """The elements, the attributes and the visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements[-1:] and self.elements[-1][0] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def report(out: Path, **options: int) -> Page:
    return Page(benchmark_report(out, **options).read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", ["class", "quantity", "survival"])
def test_the_report_asks_nothing_of_the_network_and_runs_nothing(tmp_path: Path, kind: str) -> None:
    page = report(write_out(tmp_path, kind))
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "img", "object", "embed", "image"}
    for _, attributes in page.elements:
        for name, value in attributes.items():
            if not name.startswith("xmlns"):
                assert not re.search(r"(https?:)?//", value or ""), (name, value)
            if name in ("href", "xlink:href", "src"):
                assert (value or "").startswith("#")
    css = (tmp_path / "report.html").read_text()
    assert "@import" not in css
    assert set(re.findall(r"url\(([^)]{1})", css)) <= {"#"}


@pytest.mark.parametrize("kind", ["class", "quantity", "survival"])
def test_every_method_is_named_and_every_figure_is_described(tmp_path: Path, kind: str) -> None:
    page = report(write_out(tmp_path, kind))
    for method in METHODS:
        assert method in page.text
    figures = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert len(figures) == 3  # the differences, and two that look closely
    assert all(len(figure["aria-label"] or "") > 40 for figure in figures)
    assert "split" in page.text
    assert "ab12" in page.text


def test_element_ids_are_unique_so_that_no_figure_borrows_from_another(tmp_path: Path) -> None:
    ids = [attributes["id"] for _, attributes in report(write_out(tmp_path)).elements if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        ((0.004, -0.012, 0.021), "omicsfm ties with elastic net"),
        ((0.040, 0.012, 0.071), "omicsfm beats elastic net"),
        ((-0.040, -0.071, -0.012), "omicsfm loses to elastic net"),
    ],
)
def test_the_headline_says_who_won_and_calls_a_tie_a_tie(
    tmp_path: Path, difference: tuple[float, float, float], verdict: str
) -> None:
    text = report(write_out(tmp_path, difference=difference)).text
    assert verdict in text
    assert f"difference {difference[0]:+.3f}, 95% interval".replace("-", "−") in text


def test_the_headline_reads_the_same_when_the_model_is_the_reference(tmp_path: Path) -> None:
    mirrored = [
        {
            "method": "elastic net",
            "reference": "omicsfm",
            "metric": "auroc",
            "value": -0.04,
            "low": -0.07,
            "high": -0.01,
        }
    ]
    text = report(write_out(tmp_path, differences=mirrored)).text
    assert "omicsfm beats elastic net" in text
    assert "difference +0.040, 95% interval 0.010 to 0.070" in text


@pytest.mark.parametrize(("metric", "verdict"), [("auroc", "better"), ("brier", "worse"), ("log_loss", "worse")])
def test_a_higher_value_is_better_only_where_it_should_be(metric: str, verdict: str) -> None:
    higher = Difference("a", "b", Estimate(0.1, 0.05, 0.15))
    assert higher.verdict(metric_of(metric, "class")) == verdict
    assert Difference("a", "b", Estimate(0.1)).verdict(metric_of(metric, "class")) == "untested"


def test_without_paired_differences_nobody_is_called_better(tmp_path: Path) -> None:
    text = report(write_out(tmp_path, differences=[])).text
    assert "neither is better" in text
    assert not re.search(r"\b(beats|loses|ties)\b", text)


@pytest.mark.parametrize("kind", ["class", "quantity", "survival"])
def test_one_method_alone_is_reported_without_a_rival(tmp_path: Path, kind: str) -> None:
    out = write_out(tmp_path, kind, methods=("elastic net",), model=None)
    text = Page(evaluation_report(out).read_text(encoding="utf-8")).text
    assert "elastic net predicts remission" in text
    assert "0.842 (95% interval 0.800 to 0.880)" in text


def test_the_linear_reference_and_the_strata_are_said_in_words(tmp_path: Path) -> None:
    won = {"omicsfm": {"better": 2, "tied": 9, "worse": 2}}
    text = report(write_out(tmp_path, reference="elastic net", strata_won=won, within="cancer")).text
    assert "omicsfm ties with elastic net, the best linear method, in predicting remission" in text
    assert "Within each cancer, omicsfm is better than elastic net in 2, tied in 9 and worse in 2 of 13." in text


def test_three_classes_are_shown_class_by_class(tmp_path: Path) -> None:
    text = report(write_out(tmp_path, classes=("mild", "moderate", "severe"), people=300)).text
    assert "severe against the rest" in text
    assert "called moderate" in text


def test_small_subgroups_are_hidden_and_cannot_be_found_by_subtraction(tmp_path: Path) -> None:
    sizes = {"A": 83, "B": 31, "C": 6}
    groups = [
        {"variable": "ancestry", "level": level, "participants": n, "method": "omicsfm", "metric": "auroc", "value": v}
        for (level, n), v in zip(sizes.items(), (0.811, 0.822, 0.833), strict=True)
    ]
    text = report(write_out(tmp_path, subgroups=groups)).text
    assert "ancestry: C <10 hidden" in text
    assert "0.833" not in text
    assert "ancestry: B hidden 0.822" in text
    assert "ancestry: A 83 0.811" in text
    shown = report(write_out(tmp_path, subgroups=groups), min_cell_count=5).text
    assert "ancestry: C 6 0.833" in shown


@pytest.mark.parametrize("kind", ["class", "quantity", "survival"])
def test_a_cohort_of_eight_gets_no_plot_of_people(tmp_path: Path, kind: str) -> None:
    page = report(write_out(tmp_path, kind, people=8))
    figures = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert len(figures) == 1  # the differences
    assert "participants tested <10" in page.text
    assert "left out" in page.text


def test_numbers_at_risk_under_the_minimum_are_not_written(tmp_path: Path) -> None:
    page = report(write_out(tmp_path, "survival", people=60), min_cell_count=15)
    assert "<15" in page.text
    assert not re.search(r"people still followed.*\b([1-9]|1[0-4])\b.*Time since", page.text)


def test_no_participant_is_named(tmp_path: Path) -> None:
    for kind in ("class", "quantity", "survival"):
        write_out(tmp_path, kind)
        assert "P00" not in benchmark_report(tmp_path).read_text(encoding="utf-8")


def test_words_from_the_data_are_escaped(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    predictions = write_out(tmp_path, methods=("omicsfm", "elastic net"), cohort=hostile, outcome=hostile)
    page = report(predictions)
    assert "script" not in {tag for tag, _ in page.elements}
    assert hostile in page.text


def test_missing_files_and_columns_are_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"metrics\.json: missing.*eval/benchmark\.py"):
        benchmark_report(tmp_path)
    write_out(tmp_path)
    table = pd.read_parquet(tmp_path / "predictions.parquet")
    table.rename(columns={"repeat": "repetition"}).to_parquet(tmp_path / "predictions.parquet")
    with pytest.raises(InputError, match=r"'repeat' is missing; did you mean 'repetition'"):
        benchmark_report(tmp_path)
    table[table["method"] != "omicsfm"].to_parquet(tmp_path / "predictions.parquet")
    with pytest.raises(InputError, match="no predictions of 'omicsfm'"):
        benchmark_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_survival_curves_and_intervals_agree_with_lifelines() -> None:
    rng = np.random.default_rng(1)
    time, event = pd.Series(rng.integers(1, 60, 80).astype(float)), pd.Series(rng.random(80) < 0.6)
    ours = survival_curve(time, event)
    theirs = KaplanMeierFitter().fit(time, event)
    np.testing.assert_allclose(ours["survival"], theirs.survival_function_["KM_estimate"], atol=1e-12)
    band = theirs.confidence_interval_
    np.testing.assert_allclose(ours["low"], band.iloc[:, 0], atol=1e-9)
    np.testing.assert_allclose(ours["high"], band.iloc[:, 1], atol=1e-9)


def test_the_wilson_interval_agrees_with_its_published_example() -> None:
    # Newcombe (1998), Statistics in Medicine 17:857, table I: 15 of 148
    low, high = wilson(15, 148)
    assert (round(low, 4), round(high, 4)) == (0.0624, 0.1605)


def test_the_report_says_what_the_encoder_adds_and_how_modalities_are_imputed(tmp_path: Path) -> None:
    gain = {"other": "omicsfm[without_encoder]", "value": 0.004, "low": -0.001, "high": 0.009}
    write_out(tmp_path, gains=[gain])
    folder = tmp_path / "imputation" / "proteome"
    folder.mkdir(parents=True)
    score = {"spearman": {"value": 0.4, "low": 0.3, "high": 0.5}, "rmse": {"value": 0.9, "low": 0.8, "high": 1.0}}
    found = {
        "target": "proteome",
        "features": 17,
        "sources": ["metabolome"],
        "methods": {"omicsfm": {"metrics": score}, "ridge": {"metrics": score}},
        "differences": [
            {"method": "omicsfm", "reference": "ridge", "metric": "spearman", "value": 0.02, "low": 0.01, "high": 0.03},
            {"method": "omicsfm", "reference": "ridge", "metric": "share of features above", "value": 0.61},
        ],
    }
    (folder / "metrics.json").write_text(json.dumps(found))
    text = report(tmp_path).text
    assert "What pretraining buys: omicsfm is +0.004" in text
    assert "which is not told from nothing" in text
    assert "proteome (17) from metabolome" in text
    assert "61%" in text
    (folder / "metrics.json").write_text("{")
    with pytest.raises(InputError, match="eval/impute.py"):
        benchmark_report(tmp_path)
