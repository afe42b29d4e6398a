"""``NAME=VALUE`` pairs from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmrank.errors import UsageError

WORDS = {"true": True, "false": False, "none": None}
"""Words that are values of their own."""


def named_values(pairs: Sequence[str] | None, option: str = "--set") -> dict[str, Any]:
    """The pairs by name; numbers, true, false and none are read as such. Raises `UsageError` for what is no pair.

    >>> named_values(["window=8", "alpha=0.5", "schedule=blocks"])
    {'window': 8, 'alpha': 0.5, 'schedule': 'blocks'}
    """
    found: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{option} {pair!r} is not NAME=VALUE, such as {option} window=8.")
        found[name.strip()] = _value(value.strip())
    return found


def _value(text: str) -> Any:
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
