"""One self-contained HTML file that says what was found, made from the files of an OUT folder."""

from omicsfm.report.page import benchmark_report, evaluation_report, explanation_report

__all__ = ["benchmark_report", "evaluation_report", "explanation_report"]
