"""An index in a pipeline: `Retriever` fills Rankings, `Rescorer` scores anew what another stage found.

Both print as the expression that makes them, and compare equal when they would do the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

from mmrank.compose import Compose, Intersection, named_form
from mmrank.errors import UsageError
from mmrank.index.hybrid import DEPTH
from mmrank.index.options import SearchOptions, check_k, is_count
from mmrank.pipeline import Stage
from mmrank.types import Hit, Ranking, Record, Status

if TYPE_CHECKING:
    from mmrank.index.index import Index


@dataclass(frozen=True, slots=True, kw_only=True)
class Retriever(Stage):
    """Searches `index` for each query; replaces whatever hits the Rankings had. Made by `index.retriever(k)`."""

    index: Index
    k: int = 100
    options: SearchOptions = field(default_factory=SearchOptions)

    def __post_init__(self) -> None:
        check_k(self.k)

    @property
    def name(self) -> str:
        return f"retriever:{self.options.mode}"

    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        found = self.index.searcher.search([r.query for r in rankings], self.k, self.options)
        return [
            Ranking(query=old.query, hits=new.hits, records=(*old.records, *new.records))
            for old, new in zip(rankings, found, strict=True)
        ]

    def limited(self, k: int) -> Stage | None:
        """The same search at a smaller k; a hybrid and an intersection read their lists as deep as they would have.

        Not of a search that folds: a smaller k reads a shorter list, and less would stand behind each hit.
        """
        if k >= self.k:
            return self
        if self.options.folds:
            return None
        options = self.options
        if options.depth is None and options.mode == "hybrid":
            options = replace(options, depth=max(self.k, DEPTH))
        if options.depth is None and isinstance(named_form(options.compose), Intersection):
            options = replace(options, depth=self.k)
        return replace(self, k=k, options=options)

    def __repr__(self) -> str:
        told = [f"k={self.k}"]
        for option in fields(SearchOptions):
            value = getattr(self.options, option.name)
            if value != option.default:
                told.append(f"{option.name}={value!r}")
        return f"{self.index!r}.retriever({', '.join(told)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescorer(Stage):
    """Orders the first `depth` hits (all when None) by this index's vectors. Made by `index.rescorer(depth)`.

    What lies below `depth` keeps its order behind; so do hits that this index does not hold, right behind the
    scored ones, and the Record says how many (`dropped` stays 0: no Item is lost).
    """

    index: Index
    depth: int | None = None
    compose: Compose = None

    def __post_init__(self) -> None:
        if self.depth is not None and not is_count(self.depth):
            raise UsageError(f"depth is {self.depth!r}; it must be a whole number from 1, or None for all hits.")

    @property
    def name(self) -> str:
        return "rescorer"

    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        todo = [i for i, r in enumerate(rankings) if r.hits]
        heads = [rankings[i].hits[: self.depth] for i in todo]
        asked = [
            replace(rankings[i].query, among=tuple(h.id for h in head), exclude=())
            for i, head in zip(todo, heads, strict=True)
        ]
        k = max((len(head) for head in heads), default=1)
        found = self.index.searcher.search(asked, k, SearchOptions(compose=self.compose))
        out = list(rankings)
        for i, head, scored in zip(todo, heads, found, strict=True):
            out[i] = self._reordered(rankings[i], head, scored)
        return out

    def _reordered(self, ranking: Ranking, head: Sequence[Hit], scored: Ranking) -> Ranking:
        old = {hit.id: hit for hit in head}
        first = [_scored(old.pop(hit.id), hit, self.name) for hit in scored]
        hits = [*first, *old.values(), *ranking.hits[len(head) :]]
        error = next((r.error for r in scored.records if r.error), None)
        if error is None and old:
            error = f"{len(old)} of {len(head)} hits are not in this index; they stand behind the scored ones."
        record = Record(
            stage=self.name,
            status=_status(len(first), len(old), scored),
            calls=1,
            appended=len(old),
            error=error,
            cost=scored.cost,
        )
        return ranking.with_hits(hits, record)

    def __repr__(self) -> str:
        told = [] if self.depth is None else [f"depth={self.depth}"]
        told += [] if self.compose is None else [f"compose={self.compose!r}"]
        return f"{self.index!r}.rescorer({', '.join(told)})"


def _scored(old: Hit, new: Hit, stage: str) -> Hit:
    """The old hit with the new score; raw cosines join the sources it has."""
    return replace(old.rescored(new.score, stage), sources=(*old.sources, *new.sources))


def _status(scored: int, unknown: int, ranking: Ranking) -> Status:
    """`fell_back` when nothing could be scored and the previous order stands, `repaired` when a part could not."""
    if ranking.outcome == "failed" or not scored:
        return "fell_back"
    return "repaired" if unknown else "ok"
