"""Sorting by duels: every comparison is one pair asked in both orders (LLM-RankFusion)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Literal, TypeAlias, get_args

from mmrank.errors import UsageError
from mmrank.rerank.parts import Answer, Block, Plan
from mmrank.rerank.schedules.base import at_least, check_slots, make_block
from mmrank.rerank.schedules.duels import calibrated
from mmrank.rerank.schedules.play import expected_calls

Sorting: TypeAlias = Literal["bubble", "heap", "all"]
Duel: TypeAlias = tuple[int, int]
Duels: TypeAlias = Generator[list[Duel], None, list[int]]
Sift: TypeAlias = Generator[Duel, None, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Sort by duels, each asked in both orders and decided by `calibrated`; a tie keeps the previous order.

    `method`: ``all`` asks every pair in one round and leaves the order to an aggregator (win rate); ``bubble`` and
    ``heap`` find the best `top_k` (all when None) and return the order. No duel is asked twice for a query, and duels
    that do not wait for each other share a round. Behind the best `top_k`, ``bubble`` leaves the rest as its passes
    left them, ``heap`` in previous order. A `TimeoutError` thrown into a sorting plan ends it with the order so far:
    ``heap`` puts those it has drawn first.

    >>> Pairs(method="all").calls(10)
    90
    """

    method: Sorting = "heap"
    top_k: int | None = None
    kind: ClassVar[str] = "pairs"
    needs_scores: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.method not in get_args(Sorting):
            raise UsageError(f"Schedule 'pairs': method is {self.method!r}; there are {', '.join(get_args(Sorting))}.")
        if self.top_k is None:
            return
        at_least(self.kind, 1, top_k=self.top_k)
        if self.method == "all":
            raise UsageError("Schedule 'pairs': method 'all' asks every pair, so top_k has no meaning; leave it out.")

    @property
    def needs_aggregator(self) -> bool:
        return self.method == "all"

    def plan(self, slots: int, seed: int, scores: Sequence[float] | None = None) -> Plan:
        check_slots(slots)
        table = Table()
        if self.method == "all":
            if slots > 1:
                yield _in_both_orders(list(combinations(range(slots), 2)), seed)
            return None
        top = min(slots, slots if self.top_k is None else self.top_k)
        sort = _bubble(slots, top, table) if self.method == "bubble" else _heap(slots, top, table)
        while True:
            try:
                duels = next(sort)
            except StopIteration as stop:
                order: list[int] = stop.value
                return order
            duels = table.unknown(duels)
            if duels:
                try:
                    answers = yield _in_both_orders(duels, seed)
                except TimeoutError as late:
                    return _order_so_far(sort, late)
                table.enter(duels, answers)

    def calls(self, slots: int) -> int:
        return slots * (slots - 1) if self.method == "all" else expected_calls(self, slots)

    def worst(self, slots: int) -> int:
        if slots < 2:
            return 0
        top = min(slots, slots if self.top_k is None else self.top_k)
        pairs = slots * (slots - 1)
        if self.method == "bubble":
            return sum(2 * (slots - 1 - done) for done in range(top))
        if self.method == "heap":
            # Building: two comparisons a level a node sinks; then each of top - 1 refills sinks a full path.
            sinks = sum(_height(node, slots) for node in range(slots // 2))
            sinks += sum(_height(0, slots - done) for done in range(1, top))
            return min(pairs, 4 * sinks)
        return pairs

    def largest(self, slots: int) -> int:
        return min(2, slots)


class Table:
    """What is known of the duels of one query."""

    def __init__(self) -> None:
        self._won: dict[Duel, float] = {}

    def unknown(self, duels: Sequence[Duel]) -> list[Duel]:
        """The duels not asked yet, the slot that stood higher first, each once."""
        return [d for d in dict.fromkeys(_sorted(d) for d in duels) if d not in self._won]

    def enter(self, duels: Sequence[Duel], answers: Sequence[Answer]) -> None:
        """Take in two answers a duel, in the order of `_in_both_orders`."""
        for duel, forward, backward in zip(duels, answers[::2], answers[1::2], strict=True):
            won = calibrated(forward, backward)
            self._won[duel] = 0.5 if won is None else won

    def better(self, a: int, b: int) -> bool:
        """Whether a goes before b; a tie keeps the previous order."""
        high, low = _sorted((a, b))
        return (high if self._won[high, low] >= 0.5 else low) == a


def _order_so_far(sort: Duels, late: TimeoutError) -> list[int]:
    """What a sort that waits for its duels answers when there is no time for them."""
    try:
        sort.throw(late)
    except StopIteration as stop:
        order: list[int] = stop.value
        return order
    raise late


def _sorted(duel: Duel) -> Duel:
    return (min(duel), max(duel))


def _in_both_orders(duels: Sequence[Duel], seed: int) -> list[Block]:
    return [make_block(shown, variant, seed) for a, b in duels for variant, shown in enumerate(((a, b), (b, a)))]


def _bubble(slots: int, top: int, table: Table) -> Duels:
    """Bubble sort from the end of the list, `top` passes. Pass p follows two places behind pass p - 1, which no
    longer touches what it compares: the outcome is that of passes made one after the other, in fewer rounds."""
    order = list(range(slots))
    last_step = max((slots - 2 - done + 2 * done for done in range(top)), default=-1)
    for step in range(last_step + 1):
        places = [place for done in range(top) if done < (place := slots - 1 - step + 2 * done) < slots]
        try:
            yield [(order[place - 1], order[place]) for place in places]
        except TimeoutError:
            return order
        for place in places:
            if table.better(order[place], order[place - 1]):
                order[place - 1], order[place] = order[place], order[place - 1]
    return order


def _heap(slots: int, top: int, table: Table) -> Duels:
    """Heap selection. Nodes of one level have no slot in common below them, so they sink side by side."""
    best: list[int] = []
    with suppress(TimeoutError):  # out of time: what was drawn so far stands first
        yield from _drawn(list(range(slots)), top, table, best)
    return best + [slot for slot in range(slots) if slot not in set(best)]


def _drawn(heap: list[int], top: int, table: Table, best: list[int]) -> Generator[list[Duel], None, None]:
    """Build the heap, then draw from it into `best` until that holds `top`."""
    for level in range(len(heap).bit_length() - 1, -1, -1):
        nodes = range((1 << level) - 1, min((2 << level) - 1, len(heap)))
        yield from _side_by_side([_sink(heap, node, table) for node in nodes])
    while heap and len(best) < top:
        best.append(heap[0])
        last = heap.pop()
        if heap:
            heap[0] = last
            if len(best) < top:
                yield from _side_by_side([_sink(heap, 0, table)])


def _side_by_side(sifts: list[Sift]) -> Generator[list[Duel], None, None]:
    while True:
        duels = [duel for sift in sifts if (duel := next(sift, None)) is not None]
        if not duels:
            return
        yield duels


def _sink(heap: list[int], node: int, table: Table) -> Sift:
    """Let the slot at `node` sink below every better child; yields each duel it has to know."""
    while (child := 2 * node + 1) < len(heap):
        if child + 1 < len(heap):
            yield (heap[child], heap[child + 1])
            if table.better(heap[child + 1], heap[child]):
                child += 1
        yield (heap[node], heap[child])
        if not table.better(heap[child], heap[node]):
            return
        heap[node], heap[child] = heap[child], heap[node]
        node = child


def _height(node: int, size: int) -> int:
    """How many levels there are below a node of a heap."""
    levels = 0
    while (node := 2 * node + 1) < size:
        levels += 1
    return levels
