"""The evaluation report: one HTML page with tables, plots and per-query rows, and the tables behind it."""

from mmrank.evaluation.report.page import write_report

__all__ = ["write_report"]
