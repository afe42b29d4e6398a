"""What a judge will cost, before it is asked anything: calls, tokens, pictures, seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from mmrank.types import Ranking

if TYPE_CHECKING:
    from mmrank.rerank.judge import MllmReranker

SAMPLED_QUERIES = 4
"""Queries whose first prompts are made and counted; the rest are taken to be like them."""

SAMPLED_BLOCKS = 3
"""Prompts counted of each such query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Expected totals over all queries. `seconds` is None where the model's speed on this machine is not known."""

    queries: int
    calls: int
    tokens_in: int
    tokens_out: int
    pictures: int
    seconds: float | None

    def __str__(self) -> str:
        time = "time unknown" if self.seconds is None else f"about {_clock(self.seconds)}"
        return (
            f"{self.queries:,} queries: {self.calls:,} calls, {self.tokens_in:,} tokens in, "
            f"{self.tokens_out:,} out, {self.pictures:,} pictures, {time}"
        )


def estimate(reranker: MllmReranker, rankings: Sequence[Ranking]) -> Estimate:
    """What `reranker` will take for these rankings. Renders and counts a few prompts; asks the model nothing.

    Calls follow from the schedule (an expected number where it depends on the answers), tokens and pictures from a few
    real prompts, seconds from the model's speed on this machine (`MLLM.speed`).
    """
    filled = [ranking for ranking in rankings if ranking.hits]
    candidates = [len(ranking.hits[: reranker.depth]) for ranking in filled]
    batch = [(ranking.query, ranking.hits[: reranker.depth]) for ranking in filled[:SAMPLED_QUERIES]]
    sizes: list[tuple[int, int, int]] = []
    growth: list[float] = []
    for (_, hits), (work, blocks) in zip(batch, reranker.works(batch), strict=False):
        growth.append(len(work.slots) / len(hits))
        for block in blocks[:SAMPLED_BLOCKS]:
            prompt = reranker.prompt(work, block)
            written = reranker.ask.tokens_out(len(block.slots))
            sizes.append((reranker.mllm.count_tokens(prompt), written, len(prompt.pictures)))
    slots_per_hit = fmean(growth) if growth else 1.0
    calls = sum(reranker.schedule.calls(max(1, round(count * slots_per_hit))) for count in candidates)
    if not sizes:
        return Estimate(queries=len(rankings), calls=calls, tokens_in=0, tokens_out=0, pictures=0, seconds=None)
    tokens_in, tokens_out, pictures = (round(calls * fmean(column)) for column in zip(*sizes, strict=True))
    speed = reranker.mllm.speed()
    seconds = None if speed is None else tokens_in / speed.read + tokens_out / speed.write
    return Estimate(
        queries=len(rankings),
        calls=calls,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        pictures=pictures,
        seconds=seconds,
    )


def _clock(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
