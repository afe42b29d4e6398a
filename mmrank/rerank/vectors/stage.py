"""What the vector stages share: vectors gathered for a batch, the query's answer made into a Judgement.

A hit without a vector is not scored: it keeps its place behind the scored ones, and the Record names it.
"""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from mmrank.aggregate import Floats
from mmrank.compose.choose import Compose
from mmrank.errors import EmbedderError, MmrankError
from mmrank.pipeline import check_depth
from mmrank.rerank.base import Judgement, Reranker
from mmrank.rerank.vectors.source import Asked, Matrix, Vector
from mmrank.types import Cost, Hit, Query, Record, Status

NAMED = 5
"""Items that a record names; the rest are counted."""

DECIMALS = 6
"""Scores are rounded here. A float32 matrix product differs in its last bits with the place of a row, so that equal
vectors would otherwise get unequal scores and their tie would be decided by chance, not by the previous order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortlist:
    """One query's hits that have vectors, in previous order.

    `vector`: the query's side, float32 (d,), empty where a stage needs none. `held`: the vectors of each hit, (d,) or
    (n, d).
    """

    query: Query
    vector: Vector
    hits: Sequence[Hit]
    held: Sequence[Matrix]

    @property
    def matrix(self) -> Matrix:
        """All vectors as one float32 matrix (hits, d)."""
        # Concatenating and reshaping is the quick way to stack many small rows.
        return np.concatenate(self.held).reshape(len(self.held), -1).astype(np.float32, copy=False)


class Rescored(NamedTuple):
    """What a stage makes of a Shortlist.

    `scores`: float64 (hits,), NaN for a hit it did not score. `order`: positions, best first, where it is not the
    order of the scores. `note`: for the record; `error`: what kept it from scoring all.
    """

    scores: Floats
    order: Sequence[int] | None = None
    note: str | None = None
    error: str | None = None


NONE_SCORED = Rescored(np.empty(0))

NOTHING = Cost()


class Gathered(NamedTuple):
    """A Shortlist with the positions its hits have in the candidates, and what gathering it cost."""

    shortlist: Shortlist | None
    places: Sequence[int]
    cost: Cost
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorReranker(Reranker):
    """Orders the first `depth` hits (all when None) by vectors. Subclasses say which vectors, and give `rescore`.

    `source` gives the vectors: an `Index`, or anything with the methods in `mmrank.rerank.vectors.source`.
    `compose`: how a composed Query becomes one vector, as in `Index.search`. A page is its picture's vector here, not
    its text layer's. Cosines are taken as they are; an index calibrates them between kinds, this does not.
    """

    source: Any
    depth: int | None = None
    compose: Compose = None
    wanted: ClassVar[str] = "vector"
    compares_kinds: ClassVar[bool] = True
    """Whether it orders by cosines of the query with Items, which do not compare between kinds of Item."""
    held_at_once: ClassVar[int] = 16_384
    """Hits whose vectors are in memory at once: at 512 dimensions 32 MiB."""

    def __post_init__(self) -> None:
        check_depth(self.depth)
        self.check()

    def check(self) -> None:
        """Raise `UsageError` for a setting that means nothing."""

    @abstractmethod
    def rescore(self, shortlist: Shortlist) -> Rescored:
        """New scores for the hits of a Shortlist, which has at least one."""

    def ask(self, batch: Sequence[tuple[Query, Sequence[Hit]]]) -> Sequence[Asked]:
        """The query's side for each query, or why there is none."""
        found: Sequence[Asked] = self.source.query_vectors([query for query, _ in batch], compose=self.compose)
        return found

    def hold(self, ids: Sequence[str]) -> Mapping[str, Matrix]:
        """Vectors by Item id; those that have none are left out."""
        found: Mapping[str, Matrix] = self.source.known_vectors(ids)
        return found

    def judge(self, batch: Sequence[tuple[Query, Sequence[Hit]]]) -> list[Judgement]:
        return [
            self._judged(hits, gathered)
            for part in portions(batch, self.held_at_once)
            for (_, hits), gathered in zip(part, self.gather(part), strict=True)
        ]

    def gather(self, batch: Sequence[tuple[Query, Sequence[Hit]]]) -> list[Gathered]:
        """Vectors for the queries and candidates of a batch; each Item's are fetched once."""
        asked = self.ask(batch)
        start = time.perf_counter()
        held = finite(self.hold(list(dict.fromkeys(hit.id for _, hits in batch for hit in hits))))
        each = Cost(seconds=(time.perf_counter() - start) / max(len(batch), 1))
        return [self._gathered(query, hits, side, held, each) for (query, hits), side in zip(batch, asked, strict=True)]

    def _gathered(
        self, query: Query, hits: Sequence[Hit], asked: Asked, held: Mapping[str, Matrix], each: Cost
    ) -> Gathered:
        if isinstance(asked, MmrankError):
            return Gathered(None, (), each, str(asked))
        vector, cost = asked
        places = [place for place, hit in enumerate(hits) if hit.id in held]
        if not places:
            return Gathered(None, (), cost + each, missing_text(hits, self.wanted))
        known = [hits[place] for place in places]
        vectors = [held[hit.id] for hit in known]
        if vector.size:
            _check_dimension(query, vector, known, vectors)
        missing = [hit for hit in hits if hit.id not in held] if len(known) < len(hits) else []
        shortlist = Shortlist(query=query, vector=vector, hits=known, held=vectors)
        return Gathered(shortlist, places, cost + each, missing_text(missing, self.wanted) if missing else None)

    def _judged(self, hits: Sequence[Hit], gathered: Gathered) -> Judgement:
        if gathered.shortlist is None:
            return judgement(self.name, hits, (), NONE_SCORED, cost=gathered.cost, error=gathered.error)
        start = time.perf_counter()
        try:
            rescored = self.rescore(gathered.shortlist)
        except MmrankError as error:
            rescored = Rescored(np.full(len(gathered.places), np.nan), error=str(error))
        kinds = dict.fromkeys(hit.item.kind for hit in gathered.shortlist.hits)
        if self.compares_kinds and len(kinds) > 1:
            rescored = rescored._replace(note=" ".join(filter(None, [rescored.note, mixed_text([*kinds])])))
        cost = gathered.cost + Cost(seconds=time.perf_counter() - start)
        return judgement(self.name, hits, gathered.places, rescored, cost=cost, error=gathered.error)

    def __repr__(self) -> str:
        told = [repr(self.source)]
        for setting in fields(self):
            value = getattr(self, setting.name)
            if setting.name != "source" and value != setting.default:
                told.append(f"{setting.name}={value!r}")
        return f"{self.name}({', '.join(told)})"


