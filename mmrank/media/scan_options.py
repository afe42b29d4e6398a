"""What a caller of `scan` may name: places and kinds, checked at once."""

# ruff: noqa: PTH100, PTH110, PTH111
# Strings and os.path, as in `mmrank.media.scan`.

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from mmrank.errors import MediaError, UsageError
from mmrank.media.remote_walk import remote_root
from mmrank.media.uri import is_remote, printable, split_uri
from mmrank.types import KINDS, Kind


def root_of(path: str | Path) -> str:
    """The absolute path of what the caller named, or the address. Raises `UsageError` when there is nothing."""
    if isinstance(path, str) and is_remote(path):
        return remote_root(path)
    try:
        text = split_uri(path).path if isinstance(path, str) and path.startswith("file://") else str(path)
    except MediaError as error:
        raise UsageError(str(error)) from error
    full = os.path.abspath(os.path.expanduser(text))  # links stay as the caller wrote them
    if not text or not os.path.exists(full):
        raise UsageError(f"{printable(text) or 'The empty path'} does not exist; give files or folders that do.")
    return full


def checked_kinds(kinds: Collection[Kind] | Kind | None) -> frozenset[Kind]:
    """The kinds that are looked for; all where none is named. Raises `UsageError` for what is no kind."""
    if kinds is None:
        return frozenset(KINDS)
    chosen = frozenset([kinds] if isinstance(kinds, str) else kinds)
    unknown = sorted(str(kind) for kind in chosen - set(KINDS))
    if unknown or not chosen:
        raise UsageError(f"kinds is {unknown or 'empty'}; it must name some of {', '.join(KINDS)}.")
    return chosen
