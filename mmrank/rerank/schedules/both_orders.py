"""Asking every block in both orders, to see and to even out an MLLM's liking for a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from mmrank.errors import UsageError
from mmrank.rerank.parts import Answer, Block, Plan
from mmrank.rerank.schedules.base import Schedule, make_block, usable
from mmrank.rerank.schedules.duels import both_ways
from mmrank.types import STATUSES

_NOT_WITH = {"pairs": "it asks each duel in both orders already", "pointwise": "a block of one slot has one order"}
_NOT_WITH["early_exit"] = _NOT_WITH["pointwise"]


@dataclass(frozen=True, slots=True)
class BothOrders:
    """Any schedule, with each block asked as it is and reversed, in the same round. Twice the calls.

    Variants: a block of variant v becomes 2v, its reversal 2v + 1. An aggregator is given all blocks and answers; a
    schedule that reads answers itself (sliding) is sent one merged answer for the two. `agreement` of the blocks and
    answers of a query says how far the place decided.

    >>> from mmrank.rerank.schedules.window import Single
    >>> BothOrders(Single()).calls(20)
    2
    """

    inner: Schedule

    def __post_init__(self) -> None:
        why = "it is BothOrders already" if isinstance(self.inner, BothOrders) else _NOT_WITH.get(self.inner.kind)
        if why:
            raise UsageError(f"both_orders means nothing with the schedule {self.inner.kind!r}: {why}. Leave it out.")

    @property
    def kind(self) -> str:
        return self.inner.kind

    @property
    def needs_scores(self) -> bool:
        return self.inner.needs_scores

    @property
    def needs_aggregator(self) -> bool:
        return self.inner.needs_aggregator

    def plan(self, slots: int, seed: int, scores: Sequence[float] | None = None) -> Plan:
        inner = self.inner.plan(slots, seed, scores)
        try:
            blocks = next(inner)
            while True:
                answers = yield [shown for block in blocks for shown in _both(block, seed)]
                blocks = inner.send([merged(a, b) for a, b in zip(answers[::2], answers[1::2], strict=True)])
        except StopIteration as stop:
            order: Sequence[int] | None = stop.value
            return order
        except TimeoutError as late:
            return _order_so_far(inner, late)

    def calls(self, slots: int) -> int:
        return 2 * self.inner.calls(slots)

    def worst(self, slots: int) -> int:
        return 2 * self.inner.worst(slots)

    def largest(self, slots: int) -> int:
        return self.inner.largest(slots)


def _order_so_far(inner: Plan, late: TimeoutError) -> Sequence[int] | None:
    """What the inner plan makes of running out of time; raises `late` when it has no order of its own."""
    try:
        inner.throw(late)
    except StopIteration as stop:
        order: Sequence[int] | None = stop.value
        return order
    raise late


def _both(block: Block, seed: int) -> tuple[Block, Block]:
    forward = replace(block, variant=2 * block.variant)
    return forward, make_block(block.slots[::-1], forward.variant + 1, seed)


def turned(answer: Answer) -> Answer:
    """An answer about a reversed block, told in the positions of the block itself.

    >>> turned(Answer(order=(0, 2, 1), named=3)).order
    (2, 0, 1)
    """
    last = len(answer.order) - 1
    return replace(answer, order=tuple(last - p for p in answer.order), scores=answer.scores[::-1])


def merged(forward: Answer, backward: Answer) -> Answer:
    """One answer for a block from the answers about it and about its reversal.

    Positions go by their mean place, where those an answer did not name share its last places; equal means go by
    the mean score, then the block's order. Named is what either named. Scores are means of the known ones. An answer
    that fell back or failed says nothing: the other one stands, as ``repaired``.
    """
    back = turned(backward)
    if not (usable(forward) and usable(back)):
        kept = forward if usable(forward) or not usable(back) else back
        return replace(kept, status="repaired") if usable(kept) else kept
    size = len(forward.order)
    scores = tuple(_mean([a.scores[p] for a in (forward, back) if a.scores]) for p in range(size))
    place = {p: _place(forward, p) + _place(back, p) for p in range(size)}
    named = set(forward.asserted) | set(back.asserted)
    order = sorted(range(size), key=lambda p: (p not in named, place[p], -(scores[p] or 0.0), p))
    worst = max((forward.status, back.status), key=STATUSES.index)
    return Answer(
        order=tuple(order),
        named=len(named),
        scores=scores if forward.scores or back.scores else (),
        status=worst,
        dropped=forward.dropped + back.dropped,
        appended=forward.appended + back.appended,
        retries=forward.retries + back.retries,
        error=forward.error or back.error,
        cost=forward.cost + back.cost,
    )


def _place(answer: Answer, position: int) -> float:
    place = answer.order.index(position)
    return place if place < answer.named else (answer.named + len(answer.order) - 1) / 2


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def agreement(blocks: Sequence[Block], answers: Sequence[Answer]) -> float | None:
    """The share of pairs of slots that both orders of a block put the same way round, 0..1; None without any.

    1: the place a candidate is shown at never decided; 0.5: what chance gives; near 0: the place decided everything.
    Counts pairs that both answers name, over all blocks asked in both orders (duels too). A pair that both score
    equally agrees; one that only one of them ties does not. 2 * agreement - 1 is Kendall's tau between the two orders
    where there are no ties.
    """
    same = total = 0
    for pair in both_ways(blocks):
        one, other = answers[pair.forward], turned(answers[pair.backward])
        if not (usable(one) and usable(other)):
            continue
        for a, b in combinations(sorted(set(one.asserted) & set(other.asserted)), 2):
            total += 1
            same += _side(one, a, b) == _side(other, a, b)
    return same / total if total else None


def _side(answer: Answer, a: int, b: int) -> int:
    if answer.scores and answer.scores[a] is not None and answer.scores[a] == answer.scores[b]:
        return 0
    return 1 if answer.order.index(a) < answer.order.index(b) else -1
