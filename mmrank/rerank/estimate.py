"""What a judge will cost, before it is asked anything: calls, tokens, pictures, seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, linear_regression
from typing import TYPE_CHECKING, TypeVar

from mmrank.errors import UsageError
from mmrank.mllm.base import Speed
from mmrank.rerank.parts import Block
from mmrank.rerank.schedules.play import best_first, play
from mmrank.rerank.slots import expanded
from mmrank.types import Ranking

if TYPE_CHECKING:
    from mmrank.rerank.judge import MllmReranker
    from mmrank.rerank.work import Work

T = TypeVar("T")

SAMPLED_QUERIES = 4
"""Queries, spread over all, whose prompts are made and counted; the rest are taken to be like them."""

SAMPLED_BLOCKS = 32
"""Prompts counted of each such query, spread over its rounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Expected totals over all queries. `seconds` is None where the model's speed on this machine is not known."""

    queries: int
    calls: int
    tokens_in: int
    tokens_out: int
    pictures: int
    seconds: float | None = None

    def at(self, speed: Speed | None) -> Estimate:
        """The same with the seconds it takes at this speed; None where nothing is known.

        >>> some = Estimate(queries=1, calls=2, tokens_in=600, tokens_out=2, pictures=2)
        >>> some.at(Speed(read=100.0, write=4.0)).seconds
        6.5
        """
        if speed is None or not self.tokens_in:
            return replace(self, seconds=None)
        return replace(self, seconds=self.tokens_in / speed.read + self.tokens_out / speed.write)

    def __str__(self) -> str:
        counts = (
            _count(self.queries, "query", "queries"),
            _count(self.calls, "call", "calls"),
            f"{self.tokens_in:,} tokens in",
            f"{self.tokens_out:,} out",
            _count(self.pictures, "picture", "pictures"),
            "time unknown" if self.seconds is None else f"about {_clock(self.seconds)}",
        )
        return f"{counts[0]}: {', '.join(counts[1:])}"


@dataclass(frozen=True, slots=True)
class _Size:
    """One prompt: candidates shown, tokens in, tokens out, pictures."""

    shown: int
    tokens_in: int
    tokens_out: int
    pictures: int


def estimate(reranker: MllmReranker, rankings: Sequence[Ranking], *, timed: bool = True) -> Estimate:
    """What `reranker` will take for these rankings. Renders and counts some prompts; asks the model nothing about them.

    Calls follow from the schedule: exact where it does not depend on the answers, else an expected number; questions
    asked again are not in it. Tokens and pictures are those of real prompts, seconds follow from the model's speed on
    this machine (`MLLM.speed`, measured on made-up prompts when it is first asked for; left out unless `timed`).
    """
    batch = [(ranking.query, ranking.hits[: reranker.depth]) for ranking in rankings if ranking.hits]
    chosen = _spread(range(len(batch)), SAMPLED_QUERIES)
    works = dict(zip(chosen, reranker.begun([batch[i] for i in chosen]), strict=True))
    sizes = [size for work in works.values() for size in _sizes(reranker, work)]
    slots = [
        len(expanded(hits, reranker.recipe)) if i not in works else 0 if works[i].broken else len(works[i].slots)
        for i, (_, hits) in enumerate(batch)
    ]
    blocks, shown = _asked(reranker, slots)
    calls = blocks * reranker.ask.calls
    if not sizes:
        return Estimate(queries=len(rankings), calls=calls, tokens_in=0, tokens_out=0, pictures=0)
    tokens_in, tokens_out, pictures = (
        round(reranker.ask.calls * _total([(size.shown, getattr(size, name)) for size in sizes], blocks, shown))
        for name in ("tokens_in", "tokens_out", "pictures")
    )
    expected = Estimate(
        queries=len(rankings), calls=calls, tokens_in=tokens_in, tokens_out=tokens_out, pictures=pictures
    )
    return expected.at(reranker.mllm.speed()) if timed else expected


def _asked(reranker: MllmReranker, slots: Sequence[int]) -> tuple[int, float]:
    """How many blocks queries with so many slots are asked, and how many candidates these show together."""
    blocks, shown = 0, 0.0
    for count, times in Counter(slots).items():
        if calls := reranker.schedule.calls(count):
            worth = [0.0] * count
            played = play(reranker.schedule.plan(count, 0, worth), lambda block, worth=worth: best_first(block, worth))  # type: ignore[misc]
            blocks += times * calls
            shown += times * calls * fmean(len(block.slots) for block in played.blocks)
    return blocks, shown


def _total(sizes: Sequence[tuple[int, int]], blocks: int, shown: float) -> float:
    """The sum over all blocks of something that grows with the candidates shown, by a line through the samples."""
    if len({size for size, _ in sizes}) > 1:
        slope, base = linear_regression(*zip(*sizes, strict=True))
    else:
        slope, base = fmean(value for _, value in sizes) / sizes[0][0], 0.0
    return max(0.0, base * blocks + slope * shown)


def _sizes(reranker: MllmReranker, work: Work) -> list[_Size]:
    """Prompts of a query, as if every answer kept the previous order."""
    blocks: list[Block] = []
    while work.live:
        blocks += work.waiting
        work.receive([best_first(block, [0.0] * len(work.slots)) for block in work.waiting])
    sizes = []
    for block in _spread(blocks, SAMPLED_BLOCKS):
        try:
            prompt = reranker.prompt(work, block)
        except UsageError as error:  # the words are not made for this query: it will not be asked
            work.give_up(str(error))
            return []
        shown = len(block.slots)
        tokens = reranker.mllm.count_tokens(prompt)
        sizes.append(_Size(shown, tokens, reranker.ask.tokens_out(shown), len(prompt.pictures)))
    return sizes


def _spread(things: Sequence[T], most: int) -> list[T]:
    """At most `most` of them, evenly from first to last."""
    count = min(most, len(things))
    return [things[len(things) * i // count] for i in range(count)]


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _clock(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
