"""One query on its way through a judge: its slots, its plan, what was asked and answered so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mmrank.mllm.prompt import Part
from mmrank.rerank.aggregators import aggregate_blocks, blend
from mmrank.rerank.base import Judgement
from mmrank.rerank.parts import Answer, Block, Plan, Round
from mmrank.rerank.recipe import AggregatorPart
from mmrank.types import STATUSES, Cost, Hit, Query, Record, Status

MAX_ERRORS = 3
"""Different causes that one record spells out; the rest are counted."""


@dataclass(slots=True, kw_only=True)
class Work:
    """A query, the hits to be judged, and the state of its plan.

    `slots`: for each slot the position of the hit it shows. `parts`: for each slot its rendering.
    `faults`: what went wrong before any call, by hit: these hits are not shown and stay behind.
    """

    query: Query
    hits: Sequence[Hit]
    slots: list[int] = field(default_factory=list)
    parts: list[tuple[Part, ...]] = field(default_factory=list)
    reference: tuple[Part, ...] = ()
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    plan: Plan | None = None
    waiting: Round = ()
    blocks: list[Block] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    order: Sequence[int] | None = None
    late: bool = False
    broken: str | None = None

    def begin(self, plan: Plan) -> None:
        """Start the plan: its first round waits to be asked."""
        self.plan = plan
        self._advance(None)

    def receive(self, answers: Sequence[Answer]) -> None:
        """Take the answers of the round that was waiting; the next one waits then, or the plan is at its end."""
        self.blocks += self.waiting
        self.answers += answers
        self._advance(answers)

    def stop(self) -> None:
        """Out of time: the plan says what it knows so far."""
        self.late = True
        self.waiting = ()
        if self.plan is None:
            return
        try:
            self.plan.throw(TimeoutError())
        except StopIteration as end:
            self.order = end.value
        except TimeoutError:
            pass  # the plan holds no order of its own: the aggregator makes one of what was answered
        self.plan = None

    def give_up(self, why: str) -> None:
        """The judge cannot go on with this query."""
        self.broken = why
        self.waiting, self.plan = (), None

    def _advance(self, answers: Sequence[Answer] | None) -> None:
        if self.plan is None:
            return
        try:
            while True:
                self.waiting = self.plan.send(answers)  # type: ignore[arg-type]
                if self.waiting:
                    return
                answers = ()
        except StopIteration as end:
            self.order, self.waiting, self.plan = end.value, (), None

    @property
    def live(self) -> bool:
        """Whether questions wait to be asked."""
        return bool(self.waiting)

    @property
    def status(self) -> Status:
        """What all answers together come to."""
        if self.broken or not self.slots or (self.answers and not any(_usable(answer) for answer in self.answers)):
            return "fell_back"
        if self.late:
            return "partial"
        worst = max((answer.status for answer in self.answers), key=STATUSES.index, default="ok")
        return "repaired" if worst != "ok" or self.faults else "ok"

    def record(self, stage: str) -> Record:
        """What was done to this query."""
        causes = [*([self.broken] if self.broken else []), *self.faults]
        causes += [answer.error for answer in self.answers if answer.error and answer.status in ("fell_back", "failed")]
        different = list(dict.fromkeys(causes))
        error = "; ".join(different[:MAX_ERRORS])
        if len(different) > MAX_ERRORS:
            error += f"; and {len(different) - MAX_ERRORS} more"
        cost = sum((answer.cost for answer in self.answers), Cost())
        return Record(
            stage=stage,
            status=self.status,
            calls=cost.model_calls,
            dropped=sum(answer.dropped for answer in self.answers),
            appended=sum(answer.appended for answer in self.answers),
            retries=sum(answer.retries for answer in self.answers),
            error=error or None,
            note="; ".join(dict.fromkeys(self.notes)) or None,
            cost=cost,
        )

    def judgement(self, stage: str, aggregator: AggregatorPart) -> Judgement:
        """The final order of the hits: the judged first, then those never judged in their previous order."""
        record = self.record(stage)
        count = len(self.hits)
        if record.status == "fell_back":
            return Judgement(order=range(count), scores=[None] * count, record=record)
        order, scores = self._judged(aggregator)
        rest = [position for position in range(count) if position not in scores]
        judged = [position for position in order if position in scores]
        return Judgement(order=[*judged, *rest], scores=[scores.get(i) for i in range(count)], record=record)

    def _judged(self, aggregator: AggregatorPart) -> tuple[list[int], dict[int, float]]:
        """Hits in the judge's order, with a score for each that was judged.

        An order without scores of its own gets its length, length - 1, ...: scores that keep the order.
        """
        result = None
        if self.order is None or all(len(block.slots) == 1 for block in self.blocks):
            result = aggregate_blocks(
                aggregator.method, self.blocks, self.answers, len(self.slots), **aggregator.settings
            )
            self.notes += [result.note] if result.note else []
        native = {} if result is None else {i: s for i, s in enumerate(result.scores) if s is not None}
        if self.order is None and result is not None:
            shown = [slot for slot in result.order if slot in native]
        else:
            asked = {slot for block in self.blocks for slot in block.slots}
            shown = [slot for slot in self.order or () if slot in (native or asked)]
        hits: dict[int, float] = {}
        for place, slot in enumerate(shown):
            hits.setdefault(self.slots[slot], native.get(slot, float(len(shown) - place)))
        order = list(hits)
        return self._blended(order, hits, aggregator.blend) if aggregator.blend is not None else (order, hits)

    def _blended(self, order: list[int], scores: dict[int, float], share: float) -> tuple[list[int], dict[int, float]]:
        """Judge and first stage mixed over the judged hits."""
        mixed = blend(
            range(len(order)), [scores[position] for position in order], [self.hits[i].score for i in order], share
        )
        return [order[i] for i in mixed.order], {
            order[i]: score for i in mixed.order if (score := mixed.scores[i]) is not None
        }

    def _pairs(self) -> list[tuple[Block, Answer]]:
        return list(zip(self.blocks, self.answers, strict=True))


def _usable(answer: Answer) -> bool:
    return answer.status not in ("fell_back", "failed")
