"""A second search with the query that feedback has moved: Items come in that the first one missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from mmrank.errors import EmbedderError
from mmrank.pipeline import Stage
from mmrank.rerank.vectors.feedback import Feedback
from mmrank.rerank.vectors.settings import whole
from mmrank.rerank.vectors.source import Matrix, Vector
from mmrank.rerank.vectors.stage import Gathered, portions
from mmrank.types import Hit, Kind, Query, Ranking, Record


class Searchable(Protocol):
    """Searches with given vectors. An `Index` does."""

    def search_vectors(
        self,
        vectors: Matrix,
        k: int = 10,
        *,
        queries: Sequence[Query] | None = None,
        where: str | None = None,
        kinds: Sequence[Kind] | None = None,
    ) -> list[Ranking]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAgain(Stage):
    """Replaces the hits by those that the moved query finds; see `search_again`."""

    index: Searchable
    moved_by: Feedback
    k: int = 100
    where: str | None = None
    kinds: tuple[Kind, ...] | None = None

    def __post_init__(self) -> None:
        whole("search_again", 1, k=self.k)

    @property
    def name(self) -> str:
        return "search_again"

    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        out = list(rankings)
        todo = [i for i, ranking in enumerate(rankings) if ranking.hits]
        batch = [(rankings[i].query, rankings[i].hits[: self.moved_by.depth]) for i in todo]
        places = iter(todo)
        for part in portions(batch, self.moved_by.held_at_once):
            for i, again in zip(places, self._again(part), strict=False):
                out[i] = self._replaced(rankings[i], again)
        return out

    def _again(self, batch: Sequence[tuple[Query, Sequence[Hit]]]) -> list[Ranking | Record]:
        """For each query what the moved one finds, or the record of why there is none."""
        gathered = self.moved_by.gather(batch)
        moved: dict[int, Vector] = {}
        out: list[Ranking | Record] = []
        for i, one in enumerate(gathered):
            out.append(self._record(one))
            if one.shortlist is None:
                continue
            try:
                moved[i] = self.moved_by.moved(one.shortlist)
            except EmbedderError as error:
                out[i] = replace(self._record(one), status="fell_back", error=str(error))
        if moved:
            queries = [batch[i][0] for i in moved]
            vectors = np.stack([*moved.values()])
            found = self.index.search_vectors(vectors, self.k, queries=queries, where=self.where, kinds=self.kinds)
            for i, ranking in zip(moved, found, strict=True):
                cost = gathered[i].cost + ranking.cost
                record = replace(self._record(gathered[i]), cost=cost, calls=cost.model_calls)
                out[i] = Ranking(query=ranking.query, hits=ranking.hits, records=(record,))
        return out

    def _record(self, gathered: Gathered) -> Record:
        status = "fell_back" if gathered.shortlist is None else "repaired" if gathered.error else "ok"
        return Record(
            stage=self.name,
            status=status,  # type: ignore[arg-type]
            calls=gathered.cost.model_calls,
            error=gathered.error,
            cost=gathered.cost,
        )

    def _replaced(self, old: Ranking, again: Ranking | Record) -> Ranking:
        if isinstance(again, Record):
            return old.with_hits(old.hits, again)
        return old.with_hits(again.hits, again.records[0])

    def limited(self, k: int) -> Stage | None:
        return replace(self, k=min(k, self.k))

    def __repr__(self) -> str:
        told = [repr(self.index), repr(self.moved_by), f"k={self.k}"]
        told += [f"{name}={value!r}" for name in ("where", "kinds") if (value := getattr(self, name)) is not None]
        return f"search_again({', '.join(told)})"


def search_again(
    index: Searchable,
    moved_by: Feedback,
    *,
    k: int = 100,
    where: str | None = None,
    kinds: Sequence[Kind] | None = None,
) -> SearchAgain:
    """A Stage like a retriever: the hits' feedback moves the query's vector, and the index is searched with it.

    It replaces the hits, as query expansion in image retrieval does; a query whose vector cannot be made or moved
    keeps its hits and says so on its record. `where` and `kinds` are not known from the first search: give them again.

        index.retriever(k=100) >> search_again(index, query_expansion(index, feedback=10), k=100)
    """
    return SearchAgain(index=index, moved_by=moved_by, k=k, where=where, kinds=None if kinds is None else tuple(kinds))
