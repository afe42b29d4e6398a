"""From queries to Rankings: embed, list candidates per channel, make scores comparable, fetch the Items.

One channel in play: the score is the plain cosine (stage "vector"). Several (kinds mixed, or pages with a text
layer): each channel's cosines are calibrated (`mmrank.index.calibrate`), an Item scores the best of its channels
(stage "vector:calibrated") and keeps the raw cosines in `hit.sources`. Calibration keeps the order within a
channel, so the best k of every channel are enough for the best k of all.

An intersection of a picture and a text searches with each and ranks by both (stage "vector:intersection"; the scores
of either side are in `hit.sources`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from mmrank.compose import Compose, Composed, Intersection, named_form
from mmrank.duplicates import Looks
from mmrank.embed.base import Embedder
from mmrank.errors import EmbedderError, IndexStoreError, MmrankError, UsageError
from mmrank.index.asked import askable, embed_queries, timed
from mmrank.index.calibrate import gap_of
from mmrank.index.deeper import Lister, check_group_by, deepened
from mmrank.index.exact import Matrix
from mmrank.index.filters import LANCE_ERRORS
from mmrank.index.hybrid import DEPTH, fuse_lists, text_search
from mmrank.index.nearest import Reach
from mmrank.index.options import SearchOptions, check_k
from mmrank.index.picked import Picked, Side, intersected, joined
from mmrank.index.rows import row_to_item
from mmrank.index.snapshot import Channel, StaleSnapshotError
from mmrank.index.sources import Ask, CandidateSource, MatrixSource, TableSource
from mmrank.index.view import View, Viewer, one_look
from mmrank.types import Cost, Hit, Item, Query, Ranking, Record

TRIES = 3
"""Another process may compact and clean up while this one reads; a fresh view is taken and the search done again."""

POOR_RECALL = 0.95
"""Vectors without structure have no good approximate index (0.5 measured on random ones); exact search takes 35 ms
for 200,000 of them and misses nothing."""

PLAIN = "vector"
CALIBRATED = "vector:calibrated"
AGREED = "vector:intersection"


class Listing(NamedTuple):
    """Queries that can be searched with, by number, and how: `composed` is what became of those that have vectors."""

    lister: Lister
    numbers: Sequence[int]
    composed: Mapping[int, Composed] = MappingProxyType({})


NO_LISTS = Listing(lambda numbers, k: {}, ())


class Searcher:
    """Searches one index. `embedder` is called when vectors of a query are first needed, never before.

    `looks`: what near-identical hits are told by.
    """

    def __init__(self, viewer: Viewer, embedder: Callable[[], Embedder], looks: Looks) -> None:
        self._viewer = viewer
        self._embedder = embedder
        self._looks = looks

    @one_look
    def search(
        self, queries: Sequence[Query], k: int, options: SearchOptions, *, strict: bool = False
    ) -> list[Ranking]:
        """One Ranking per query, in order.

        A query that cannot be asked (empty, an unreadable image) gets an empty Ranking with a failed Record;
        `strict` raises instead. A bad option or filter raises `UsageError` for all.
        """
        check_k(k)
        named_form(options.compose)  # a wrong form is the caller's mistake, not one query's
        self._check_names(options)
        asked, failed = askable(queries, options.mode, strict=strict)
        lists = self._lists(asked, options, strict, failed) if asked else NO_LISTS
        done = self._answers(lists.lister, lists.numbers, k, options)
        done = {i: _with_embedding(ranking, lists.composed.get(i)) for i, ranking in done.items()}
        return [done[i] if i in done else _failure(query, options.mode, failed[i]) for i, query in enumerate(queries)]

    def _lists(
        self, asked: dict[int, Query], options: SearchOptions, strict: bool, failed: dict[int, MmrankError]
    ) -> Listing:
        """The lists of these queries, embedded once; those that cannot be go to `failed`."""

        def texts(numbers: Sequence[int], k: int) -> dict[int, Ranking]:
            queries = [asked[i] for i in numbers]
            found = self._retried(lambda view: text_search(view.table, queries, k, options))
            return dict(zip(numbers, found, strict=True))

        if options.mode == "text":
            return Listing(texts, [*asked])
        by_vector = self._by_vector(asked, options, strict, failed)
        if options.mode == "vector":
            return by_vector

        def fused(numbers: Sequence[int], k: int) -> dict[int, Ranking]:
            depth = max(k, options.depth or DEPTH)
            near, worded = by_vector.lister(numbers, depth), texts(numbers, depth)
            both = fuse_lists([near[i] for i in numbers], [worded[i] for i in numbers], k)
            return dict(zip(numbers, both, strict=True))

        return by_vector._replace(lister=fused)

    def _by_vector(
        self, asked: dict[int, Query], options: SearchOptions, strict: bool, failed: dict[int, MmrankError]
    ) -> Listing:
        if not self._retried(lambda view: view.channels(options.kinds)):
            record = Record(stage=PLAIN)
            nothing = {i: Ranking(query=query, records=(record,)) for i, query in asked.items()}
            return Listing(lambda numbers, _: {i: nothing[i] for i in numbers}, [*asked])
        self._embedder()  # loading a model is no query's cost
        composed = self._composed(asked, options, strict, failed)

        def nearest(numbers: Sequence[int], k: int) -> dict[int, Ranking]:
            if not numbers:
                return {}
            sides = np.stack([composed[i].vectors for i in numbers], axis=1)
            rankings = self._ranked([asked[i] for i in numbers], list(sides), k, options)
            return dict(zip(numbers, rankings, strict=True))

        return Listing(nearest, [*composed], composed)

    def _composed(
        self, asked: dict[int, Query], options: SearchOptions, strict: bool, failed: dict[int, MmrankError]
    ) -> dict[int, Composed]:
        """What became of each query; those that became nothing go to `failed`."""
        composed: dict[int, Composed] = {}
        for i, found in zip(asked, timed(self._embedder(), [*asked.values()], options.compose), strict=True):
            if not isinstance(found, MmrankError):
                composed[i] = found
            elif strict:
                raise found
            else:
                failed[i] = found
        return composed

    def query_vectors(self, queries: Sequence[Query], form: Compose) -> list[tuple[Matrix, Cost] | MmrankError]:
        """For each query its vector, float32 (d,), and what that took, or why it has none."""
        if isinstance(named_form(form), Intersection):
            raise UsageError(
                "The form 'intersection' ranks by two vectors and has none of its own; where vectors are rescored "
                "choose another form."
            )
        return embed_queries(self._embedder, queries, form)

    @one_look
    def search_vectors(
        self, queries: Sequence[Query], vectors: Matrix, k: int, options: SearchOptions
    ) -> list[Ranking]:
        """The vector search alone: `vectors` (q, d), unit rows, are what `queries` mean.

        Raises `EmbedderError` when they are not finite or of another dimension than the index.
        """
        self._check_names(options)

        def nearest(numbers: Sequence[int], k: int) -> dict[int, Ranking]:
            ranked = self._ranked([queries[i] for i in numbers], [vectors[[*numbers]]], k, options)
            return dict(zip(numbers, ranked, strict=True))

        vectors = np.ascontiguousarray(vectors, np.float32)
        self._check_vectors(vectors, len(queries))
        done = self._answers(nearest, range(len(queries)), k, options)
        return [done[i] for i in range(len(queries))]

    def _answers(self, lister: Lister, numbers: Sequence[int], k: int, options: SearchOptions) -> Mapping[int, Ranking]:
        """The best k of each query, folded where that is wanted."""
        if not options.folds:
            return lister(numbers, k)
        found: dict[int, Ranking] = self._retried(lambda _: deepened(lister, numbers, k, options, self._looks))
        return found

    def _ranked(
        self, queries: Sequence[Query], sides: Sequence[Matrix], k: int, options: SearchOptions
    ) -> list[Ranking]:
        """`sides`: one matrix (q, d), or two when the form is an intersection."""
        start = time.perf_counter()
        wide = [np.ascontiguousarray(side, np.float32) for side in sides]
        for side in wide:
            self._check_vectors(side, len(queries))
        self._check_names(options)
        stage, picked, items = self._retried(lambda view: _answer(view, queries, wide, k, options))
        record = Record(stage=stage, cost=Cost(seconds=(time.perf_counter() - start) / max(len(queries), 1)))
        return [
            Ranking(
                query=query,
                hits=[Hit(item=items[p.key], score=p.score, stage=stage, sources=p.sources) for p in best],
                records=(record,),
            )
            for query, best in zip(queries, picked, strict=True)
        ]

    def _check_vectors(self, vectors: Matrix, count: int) -> None:
        dimension = self._viewer.dimension
        if vectors.shape != (count, dimension) or not np.isfinite(vectors).all():
            raise EmbedderError(
                f"The query vectors have shape {vectors.shape}; this index takes finite ones of "
                f"shape ({count}, {dimension})."
            )

    def _check_names(self, options: SearchOptions) -> None:
        """Before anything is searched: Lance would take the readable beginning of a filter for all of it."""
        if options.where is not None:
            self._retried(lambda view: view.check(options.where))
        if options.group_by is not None:
            self._retried(lambda view: check_group_by(options.group_by, view.columns))

    def _retried(self, work: Callable[[View], Any]) -> Any:
        """Do the work on a view; on a read error try a fresh one."""
        for attempt in range(1, TRIES + 1):
            try:
                return work(self._viewer.view())
            except (StaleSnapshotError, *LANCE_ERRORS) as error:
                if isinstance(error, MmrankError) and not isinstance(error, StaleSnapshotError):
                    raise
                if attempt == TRIES:
                    raise IndexStoreError(f"The index could not be read, {TRIES} times over: {error}") from error
                self._viewer.forget()
        raise AssertionError("unreachable: the last attempt returns or raises")


def _answer(
    view: View, queries: Sequence[Query], sides: Sequence[Matrix], k: int, options: SearchOptions
) -> tuple[str, list[list[Picked]], dict[int, Item]]:
    """The stage's name, the picked rows of each query, and the Items behind their keys."""
    channels = view.channels(options.kinds)
    if not channels:
        return PLAIN, [[] for _ in queries], {}
    source = _source(view, channels, options)
    asks = [Ask(query.exclude, query.among) for query in queries]
    form = named_form(options.compose)

    def listed(vectors: Matrix, asks: Sequence[Ask], k: int, side: Side | None) -> list[list[Picked]]:
        lists = {channel: source.top(channel, vectors, k, asks) for channel in channels}
        if len(channels) == 1:
            return [
                [Picked(key, score) for key, score in zip(c.keys.tolist(), c.scores.tolist(), strict=True)]
                for c in lists[channels[0]]
            ]
        side = side or (form.answers_as if form else None)
        return [
            joined({c: own[i] for c, own in lists.items()}, gap_of(query, view.gaps, side), k, source)
            for i, query in enumerate(queries)
        ]

    if isinstance(form, Intersection) and len(sides) == 2:
        stage, depth = AGREED, max(k, form.depth, options.depth or 0)
        agreed = intersected(listed, source, (sides[0], sides[1]), asks, depth=depth, rule=form.rule)
        picked = [rows[:k] for rows in agreed]
    else:
        stage, picked = PLAIN if len(channels) == 1 else CALIBRATED, listed(sides[0], asks, k, None)
    keys = list({p.key: None for best in picked for p in best})
    return stage, picked, dict(zip(keys, map(row_to_item, source.rows(keys)), strict=True))


