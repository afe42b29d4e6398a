"""What every reranker is held to: the same Items out as in, whatever the judge says."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmrank.errors import MmrankError, UsageError
from mmrank.media.scan import scan
from mmrank.pipeline import Stage, as_query, check_depth
from mmrank.types import Cost, Hit, Item, Query, Ranking, Record

GIVEN = "given"
"""The stage of hits that no stage has scored: files in the order in which they were named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A judge's answer for one query's candidates.

    `order`: positions of the candidates, best first, each exactly once. `scores`: the new score of each
    candidate by position, None where the judge gave none (the hit then keeps its old score and trace).
    """

    order: Sequence[int]
    scores: Sequence[float | None]
    record: Record


class Reranker(Stage):
    """Reorders the first `depth` hits (all when None); what lies below keeps its order behind.

    Subclasses give `judge`. A judgement that is no permutation is a programming error and raises.
    """

    depth: int | None

    @abstractmethod
    def judge(self, batch: Sequence[tuple[Query, Sequence[Hit]]]) -> list[Judgement]:
        """One Judgement per (query, candidates), in order. Candidates are never empty."""

    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        todo = [i for i, r in enumerate(rankings) if r.hits]
        judgements = self.judge([(rankings[i].query, rankings[i].hits[: self.depth]) for i in todo])
        out = list(rankings)
        for i, judgement in zip(todo, judgements, strict=True):
            out[i] = self._apply(rankings[i], judgement)
        return out

    def _apply(self, ranking: Ranking, judgement: Judgement) -> Ranking:
        head, tail = ranking.hits[: self.depth], ranking.hits[len(ranking.hits[: self.depth]) :]
        if sorted(judgement.order) != list(range(len(head))):
            raise MmrankError(
                f"Reranker {self.name!r} was given {len(head)} candidates and answered with the order "
                f"{list(judgement.order)[:20]}; it must name each of 0..{len(head) - 1} once."
            )
        judged = [
            self._rescored(head[i], judgement.scores[i], place) for place, i in enumerate(judgement.order, start=1)
        ]
        return ranking.with_hits([*judged, *tail], judgement.record)

    def _rescored(self, hit: Hit, score: float | None, rank: int) -> Hit:
        """The hit at its new place; without a new score it keeps the old one."""
        return hit if score is None else hit.rescored(score, self.name, rank)

    def rank(self, query: str | Query, items: Sequence[Item | str | Path]) -> Ranking:
        """Order some items or files for a query; no index needed. A PDF stands for its pages."""
        return self.process([given_ranking(query, items)])[0]


def given_ranking(query: str | Query, items: Sequence[Item | str | Path]) -> Ranking:
    """Some items or files as a Ranking in the order given, stage `GIVEN`, every score 0: what `Reranker.rank` orders.

    Raises `UsageError` for a file that cannot be read, and for an item that comes twice.
    """
    hits = [Hit(item=item, score=0.0, stage=GIVEN) for item in _as_items(items)]
    return Ranking(query=as_query(query), hits=hits)


def _as_items(items: Sequence[Item | str | Path]) -> list[Item]:
    found: list[Item] = []
    for item in items:
        if isinstance(item, Item):
            found.append(item)
            continue
        scanned = scan([item])
        found.extend(scanned)
        if scanned.failures:
            raise UsageError("; ".join(f"{uri}: {why}" for uri, why in scanned.failures))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionReranker(Reranker):
    """A reranker made of any function; see `reranker`."""

    score: Callable[[Query, list[Item]], Sequence[float]]
    depth: int | None = None
    label: str = "function"

    def __post_init__(self) -> None:
        check_depth(self.depth)

    @property
    def name(self) -> str:
        return self.label

    def judge(self, batch: Sequence[tuple[Query, Sequence[Hit]]]) -> list[Judgement]:
        return [self._judge_one(query, hits) for query, hits in batch]

    def _judge_one(self, query: Query, hits: Sequence[Hit]) -> Judgement:
        start = time.perf_counter()
        try:
            scores = self._scores(query, hits)
        # The function is the caller's: whatever it raises is its failure on this query, kept on the record,
        # and the other queries go on.
        except Exception as error:  # noqa: BLE001
            record = Record(stage=self.name, status="fell_back", calls=1, error=f"{type(error).__name__}: {error}")
            return Judgement(order=range(len(hits)), scores=[None] * len(hits), record=record)
        cost = Cost(model_calls=1, seconds=time.perf_counter() - start)
        order = sorted(range(len(hits)), key=lambda i: -scores[i])
        return Judgement(order=order, scores=scores, record=Record(stage=self.name, calls=1, cost=cost))

    def _scores(self, query: Query, hits: Sequence[Hit]) -> list[float]:
        scores = [float(s) for s in self.score(query, [h.item for h in hits])]
        if len(scores) != len(hits):
            raise UsageError(f"the function gave {len(scores)} scores for {len(hits)} items; it must give one each")
        if any(math.isnan(s) for s in scores):
            raise UsageError("the function gave NaN; a score must be a number")
        return scores

    def __repr__(self) -> str:
        depth = "" if self.depth is None else f", depth={self.depth}"
        return f"reranker({self.label}{depth})"


def reranker(
    score: Callable[[Query, list[Item]], Sequence[float]], *, depth: int | None = None, name: str | None = None
) -> FunctionReranker:
    """A Stage of your own: a function of a query and its candidate items that gives one score each, higher = better.

    Equal scores keep the previous order. When the function raises or gives NaN, the query keeps its previous
    order and its record says ``fell_back`` with the cause.

    >>> from mmrank.types import Item
    >>> longest = reranker(lambda query, items: [len(i.text or "") for i in items], name="longest")
    >>> longest.rank("q", [Item(id="a", kind="text", text="x"), Item(id="b", kind="text", text="xxx")]).ids
    ('b', 'a')
    """
    label = name or str(getattr(score, "__name__", "function"))
    return FunctionReranker(score=score, depth=depth, label="function" if label == "<lambda>" else label)