def judgement(
    stage: str,
    hits: Sequence[Hit],
    places: Sequence[int],
    rescored: Rescored,
    *,
    cost: Cost = NOTHING,
    error: str | None = None,
) -> Judgement:
    """Scores of some candidates as a Judgement on all.

    `places`: the position of each scored hit among `hits`. Equal scores keep the previous order; hits without a score
    stand behind, in previous order. `error` makes it `repaired`, or `fell_back` when nothing was scored.
    """
    rounded = settled(rescored.scores)
    inside = rescored.order if rescored.order is not None else best_first(rounded)
    first = [places[i] for i in inside if not math.isnan(rounded[i])]
    scored = set(first)
    order = [*first, *(place for place in range(len(hits)) if place not in scored)]
    scores: list[float | None] = [None] * len(hits)
    for place, score in zip(places, rounded.tolist(), strict=True):
        if not math.isnan(score):
            scores[place] = score
    causes = [cause for cause in (error, rescored.error) if cause]
    status: Status = "fell_back" if not first else "repaired" if causes else "ok"
    record = Record(
        stage=stage,
        status=status,
        calls=cost.model_calls,
        appended=len(hits) - len(places),
        error=" ".join(causes) or None,
        note=rescored.note,
        cost=cost,
    )
    return Judgement(order=order, scores=scores, record=record)


def settled(scores: npt.NDArray[Any]) -> Floats:
    """The scores in float64, rounded to `DECIMALS`: what ties are decided on.

    >>> settled(np.array([0.1], np.float32)).tolist()
    [0.1]
    """
    rounded: Floats = scores.astype(np.float64).round(DECIMALS)
    return rounded


def best_first(scores: Floats) -> list[int]:
    """Positions by falling score; equal scores in the order they stand in, NaN last.

    >>> best_first(np.array([1.0, np.nan, 2.0, 1.0]))
    [2, 0, 3, 1]
    """
    order: list[int] = np.argsort(-scores, kind="stable").tolist()
    return order


def finite(vectors: Mapping[str, Matrix]) -> dict[str, Matrix]:
    """Those with at least one vector and nothing but numbers in it; a NaN is no vector."""
    with np.errstate(invalid="ignore", over="ignore"):
        return {name: found for name, found in vectors.items() if found.size and math.isfinite(_sum(found))}


def _sum(values: Matrix) -> float:
    """Finite exactly when all values are (of any size a vector can have)."""
    flat = values.ravel()
    # A product of BLAS takes a third of the time of a sum, and a shortlist has hundreds; float16 has no such product.
    return float(flat @ flat) if values.dtype == np.float32 else float(flat.sum(dtype=np.float32))


def _check_dimension(query: Query, vector: Vector, hits: Sequence[Hit], held: Sequence[Matrix]) -> None:
    for hit, own in zip(hits, held, strict=True):
        if own.shape[-1] != vector.shape[-1]:
            raise EmbedderError(
                f"The vector of query {query.id!r} has {vector.shape[-1]} dimensions and that of item {hit.id!r} has "
                f"{own.shape[-1]}; both must come from one embedder."
            )


def missing_text(hits: Sequence[Hit], wanted: str) -> str:
    """What a record says of hits that have no such vectors."""
    named = ", ".join(repr(hit.id) for hit in hits[:NAMED])
    more = f" and {len(hits) - NAMED} more" if len(hits) > NAMED else ""
    return f"{len(hits)} hits have no {wanted} here and stand behind in their previous order: {named}{more}."


def mixed_text(kinds: Sequence[str]) -> str:
    """What a record says when plain cosines order Items of several kinds."""
    return (
        f"The hits are of the kinds {', '.join(kinds)}, whose cosines with one query do not compare; "
        "search one kind at a time."
    )


def portions(
    batch: Sequence[tuple[Query, Sequence[Hit]]], held_at_once: int
) -> Iterator[Sequence[tuple[Query, Sequence[Hit]]]]:
    """The batch in parts of at most `held_at_once` candidates, one query at least."""
    start, held = 0, 0
    for end, (_, hits) in enumerate(batch):
        if end > start and held + len(hits) > held_at_once:
            yield batch[start:end]
            start, held = end, 0
        held += len(hits)
    if start < len(batch):
        yield batch[start:]


def unasked(batch: Sequence[tuple[Query, Sequence[Hit]]]) -> list[Asked]:
    """The query's side for a stage that looks at Items only."""
    return [(np.empty(0, np.float32), Cost()) for _ in batch]
