"""What a search may be told, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

from mmrank.errors import UsageError
from mmrank.folding import check_distinct
from mmrank.group import GroupBy
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
    `group_by`: "parent" or a metadata column: one hit for each of its values, the others in `hit.folded`; k counts
    groups. `distinct`: near-identical hits are one (True), or hits within a cosine (a number): see `mmrank.distinct`; k
    counts what is left. Both: near-identical hits are folded first. `parts`: the groups stay unfolded: the list is as
    long as k groups need it to be, for a judge that looks at parts before `mmrank.group_by` folds them.
    """

    where: str | None = None
    mode: Mode = "vector"
    kinds: tuple[Kind, ...] | None = None
    compose: Compose = None
    exact: bool | None = None
    depth: int | None = None
    group_by: str | None = None
    distinct: bool | float | None = None
    parts: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"The search mode is {self.mode!r}; it must be one of {', '.join(MODES)}.")
        check_distinct(self.distinct)
        if self.group_by is not None:
            GroupBy(by=self.group_by)  # a wrong name is the caller's mistake, said before anything is searched
        if self.parts and self.group_by is None:
            raise UsageError("parts=True leaves groups unfolded, and there are none; say group_by='parent' too.")
        if self.kinds is None:
            return
        kinds = tuple(k for k in KINDS if k in self.kinds)
        if len(kinds) != len(set(self.kinds)) or not kinds:
            raise UsageError(f"kinds is {self.kinds!r}; name one or more of {', '.join(KINDS)}, or leave it out.")
        object.__setattr__(self, "kinds", kinds)

    @property
    def folds(self) -> bool:
        """Whether hits stand behind others, so that k of them need a longer list."""
        return self.group_by is not None or (self.distinct is not None and self.distinct is not False)


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
