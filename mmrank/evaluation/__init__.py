"""Evaluation under official protocols: data sets, metrics, running pipelines over them, submissions, reports."""
