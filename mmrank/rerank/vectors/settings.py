"""Checks of a stage's settings, each with an error that says what came and what is allowed."""

from __future__ import annotations

import math

from mmrank.errors import UsageError


def whole(stage: str, least: int, **settings: int | None) -> None:
    """Raise `UsageError` for a setting that is no whole number of `least` or more; None is let through."""
    for name, value in settings.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise UsageError(f"{stage}: {name} is {value!r}; give a whole number of {least} or more.")


def number(stage: str, low: float, high: float = math.inf, **settings: float | None) -> None:
    """Raise `UsageError` for a setting that is no number between `low` and `high`; None is let through."""
    for name, value in settings.items():
        if value is None:
            continue
        real = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not real or not low <= value <= high:
            allowed = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of {low:g} or more"
            raise UsageError(f"{stage}: {name} is {value!r}; give a number {allowed}.")


def one_of(stage: str, known: tuple[str, ...], **settings: str) -> None:
    """Raise `UsageError` for a setting that is none of `known`."""
    for name, value in settings.items():
        if value not in known:
            raise UsageError(f"{stage}: {name} is {value!r}; it must be one of {', '.join(known)}.")
