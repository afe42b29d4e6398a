"""Several Rankings of one Query into one: `fuse` by score or rank, `merge` round robin, `Fuse` in a pipeline."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmrank.aggregate import Method, Table, aggregate, order_of
from mmrank.errors import UsageError
from mmrank.pipeline import Stage
from mmrank.types import Cost, Hit, Ranking, Record, Source


def fuse(
    rankings: Sequence[Ranking],
    method: Method = "product",
    *,
    weights: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
) -> Ranking:
    """One Ranking with every item of `rankings`, ordered by their agreement.

    Args:
        rankings: lists of the same Query (same id), at least one.
        method: "product" (default), "combsum", "combmnz", "rrf" or "borda"; see `mmrank.aggregate`.
        weights: one number per list, 1 by default.
        names: what the lists are called in `hit.sources`; by default the stage of their first hit.

    An item absent from a list counts as that list's floor. A list whose hits were scored by several stages (the head
    of a reranker, the tail of a retriever) goes in by its ranks, since such scores do not compare.
    Ties: best rank over the lists, then id.
    Raises `UsageError` when the lists belong to different queries or the weights do not fit.

    >>> from mmrank.types import Item, Query
    >>> q = Query(text="q")
    >>> hits = [Hit(item=Item(id=i, kind="text"), score=s) for i, s in (("a", 0.9), ("b", 0.1))]
    >>> fuse([Ranking(query=q, hits=hits), Ranking(query=q, hits=hits)]).ids
    ('a', 'b')
    """
    _same_query(rankings)
    labels = _names(rankings, names)
    ids, scores, ranks = _tables(rankings)
    fused = aggregate(method, scores, ranks, weights)
    stage = f"fuse:{method}"
    sources = _sources(rankings, labels)
    first = {h.item.id: h for r in reversed(rankings) for h in r}
    hits = [
        replace(first[ids[i]].rescored(float(fused[i]), stage), sources=sources[ids[i]])
        for i in order_of(fused, ranks, ids)
    ]
    return Ranking(query=rankings[0].query, hits=hits, records=_records(rankings))


def merge(rankings: Sequence[Ranking], k: int | None = None, *, names: Sequence[str] | None = None) -> Ranking:
    """Round robin: first of each list, second of each list, ...; an item stands where it first came up.

    How often and where each list had it is kept in `hit.sources` (ViC's votes, arXiv 2511.01617), so that a
    layout can show it several times. `k` stops after that many distinct items. Scores keep the order: n, n-1, ...
    """
    _same_query(rankings)
    sources = _sources(rankings, _names(rankings, names))
    found: dict[str, Hit] = {}
    for depth in range(max(len(r) for r in rankings)):
        for ranking in rankings:
            if depth < len(ranking):
                found.setdefault(ranking.hits[depth].item.id, ranking.hits[depth])
    chosen = list(found.values())[:k]
    hits = [
        replace(h.rescored(float(len(chosen) - i), "merge"), sources=sources[h.item.id]) for i, h in enumerate(chosen)
    ]
    return Ranking(query=rankings[0].query, hits=hits, records=_records(rankings))


def _same_query(rankings: Sequence[Ranking]) -> None:
    if not rankings:
        raise UsageError("No Ranking was given; fusing needs at least one.")
    queries = {r.query.id for r in rankings}
    if len(queries) > 1:
        raise UsageError(f"The Rankings belong to {len(queries)} different queries ({', '.join(sorted(queries)[:3])}).")


def _names(rankings: Sequence[Ranking], names: Sequence[str] | None) -> list[str]:
    if names is not None:
        if len(names) != len(rankings):
            raise UsageError(f"There are {len(rankings)} lists and {len(names)} names; give one each.")
        return list(names)
    return [f"{i}:{r.hits[0].stage if r.hits else 'empty'}" for i, r in enumerate(rankings, 1)]


def _tables(rankings: Sequence[Ranking]) -> tuple[list[str], Table, Table]:
    ids = list(dict.fromkeys(h.item.id for r in rankings for h in r))
    column = {item_id: i for i, item_id in enumerate(ids)}
    scores = np.full((len(rankings), len(ids)), np.nan)
    ranks = np.full((len(rankings), len(ids)), np.nan)
    for row, ranking in enumerate(rankings):
        comparable = len({hit.stage for hit in ranking}) <= 1 and all(math.isfinite(hit.score) for hit in ranking)
        for hit in ranking:
            # Order is the truth: where scores of several stages stand in one list, the ranks stand in for them.
            scores[row, column[hit.item.id]] = hit.score if comparable else float(len(ranking) - hit.rank)
            ranks[row, column[hit.item.id]] = hit.rank
    return ids, scores, ranks


def _sources(rankings: Sequence[Ranking], names: Sequence[str]) -> dict[str, tuple[Source, ...]]:
    sources: dict[str, tuple[Source, ...]] = {}
    for name, ranking in zip(names, rankings, strict=True):
        for hit in ranking:
            source = Source(name=name, rank=hit.rank, score=hit.score)
            sources[hit.item.id] = (*sources.get(hit.item.id, ()), source)
    return sources


def _records(rankings: Sequence[Ranking]) -> tuple[Record, ...]:
    """All records once: branches of one Ranking share the very record objects of their common beginning."""
    return tuple({id(record): record for r in rankings for record in r.records}.values())


@dataclass(frozen=True, slots=True, init=False)
class Fuse(Stage):
    """Runs branches side by side on the same queries and fuses what they give.

    >>> from mmrank.pipeline import Cutoff
    >>> Fuse(Cutoff(k=5), Cutoff(k=9), method="rrf")
    Fuse(% 5, % 9, method='rrf')
    """

    branches: tuple[Stage, ...]
    method: Method
    weights: tuple[float, ...] | None

    def __init__(self, *branches: Stage, method: Method = "product", weights: Sequence[float] | None = None) -> None:
        if not branches:
            raise UsageError("Fuse was given no branch; write Fuse(a, b).")
        object.__setattr__(self, "branches", branches)
        object.__setattr__(self, "method", method)
        object.__setattr__(self, "weights", None if weights is None else tuple(weights))

    @property
    def name(self) -> str:
        return f"fuse:{self.method}"

    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        lists = [self._checked(branch, rankings) for branch in self.branches]
        names = [f"{i}:{branch.name}" for i, branch in enumerate(self.branches, 1)]
        fused: list[Ranking] = []
        for of_query in zip(*lists, strict=True):
            start = time.perf_counter()
            ranking = fuse(of_query, self.method, weights=self.weights, names=names)
            record = Record(stage=self.name, cost=Cost(seconds=time.perf_counter() - start))
            fused.append(ranking.with_hits(ranking.hits, record))
        return fused

    def __repr__(self) -> str:
        weights = "" if self.weights is None else f", weights={self.weights}"
        return f"Fuse({', '.join(map(repr, self.branches))}, method={self.method!r}{weights})"
