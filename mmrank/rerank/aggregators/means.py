"""Means: of scores, of places, of reciprocal ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmrank.aggregate import RRF_K, min_max, reciprocal_rank_fusion
from mmrank.errors import UsageError
from mmrank.rerank.aggregators.base import Aggregated, Table, by_score, number_in
from mmrank.rerank.aggregators.wins import Omitted, check_blocks
from mmrank.rerank.parts import Answer, Block
from mmrank.rerank.schedules.base import usable


def mean(
    blocks: Sequence[Block],
    answers: Sequence[Answer],
    slots: int,
    *,
    divide_by: float = 1.0,
    normalise: bool = False,
) -> Aggregated:
    """Each slot's mean score over the answers that gave it one; unknown scores are left out, never counted as 0.

    `divide_by`: the top of the scale the MLLM was given (10 for GroupRank, 100 for Retro*), so that scores run 0..1.
    `normalise`: min-max within each answer first, for scores that compare only within one answer (first-token
    log-probabilities of different blocks).
    """
    number_in("mean", "divide_by", divide_by, 1e-9, float("inf"))
    if not isinstance(normalise, bool):
        raise UsageError(f"Aggregator 'mean': normalise is {normalise!r}; give true or false.")
    check_blocks(blocks, answers, slots, "below")
    total, count = np.zeros(slots), np.zeros(slots)
    for block, answer in zip(blocks, answers, strict=True):
        if not (answer.scores and usable(answer)):
            continue
        scores = np.full((1, len(block.slots)), np.nan)
        for position in answer.asserted:
            score = answer.scores[position]
            scores[0, position] = np.nan if score is None else score
        row = (min_max(scores) if normalise else scores)[0]
        known = ~np.isnan(row)
        np.add.at(total, np.array(block.slots)[known], row[known])
        np.add.at(count, np.array(block.slots)[known], 1)
    return by_score((total / np.maximum(count, 1) / divide_by).round(12), count > 0)


def borda(blocks: Sequence[Block], answers: Sequence[Answer], slots: int, *, omitted: Omitted = "below") -> Aggregated:
    """Each slot's mean Borda share over the blocks it was in, 0..1: the share of its block that it stands before.

    Over shuffles of one list this is the order of mean ranks (permutation self-consistency). Slots an answer did not
    name share its last places (``below``), or that answer is left out for them (``unknown``).
    """
    check_blocks(blocks, answers, slots, omitted)
    total, count = np.zeros(slots), np.zeros(slots)
    for block, answer in zip(blocks, answers, strict=True):
        size = len(block.slots)
        if size < 2 or not usable(answer):
            continue
        for position, place in _places(answer, omitted).items():
            total[block.slots[position]] += (size - 1 - place) / (size - 1)
            count[block.slots[position]] += 1
    return by_score((total / np.maximum(count, 1)).round(12), count > 0)


def _places(answer: Answer, omitted: Omitted) -> dict[int, float]:
    """Place from 0 by position; equal scores share their places."""
    places = {position: float(place) for place, position in enumerate(answer.asserted)}
    if omitted == "below":
        shared = (answer.named + len(answer.order) - 1) / 2
        places |= dict.fromkeys(answer.order[answer.named :], shared)
    tied: dict[float, list[int]] = {}
    for position in answer.asserted:
        score = answer.scores[position] if answer.scores else None
        if score is not None:
            tied.setdefault(score, []).append(position)
    for group in tied.values():
        places |= dict.fromkeys(group, sum(places[p] for p in group) / len(group))
    return places


def rrf(blocks: Sequence[Block], answers: Sequence[Answer], slots: int, *, k: int = RRF_K) -> Aggregated:
    """Each slot's mean of 1 / (k + rank) over the blocks it was in; 0 from one that did not name it.

    The mean, not the sum: a slot that a block design shows once more is no better for it. Over shuffles of one list
    both give the same order.
    """
    number_in("rrf", "k", k, 0.0, float("inf"))
    check_blocks(blocks, answers, slots, "below")
    said = [(b, a) for b, a in zip(blocks, answers, strict=True) if usable(a) and len(b.slots) > 1]
    ranks, shown = np.full((len(said), slots), np.nan), np.zeros((len(said), slots))
    for row, (block, answer) in enumerate(said):
        shown[row, list(block.slots)] = 1.0
        for place, position in enumerate(answer.asserted):
            ranks[row, block.slots[position]] = place + 1.0
    times: Table = shown.sum(axis=0)
    fused = reciprocal_rank_fusion(ranks, k=k) / np.maximum(times, 1.0)
    return by_score(fused.round(15), times > 0)
