"""What a search may be told, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

from mmrank.errors import UsageError
from mmrank.types import KINDS, Kind

if TYPE_CHECKING:
    from mmrank.compose.choose import Compose

Mode: TypeAlias = Literal["vector", "text", "hybrid"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """Everything about a search but the query and k.

    `where`: SQL over metadata. `mode`: "vector", "text" (BM25 over texts) or "hybrid" (both, fused by rank).
    `kinds`: only these kinds. `compose`: the form of a composed query, a name or an object of `mmrank.compose` (None:
    the default form).
    `exact`: True compares with every vector, False demands an approximate index, None takes one where there is one.
    `depth`: how deep a hybrid search reads its two lists; None: the larger of k and `hybrid.DEPTH`. An intersection
    reads the lists of its sides as deep, and at least its own depth.
    """

    where: str | None = None
    mode: Mode = "vector"
    kinds: tuple[Kind, ...] | None = None
    compose: Compose = None
    exact: bool | None = None
    depth: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"The search mode is {self.mode!r}; it must be one of {', '.join(MODES)}.")
        if self.kinds is None:
            return
        kinds = tuple(k for k in KINDS if k in self.kinds)
        if len(kinds) != len(set(self.kinds)) or not kinds:
            raise UsageError(f"kinds is {self.kinds!r}; name one or more of {', '.join(KINDS)}, or leave it out.")
        object.__setattr__(self, "kinds", kinds)


def kinds_of(kinds: Sequence[Kind] | None) -> tuple[Kind, ...] | None:
    """Kinds as `SearchOptions` takes them; one name alone stands for itself.

    >>> kinds_of("page"), kinds_of(["image", "page"])
    (('page',), ('image', 'page'))
    """
    if kinds is None:
        return None
    return cast("tuple[Kind, ...]", (kinds,)) if isinstance(kinds, str) else tuple(kinds)


def is_count(number: object) -> bool:
    """Whether this is a whole number from 1.

    >>> is_count(3), is_count(2.5), is_count(True)
    (True, False, False)
    """
    return isinstance(number, int) and not isinstance(number, bool) and number >= 1


def check_k(k: int) -> int:
    """`k` when it is a whole number from 1; `UsageError` otherwise."""
    if not is_count(k):
        raise UsageError(f"k is {k!r}; it must be a whole number from 1: how many hits are wanted.")
    return k
