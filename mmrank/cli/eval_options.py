"""Choices of ``mmrank eval`` as Typer reads them: an option takes no Literal."""

from __future__ import annotations

from enum import StrEnum


class TiesName(StrEnum):
    """`mmrank.evaluation.ranks.Ties`."""

    AVERAGING = "averaging"
    PESSIMISTIC = "pessimistic"
    OPTIMISTIC = "optimistic"


class SubsetName(StrEnum):
    """`mmrank.evaluation.evaluate.Subset`."""

    FILTERED = "filtered"
    SEPARATE = "separate"


class OrderName(StrEnum):
    """`mmrank.evaluation.matrices.Order`."""

    TASK = "task"
    SORTED = "sorted"
