"""Several Rankings of one Query into one: `fuse` by score or rank, `merge` round robin, `Fuse` in a pipeline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mmrank.aggregate import Method, Normalise
from mmrank.columns import aligned, gather
from mmrank.errors import UsageError
from mmrank.fusion_rule import Absent, FusionRule
from mmrank.pipeline import Stage
from mmrank.types import Cost, Hit, Ranking, Record, Source


def fuse(
    rankings: Sequence[Ranking],
    method: Method = "product",
    *,
    weights: Sequence[float] | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    normalise: Normalise | None = None,
    absent: Absent = "floor",
    epsilon: float | None = None,
    names: Sequence[str] | None = None,
) -> Ranking:
    """One Ranking with every item of `rankings`, ordered by their agreement.

    Args:
        rankings: lists of the same Query (same id), at least one.
        method: "product" (default), "combsum", "combmnz", "weighted_sum", "rrf" or "borda"; what each computes, and
            what `normalise`, `absent` and `epsilon` mean, stands in `mmrank.fusion_rule.FusionRule`.
        weights: one number per list, 1 by default.
        groups: list positions from 0, each list in one group, as `mmrank.kin_groups` gives them: the lists of a group
            are joined by their mean before the groups are fused.
        names: what the lists are called in `hit.sources`; by default the stage of their first hit.

    An item absent from a list counts as that list's floor (see `absent`). A list whose scores do not agree with its
    order, or were given by several stages (the head of a reranker, the tail of a retriever), goes in by its ranks.
    Ties: best rank over the lists, then id. A batch fused by `mmrank.run_fusion` ranks each query as this does.
    Raises `UsageError` when the lists belong to different queries or the settings do not fit them.

    >>> from mmrank.types import Item, Query
    >>> q = Query(text="q")
    >>> hits = [Hit(item=Item(id=i, kind="text"), score=s) for i, s in (("a", 0.9), ("b", 0.1))]
    >>> fuse([Ranking(query=q, hits=hits), Ranking(query=q, hits=hits)]).ids
    ('a', 'b')
    """
    rule = FusionRule(
        method=method, weights=weights, groups=groups, normalise=normalise, absent=absent, epsilon=epsilon
    )
    return _fuse(rankings, rule, names)


def _fuse(rankings: Sequence[Ranking], rule: FusionRule, names: Sequence[str] | None) -> Ranking:
    _same_query(rankings)
    rule.check(len(rankings))
    gathered = gather([[ranking] for ranking in rankings])
    side_by_side = aligned(gathered.lists, len(gathered.items), rule)
    fused = rule.joined(side_by_side.values, side_by_side.present)
    order = side_by_side.best_first(fused)
    stage = f"fuse:{rule.method}"
    sources = _sources(rankings, _names(rankings, names))
    first = {h.item.id: h for r in reversed(rankings) for h in r}
    hits = []
    for code, score in zip(side_by_side.codes[order].tolist(), fused[order].tolist(), strict=True):
        item_id = gathered.items[code]
        hits.append(replace(first[item_id].rescored(score, stage), sources=sources[item_id]))
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

    `method`: one of `fuse`'s, or "merge": round robin with the votes kept (see `merge`), which takes no settings.
    The settings are `fuse`'s; `groups` are positions of branches. Raises `UsageError` when they do not fit.

    >>> from mmrank.pipeline import Cutoff
    >>> Fuse(Cutoff(k=5), Cutoff(k=9), method="rrf")
    Fuse(% 5, % 9, method='rrf')
    """

    branches: tuple[Stage, ...]
    rule: FusionRule | None
    """None: merge."""

    def __init__(
        self,
        *branches: Stage,
        method: Method | Literal["merge"] = "product",
        weights: Sequence[float] | None = None,
        groups: Sequence[Sequence[int]] | None = None,
        normalise: Normalise | None = None,
        absent: Absent = "floor",
        epsilon: float | None = None,
    ) -> None:
        if not branches:
            raise UsageError("Fuse was given no branch; write Fuse(a, b).")
        if method == "merge":
            if (weights, groups, normalise, absent, epsilon) != (None, None, None, "floor", None):
                raise UsageError(
                    'Fuse(..., method="merge") goes round robin and takes no weights, groups or other settings; '
                    "leave them out."
                )
            rule = None
        else:
            rule = FusionRule(
                method=method, weights=weights, groups=groups, normalise=normalise, absent=absent, epsilon=epsilon
            )
            rule.check(len(branches))
        object.__setattr__(self, "branches", branches)
        object.__setattr__(self, "rule", rule)

    @property
    def method(self) -> Method | Literal["merge"]:
        return "merge" if self.rule is None else self.rule.method

    @property
    def name(self) -> str:
        return f"fuse:{self.method}"

    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        lists = [self._checked(branch, rankings) for branch in self.branches]
        names = [f"{i}:{branch.name}" for i, branch in enumerate(self.branches, 1)]
        fused: list[Ranking] = []
        for of_query in zip(*lists, strict=True):
            start = time.perf_counter()
            ranking = merge(of_query, names=names) if self.rule is None else _fuse(of_query, self.rule, names)
            record = Record(stage=self.name, cost=Cost(seconds=time.perf_counter() - start))
            fused.append(ranking.with_hits(ranking.hits, record))
        return fused

    def __repr__(self) -> str:
        settings = {"method": self.method} if self.rule is None else self.rule.settings()
        named = (f"{name}={value!r}" for name, value in settings.items())
        return f"Fuse({', '.join([*map(repr, self.branches), *named])})"
