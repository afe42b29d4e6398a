"""Late interaction: exact MaxSim over a list of candidates, with candidate pruning and early exit.

MaxSim is ColBERT's (Khattab & Zaharia, SIGIR 2020): for each query token the largest dot product with a token of the
document, summed. Pruning and early exit are those of "Efficient multivector reranking" (arXiv 2601.05200; vectorium,
`src/core/rerank_index.rs`), through `mmrank.rerank.schedules.early_exit`, which holds the one rule for all scorers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from mmrank.aggregate import Floats
from mmrank.errors import EmbedderError, MmrankError
from mmrank.pipeline import check_depth
from mmrank.rerank.base import Judgement, Reranker
from mmrank.rerank.parts import Answer
from mmrank.rerank.schedules.early_exit import EarlyExit
from mmrank.rerank.vectors.first_stage import first_scores
from mmrank.rerank.vectors.settings import number, whole
from mmrank.rerank.vectors.source import Matrix, TokenSource
from mmrank.rerank.vectors.stage import NONE_SCORED, Rescored, finite, judgement, missing_text
from mmrank.types import Cost, Hit, Query

BLOCK_TOKENS = 65_536
"""Document tokens multiplied at once: with 32 query tokens 8 MiB of products, at 128 dimensions 32 MiB of float32."""

HELD_AT_ONCE = 128
"""Hits whose token vectors are in memory at once: at 750 tokens of 128 numbers 49 MB of float32."""

Score = Callable[[Sequence[int]], Sequence[float | None]]
"""Scores of these positions, None for one that cannot be scored."""


def max_sim(query: Matrix, documents: Sequence[Matrix]) -> Floats:
    """MaxSim of a query with each document, float64 (documents,).

    `query`: float32 (q, d). `documents`: float32 or float16 (tokens, d) each, one token at least, without padding.

    >>> max_sim(np.eye(2, dtype=np.float32), [np.eye(2, dtype=np.float32), np.array([[0.5, 0]], np.float32)]).tolist()
    [2.0, 0.5]
    """
    scores = np.empty(len(documents))
    start = 0
    while start < len(documents):
        end, tokens = start + 1, len(documents[start])
        while end < len(documents) and tokens + len(documents[end]) <= BLOCK_TOKENS:
            tokens += len(documents[end])
            end += 1
        block = documents[start:end]
        starts = np.cumsum([0, *(len(own) for own in block[:-1])])
        products = np.concatenate(block).astype(np.float32, copy=False) @ query.T
        scores[start:end] = np.maximum.reduceat(products, starts, axis=0).sum(axis=1, dtype=np.float64)
        start = end
    return scores


def scored_early(
    score: Score,
    count: int,
    *,
    k: int = 10,
    alpha: float | None = None,
    patience: int | None = None,
    batch: int = 1,
    first: Sequence[float] | None = None,
) -> Floats:
    """Scores of as many of `count` candidates as the best `k` need, float64 (count,), NaN for the others.

    Candidates come in first-stage order. Candidate pruning: those whose `first` score is below s_k - alpha * abs(s_k)
    are left out, s_k being the k-th best; `alpha` None, or from 1 on, leaves out none. Early exit: after the first k,
    on down the list, `batch` at a time, until `patience` in a row have not entered the best k; None goes to the end.
    The rule is applied one by one, so that a larger batch scores at most batch - 1 more.

    >>> worth = [5.0, 4.0, 1.0, 1.0, 9.0]
    >>> scored_early(lambda some: [worth[i] for i in some], 5, k=2, patience=2).tolist()
    [5.0, 4.0, 1.0, 1.0, nan]
    """
    pruning = alpha if alpha is not None and alpha < 1 else None
    rule = EarlyExit(k=k, patience=patience or max(count, 1), batch=batch if patience else max(count, 1), alpha=pruning)
    plan = rule.plan(count, 0, scores=first)
    scores = np.full(count, np.nan)
    answers: list[Answer] | None = None
    while True:
        try:
            blocks = next(plan) if answers is None else plan.send(answers)
        except StopIteration:
            return scores
        asked = [block.slots[0] for block in blocks]
        found = score(asked)
        answers = [Answer(order=(0,), named=int(one is not None), scores=(one,)) for one in found]
        for slot, one in zip(asked, found, strict=True):
            if one is not None:
                scores[slot] = one


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MaxSim(Reranker):
    """A stage that orders by exact MaxSim; see `late_interaction`. Token vectors are fetched as they are needed."""

    source: Any
    depth: int | None = None
    k: int = 10
    alpha: float | None = None
    patience: int | None = None
    batch: int = 4

    def __post_init__(self) -> None:
        check_depth(self.depth)
        whole(self.name, 1, k=self.k, patience=self.patience, batch=self.batch)
        number(self.name, 0, alpha=self.alpha)
        # An index says whether it holds token vectors at all; better now than in the middle of a run.
        if (check := getattr(self.source, "check_token_vectors", None)) is not None:
            check()

    @property
    def name(self) -> str:
        return "late_interaction"

    def judge(self, batch: Sequence[tuple[Query, Sequence[Hit]]]) -> list[Judgement]:
        asked = self.source.query_tokens([query for query, _ in batch])
        return [
            judgement(self.name, hits, (), NONE_SCORED, error=str(side))
            if isinstance(side, MmrankError)
            else self._judged(query, hits, *side)
            for (query, hits), side in zip(batch, asked, strict=True)
        ]

    def _judged(self, query: Query, hits: Sequence[Hit], tokens: Matrix, cost: Cost) -> Judgement:
        start = time.perf_counter()
        first, stages = first_scores(hits)
        pruned = self.alpha is not None and first is not None
        missing: list[Hit] = []
        asked_for: list[int] = []

        def score(some: Sequence[int]) -> list[float | None]:
            asked_for.extend(some)
            found: dict[int, float] = {}
            for start in range(0, len(some), HELD_AT_ONCE):
                part = some[start : start + HELD_AT_ONCE]
                held = finite(self.source.token_vectors([hits[place].id for place in part]))
                there = [place for place in part if hits[place].id in held]
                missing.extend(hits[place] for place in part if hits[place].id not in held)
                _check_dimension(query, tokens, held)
                found.update(zip(there, max_sim(tokens, [held[hits[place].id] for place in there]), strict=True))
            return [float(found[place]) if place in found else None for place in some]

        scores = scored_early(
            score,
            len(hits),
            k=self.k,
            alpha=self.alpha if pruned else None,
            patience=self.patience,
            batch=self.batch,
            first=None if first is None else first.tolist(),
        )
        notes = []
        if self.alpha is not None and not pruned:
            notes.append(f"Nothing was pruned: the hits' scores do not compare (stages {', '.join(stages)}).")
        if len(asked_for) < len(hits):
            notes.append(f"{len(asked_for)} of {len(hits)} hits were scored; the others could not enter the best k.")
        rescored = Rescored(scores, note=" ".join(notes) or None)
        cost += Cost(seconds=time.perf_counter() - start)
        error = missing_text(missing, "token vectors") if missing else None
        return judgement(self.name, hits, range(len(hits)), rescored, cost=cost, error=error)

    def __repr__(self) -> str:
        told = [repr(self.source)]
        for setting in fields(self):
            value = getattr(self, setting.name)
            if setting.name != "source" and value != setting.default:
                told.append(f"{setting.name}={value!r}")
        return f"{self.name}({', '.join(told)})"


def _check_dimension(query: Query, tokens: Matrix, held: dict[str, Matrix]) -> None:
    for name, own in held.items():
        if own.ndim != 2 or own.shape[1] != tokens.shape[1]:
            raise EmbedderError(
                f"The token vectors of query {query.id!r} have shape {tokens.shape} and those of item {name!r} "
                f"{own.shape}; both must be (tokens, dimension) and come from one embedder."
            )


def late_interaction(
    source: TokenSource,
    *,
    depth: int | None = None,
    k: int = 10,
    alpha: float | None = None,
    patience: int | None = None,
    batch: int = 4,
) -> MaxSim:
    """A Stage: the first `depth` hits by exact MaxSim of their token vectors with the query's.

    By default every hit is scored. When only the best `k` count, most need not be: `alpha` (0.015 to 0.05 in the paper)
    prunes candidates far below the first stage's k-th, `patience` (2 to 4 in the paper) stops after as many in a row
    that did not enter the best k. Both lean on the first stage's order; hits not scored keep their order behind. Token
    vectors are fetched `batch` hits at a time, of a list scored to its end 128. `source`: an `Index` built with a late
    interaction embedder, or what else gives token vectors. Raises `UsageError` for settings that mean nothing,
    `IndexStoreError` for an index without token vectors.

    Those values keep the best hit, not the whole top 10. For that (`scripts/bench_vectors.py late`) order by a few
    pooled tokens first (`mmrank.rerank.vectors.pooling`), then exactly with some more patience:

        late_interaction(few) >> late_interaction(all_tokens, patience=12)

    >>> from mmrank.rerank.vectors.source import GivenVectors
    >>> late_interaction(GivenVectors(), depth=50, alpha=0.05, patience=4)
    late_interaction(GivenVectors(), depth=50, alpha=0.05, patience=4)
    """
    return MaxSim(source=source, depth=depth, k=k, alpha=alpha, patience=patience, batch=batch)
