"""Who beat whom: the answers of all blocks as one table of comparisons, and the win rate made from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from mmrank.errors import UsageError
from mmrank.rerank.aggregators.base import Aggregated, Table, by_score
from mmrank.rerank.parts import Answer, Block
from mmrank.rerank.schedules.base import usable
from mmrank.rerank.schedules.duels import both_ways, calibrated

Omitted: TypeAlias = Literal["below", "unknown"]
"""What an answer that names some of its block says about the rest. ``below``: the named ones beat each of them (a
choice of the one best, a list that leaves out what is irrelevant or ran out of tokens put them there); ``unknown``:
nothing. In neither case does it say anything about the rest among themselves: their order is the repair rule's."""


def win_table(blocks: Sequence[Block], answers: Sequence[Answer], slots: int, omitted: Omitted = "below") -> Table:
    """float64 (slots, slots): how often the row's slot beat the column's. A tie is half a win for each.

    Of two slots an answer names, the one it puts first wins, unless it scored both the same: a tie. Duels asked in
    both orders are one comparison, decided by `calibrated`. Answers that fell back or failed count for nothing.
    """
    check_blocks(blocks, answers, slots, omitted)
    wins = np.zeros((slots, slots))
    done: set[int] = set()
    for pair in both_ways(blocks):
        if len(blocks[pair.forward].slots) == 2:
            first, second = blocks[pair.forward].slots
            won = calibrated(answers[pair.forward], answers[pair.backward])
            done |= {pair.forward, pair.backward}
            if won is not None:
                wins[first, second] += won
                wins[second, first] += 1.0 - won
    for place, (block, answer) in enumerate(zip(blocks, answers, strict=True)):
        if place not in done and usable(answer):
            shown = np.array(block.slots)
            wins[np.ix_(shown, shown)] += _within(answer, omitted)
    return wins


def _within(answer: Answer, omitted: Omitted) -> Table:
    """The comparisons of one answer, (size, size), by position."""
    size = len(answer.order)
    place = np.empty(size)
    place[list(answer.order)] = np.arange(size)
    place[list(answer.order[answer.named :])] = size
    won = (place[:, None] < place[None, :]).astype(np.float64)
    if omitted == "unknown":
        won[:, list(answer.order[answer.named :])] = 0.0
    if answer.scores:
        scores = np.array([np.nan if s is None else s for s in answer.scores])
        # NaN equals nothing, so an unknown score ties with nothing.
        tied = scores[:, None] == scores[None, :]
        tied &= (place < size)[:, None] & (place < size)[None, :]
        np.fill_diagonal(tied, False)
        won[tied] = 0.5
    return won


def check_blocks(blocks: Sequence[Block], answers: Sequence[Answer], slots: int, omitted: Omitted) -> None:
    if omitted not in ("below", "unknown"):
        raise UsageError(f"Aggregator setting omitted is {omitted!r}; give 'below' or 'unknown'.")
    if len(blocks) != len(answers):
        raise UsageError(
            f"There are {len(blocks)} blocks and {len(answers)} answers; an aggregator needs one for each."
        )
    for block, answer in zip(blocks, answers, strict=True):
        if sorted(answer.order) != list(range(len(block.slots))):
            raise UsageError(
                f"The answer {answer.order} to a block of {len(block.slots)} must name each position once."
            )
        if block.slots and not 0 <= min(block.slots) <= max(block.slots) < slots:
            raise UsageError(f"The block {block.slots} names a slot that is none; there are {slots}.")


def compared(wins: Table) -> npt.NDArray[np.bool_]:
    """bool (slots,): which slots were in any comparison."""
    met: npt.NDArray[np.bool_] = (wins + wins.T).sum(axis=1) > 0
    return met


def win_rate(
    blocks: Sequence[Block],
    answers: Sequence[Answer],
    slots: int,
    *,
    per_opponent: bool = False,
    omitted: Omitted = "below",
) -> Aggregated:
    """Each slot's wins over its comparisons, 0..1 (JointRank).

    `per_opponent`: the mean over the slots it met of its share of wins against each, so that one met twice counts
    once; this is what JointRank's code computes (by evalica's average win rate). The default uses every comparison.
    """
    if not isinstance(per_opponent, bool):
        raise UsageError(f"Aggregator 'win_rate': per_opponent is {per_opponent!r}; give true or false.")
    wins = win_table(blocks, answers, slots, omitted)
    games = wins + wins.T
    if per_opponent:
        share = wins / np.maximum(games, 0.5)
        rate = share.sum(axis=1) / np.maximum((games > 0).sum(axis=1), 1)
    else:
        rate = wins.sum(axis=1) / np.maximum(games.sum(axis=1), 0.5)
    return by_score(rate.round(12), compared(wins))
