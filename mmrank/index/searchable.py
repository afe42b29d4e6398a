"""How an index is asked: `search` and its siblings, and the stages that search it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

from mmrank.compose.choose import Compose
from mmrank.index.exact import Matrix
from mmrank.index.options import Mode, SearchOptions, check_k, kinds_of
from mmrank.index.stages import Rescorer, Retriever
from mmrank.index.vectors import StoredVectors
from mmrank.pipeline import as_query
from mmrank.types import Kind, Query, Ranking

if TYPE_CHECKING:
    from mmrank.index.index import Index
    from mmrank.rerank.vectors.late import MaxSim


class Searchable(StoredVectors):
    """The part of an `Index` that searches.

    What `search`, `search_many`, `search_vectors` and `retriever` can be told besides the query and `k`:

    * `where`: SQL over metadata columns, for example ``"year >= 2020 AND kind = 'image'"``.
    * `mode`: "vector"; "text": BM25 over captions, page texts and subtitles; "hybrid": both, fused by rank.
    * `kinds`: only these kinds. With several kinds in play scores are calibrated per kind.
    * `compose`: how a composed query is put together: a name of `mmrank.compose.FORMS` or a form object, such as
      `mmrank.compose.Sqaf(captioner=mllm)`.
    * `exact`: True compares with every vector, False demands the approximate index.
    * `group_by`: "parent" for one hit a video or PDF, or a metadata column for one hit a value: the best leads, the
      others stand in its `folded`. k hits are k groups, however deep the search must go for them.
    * `distinct`: True folds near-identical pictures and Items of equal content behind the best of them; a cosine, such
      as 0.95, has vectors alone decide (`mmrank.distinct`). k hits are k distinct ones.

    >>> import tempfile, mmrank
    >>> texts = {"menu#1": "a pizza", "menu#2": "a pizza and a carrot", "zoo#1": "a turtle"}
    >>> items = [mmrank.Item(id=i, kind="text", text=text, parent=i[:-2]) for i, text in texts.items()]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = mmrank.Index.create(folder, "toybox")
    ...     report = index.add(items)
    ...     ranking = index.search("a pizza", k=2, group_by="parent")
    >>> [(hit.id, [behind.hit.id for behind in hit.folded]) for hit in ranking]
    [('menu#1', ['menu#2']), ('zoo#1', [])]
    >>> ranking.records[-1].note
    '1 hit folded behind 1 other; 3 looked at.'
    """

    def search(
        self,
        query: str | Query,
        k: int = 10,
        *,
        where: str | None = None,
        mode: Mode = "vector",
        kinds: Sequence[Kind] | None = None,
        compose: Compose = None,
        exact: bool | None = None,
        group_by: str | None = None,
        distinct: bool | float | None = None,
    ) -> Ranking:
        """The best `k` Items for a text or a Query; all there are when `k` is larger.

        Args:
            query: a text, or a `Query` with images, video, `exclude` and `among`.
            k: how many hits, from 1.
            where, mode, kinds, compose, exact, group_by, distinct: see the class.

        Raises `UsageError` for an empty query, a wrong option or a filter that cannot be read; `MediaError` for
        a query image that cannot.
        """
        options = SearchOptions(
            where=where,
            mode=mode,
            kinds=kinds_of(kinds),
            compose=compose,
            exact=exact,
            group_by=group_by,
            distinct=distinct,
        )
        return self.searcher.search([as_query(query)], k, options, strict=True)[0]

    def search_many(
        self,
        queries: Iterable[str | Query],
        k: int = 10,
        *,
        where: str | None = None,
        mode: Mode = "vector",
        kinds: Sequence[Kind] | None = None,
        compose: Compose = None,
        exact: bool | None = None,
        group_by: str | None = None,
        distinct: bool | float | None = None,
        strict: bool = False,
    ) -> list[Ranking]:
        """One Ranking per query, in order, as `search` gives them, at a fraction of the time each.

        A query that cannot be asked gets an empty Ranking whose Record says why; `strict` raises instead.
        """
        options = SearchOptions(
            where=where,
            mode=mode,
            kinds=kinds_of(kinds),
            compose=compose,
            exact=exact,
            group_by=group_by,
            distinct=distinct,
        )
        return self.searcher.search([as_query(q) for q in queries], k, options, strict=strict)

    def search_vectors(
        self,
        vectors: Matrix,
        k: int = 10,
        *,
        queries: Sequence[Query] | None = None,
        where: str | None = None,
        kinds: Sequence[Kind] | None = None,
        exact: bool | None = None,
        group_by: str | None = None,
        distinct: bool | float | None = None,
    ) -> list[Ranking]:
        """Search with vectors of one's own, float32 (q, dimension) of unit length; no model is loaded.

        `queries` name them in the Rankings and bring `exclude` and `among`; by default they are called "0", "1", ...
        """
        named = [Query(id=str(i)) for i in range(len(vectors))] if queries is None else list(queries)
        options = SearchOptions(where=where, kinds=kinds_of(kinds), exact=exact, group_by=group_by, distinct=distinct)
        return self.searcher.search_vectors(named, vectors, check_k(k), options)

    def retriever(
        self,
        k: int = 100,
        *,
        where: str | None = None,
        mode: Mode = "vector",
        kinds: Sequence[Kind] | None = None,
        compose: Compose = None,
        exact: bool | None = None,
        group_by: str | None = None,
        distinct: bool | float | None = None,
        parts: bool = False,
    ) -> Retriever:
        """A Stage that searches this index; a cut-off behind it is pushed into the search.

        `parts`: with `group_by`, the parts as hits of their own, so many that there are k groups among them. A judge
        looks at them, and `mmrank.group_by` folds them afterwards:

            index.retriever(20, group_by="parent", parts=True) >> judge >> mm.group_by("parent") % 10
        """
        options = SearchOptions(
            where=where,
            mode=mode,
            kinds=kinds_of(kinds),
            compose=compose,
            exact=exact,
            group_by=group_by,
            distinct=distinct,
            parts=parts,
        )
        return Retriever(index=cast("Index", self), k=k, options=options)

    def rescorer(self, depth: int | None = None, *, compose: Compose = None) -> Rescorer:
        """A Stage that orders the first `depth` hits of another stage by this index's vectors."""
        return Rescorer(index=cast("Index", self), depth=depth, compose=compose)

    def late_interaction(
        self,
        depth: int | None = None,
        *,
        k: int = 10,
        alpha: float | None = None,
        patience: int | None = None,
        batch: int = 4,
    ) -> MaxSim:
        """A Stage that orders the first `depth` hits by exact MaxSim over the token vectors that this index keeps.

        The options are those of `mmrank.late_interaction`. Raises `IndexStoreError` for an index without token vectors.

            index = Index.create("indexes/reports", "colqwen2")
            index.add(mmrank.scan("reports/"))
            pipeline = index.retriever(k=100, kinds=["page"]) >> index.late_interaction(depth=100)
        """
        from mmrank.rerank.vectors.late import late_interaction

        return late_interaction(self, depth=depth, k=k, alpha=alpha, patience=patience, batch=batch)
