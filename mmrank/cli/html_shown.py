"""What a page shows: searches, and searches of one query side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mmrank.types import Query, Ranking


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One search on the page.

    `thumbnails`: picture bytes (JPEG, PNG, WebP, GIF) by item id. `pictures`: the query's own, in order.
    `label`: what the search shows, above the query. `conditions`: filter, mode and the like, in words.
    `right`: ids known to be right, or None where nobody knows. `seconds`: how long the search took.
    """

    ranking: Ranking
    thumbnails: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    pictures: Sequence[bytes] = field(default=(), repr=False)
    label: str = ""
    conditions: Sequence[str] = ()
    right: frozenset[str] | None = None
    seconds: float | None = None

    @property
    def found(self) -> bool | None:
        """Whether the first hit is right; None where nobody knows."""
        if self.right is None:
            return None
        return bool(self.ranking.hits) and self.ranking.hits[0].item.id in self.right

    @property
    def query(self) -> Query:
        return self.ranking.query


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """Several searches of one query, each a column under the query's own pictures.

    `columns`: the label of each is its heading, its conditions are what stands below that. `label`, `conditions`: of
    them all.
    """

    columns: Sequence[Shown]
    label: str = ""
    conditions: Sequence[str] = ()

    @property
    def query(self) -> Query:
        return self.columns[0].ranking.query

    @property
    def pictures(self) -> Sequence[bytes]:
        return self.columns[0].pictures

    @property
    def found(self) -> bool | None:
        """None: columns may differ in it."""
        return None
