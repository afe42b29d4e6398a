"""Duels: two slots asked in both orders, and who won when both answers are held against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmrank.rerank.parts import Answer, Block
from mmrank.rerank.schedules.base import usable


@dataclass(frozen=True, slots=True)
class BothWays:
    """The places of two blocks that show the same slots in opposite orders."""

    forward: int
    backward: int


def both_ways(blocks: Sequence[Block]) -> Iterator[BothWays]:
    """The pairs of blocks asked in both orders: an even variant, and the next variant with the slots reversed."""
    waiting: dict[tuple[tuple[int, ...], int], int] = {}
    for place, block in enumerate(blocks):
        if len(block.slots) < 2:
            continue
        if block.variant % 2 == 0:
            waiting[block.slots, block.variant] = place
            continue
        forward = waiting.pop((block.slots[::-1], block.variant - 1), None)
        if forward is not None:
            yield BothWays(forward, place)


def calibrated(forward: Answer, backward: Answer) -> float | None:
    """What the first slot of `forward` won: 1, 0.5 or 0; None when neither answer says anything.

    `forward` shows slots (i, j) and `backward` (j, i). With scores from both, i wins when the first place's lead is
    larger with i in it: P_A(i, j) > P_A(j, i), the calibration of LLM-RankFusion, which takes an MLLM's liking for
    the first place out as long as it is the same both times. Probabilities and log-probabilities decide alike.
    Without scores, the two orders must agree; else it is a tie. When only one answer says anything, it decides.

    >>> leaning = Answer(order=(0, 1), named=2, scores=(0.9, 0.1))
    >>> calibrated(leaning, Answer(order=(0, 1), named=2, scores=(0.6, 0.4)))
    1.0
    """
    first, second = _verdict(forward), _verdict(backward)
    if first is None or second is None:
        return first if second is None else 1.0 - second
    lead, against = _lead(forward), _lead(backward)
    if lead is not None and against is not None:
        return 0.5 if lead == against else float(lead > against)
    return (first + 1.0 - second) / 2 if first == 1.0 - second else 0.5


def _verdict(answer: Answer) -> float | None:
    """What position 0 of a block of two won by this answer alone; equal scores are a tie."""
    if not usable(answer):
        return None
    if _lead(answer) == 0:
        return 0.5
    return float(answer.order[0] == 0)


def _lead(answer: Answer) -> float | None:
    if len(answer.scores) < 2 or answer.scores[0] is None or answer.scores[1] is None:
        return None
    return answer.scores[0] - answer.scores[1]
