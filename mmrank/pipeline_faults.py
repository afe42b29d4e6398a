"""What is wrong with a pipeline file, in words: where in the file, what came, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from pydantic import ValidationError

Place: TypeAlias = tuple[int | str, ...]

_EXTRA, _MISSING, _WRONG, _SHORT = "extra_forbidden", "missing", "value_error", "too_short"


def explain(error: ValidationError, keys_at: Callable[[Place], Sequence[str]]) -> str:
    """One line per fault. `keys_at`: the keys of the table at a place of the file."""
    faults = error.errors()
    return "\n".join(
        f"  {'.'.join(map(str, fault['loc'])) or 'the file'}: {_words(fault, keys_at)}"
        for fault in faults
        if not (fault["type"] == _SHORT and _is_consequence(fault["loc"], faults))
    )


def _is_consequence(place: Place, faults: Sequence[Any]) -> bool:
    """pydantic counts only what is right in a list, and then finds it too short."""
    return any(len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in faults)


def _words(fault: Any, keys_at: Callable[[Place], Sequence[str]]) -> str:
    if fault["type"] == _MISSING:
        return "this key is missing."
    if fault["type"] == _EXTRA:
        key, known = str(fault["loc"][-1]), keys_at(fault["loc"][:-1])
        near = difflib.get_close_matches(key, known, n=1)
        return f"there is no such key here; there are {', '.join(known)}.{f' Did you mean {near[0]}?' if near else ''}"
    said: str = str(fault["ctx"]["error"]) if fault["type"] == _WRONG else fault["msg"]
    is_table = isinstance(fault["input"], dict | list | tuple)
    return said if is_table else f"{said} (it is {fault['input']!r})"
