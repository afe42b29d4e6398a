"""Errors. Every message says what came, what is allowed, and what to do about it.

One base class, so that a caller can write ``except MmrankError`` and mean "anything mmrank
refuses on purpose"; a few subclasses, so that a program can tell apart what it must.
"""

from __future__ import annotations


class MmrankError(Exception):
    """Base class of everything mmrank raises on purpose."""


class UsageError(MmrankError, ValueError):
    """The caller asked for something that cannot be meant: a wrong option, an empty query, a bad filter."""


class MediaError(MmrankError):
    """A file cannot be read as what it is meant to be: unreadable, truncated, too large, mislabelled."""


class EmbedderError(MmrankError):
    """An embedder cannot be loaded, or gave something that is not a vector."""


class IndexStoreError(MmrankError):
    """An index cannot be opened, read or written, or was built by another embedder."""


class WorkersError(MmrankError):
    """The workers of a build elsewhere cannot be reached or started: no cluster, no room, no model there."""


class NoIndexError(IndexStoreError):
    """There is no index at the place named, or only one that was begun and never finished."""


class MissingDependencyError(MmrankError, ImportError):
    """An optional library is not installed. The message names the line that installs it."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{library} is not installed, and {purpose} needs it. Install it with: pip install 'mmrank[{extra}]'"
        )


class RecipeError(UsageError):
    """A recipe cannot be made: an unknown name or part, or a model that cannot do what the recipe needs."""


class MllmError(MmrankError):
    """An MLLM cannot be loaded or reached, or broke its own contract."""