def _source(view: View, channels: Sequence[Channel], options: SearchOptions) -> CandidateSource:
    """Where candidates come from: an approximate index where there is one, else the matrix, else a flat scan.

    When the matrix fits and the caller leaves it open, an index is passed over that was measured to miss too much, and
    any index under a filter: among the few rows that pass, the matrix is two to thirty times as fast.
    """
    ann = {} if options.exact else view.ann
    poor = any(settings.recall is not None and settings.recall < POOR_RECALL for settings in ann.values())
    if (poor or options.where is not None) and view.fits and options.exact is None:
        ann = {}
    if options.exact is False and any(c.column not in ann for c in channels):
        raise UsageError(
            "exact=False asks for the approximate index, and this index has none; build one with "
            "index.optimize(ann='hnsw_sq'), or leave `exact` out."
        )
    crowded = len(view.counts) > 1
    reach = Reach(columns=view.columns, where=options.where, crowded=crowded)
    if ann or not view.fits:
        return TableSource(view.table, reach, ann)
    return MatrixSource(view.snapshot(), reach)


def _with_embedding(ranking: Ranking, composed: Composed | None) -> Ranking:
    """With what embedding the query took on the record of the vector search, which is the first."""
    if composed is None:
        return ranking
    (first, *others), cost = ranking.records, composed.cost
    first = replace(first, calls=cost.model_calls, note=composed.note, cost=first.cost + cost)
    return Ranking(query=ranking.query, hits=ranking.hits, records=(first, *others))


def _failure(query: Query, mode: str, error: MmrankError) -> Ranking:
    return Ranking(query=query, records=(Record(stage=mode, status="failed", error=str(error)),))
