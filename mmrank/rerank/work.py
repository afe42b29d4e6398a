"""One query on its way through a judge: its slots, its plan, what was asked and answered so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from mmrank.errors import MediaError
from mmrank.mllm.prompt import Part, Prompt
from mmrank.rerank.aggregators import aggregate_blocks, blend
from mmrank.rerank.base import Judgement
from mmrank.rerank.parts import Answer, Block, Plan, Round
from mmrank.rerank.recipe import AggregatorPart
from mmrank.rerank.renderings import Rendering
from mmrank.rerank.slots import collapse
from mmrank.types import STATUSES, Cost, Hit, Query, Record, Status

MAX_SPELT = 3
"""Different causes, and different notes, that one record spells out; the rest are counted."""


@dataclass(slots=True, kw_only=True)
class Work:
    """A query, the hits to be judged, and the state of its plan.

    `slots`: for each slot the position of the hit it shows. `shown`: the rendering of a hit by its position.
    `faults`: what went wrong before any call, by hit: these hits are not shown and stay behind. `order`: of all slots,
    when the plan gave one. `late`, `broken`: why it was cut short, or cannot go on. `prompts`: of the round that waits,
    once they are made; `taken`: the answers to its first questions, where it is asked in portions.
    """

    query: Query
    hits: Sequence[Hit]
    slots: list[int] = field(default_factory=list)
    shown: dict[int, tuple[Part, ...]] = field(default_factory=dict)
    reference: tuple[Part, ...] = ()
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    plan: Plan | None = None
    waiting: Round = ()
    prompts: Sequence[Prompt] = ()
    taken: list[Answer] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    order: Sequence[int] | None = None
    late: str | None = None
    broken: str | None = None

    def show(self, position: int, rendering: Rendering | MediaError) -> None:
        """Take how a hit looks, or why it cannot be shown: then it has no slots."""
        item = self.hits[position].item
        if isinstance(rendering, MediaError):
            # A fault that names the file is not told the id too, which is mostly the same.
            who = "not shown to the judge" if item.uri and item.uri in str(rendering) else f"{item.id} was not shown"
            self.faults.append(f"{who}: {rendering}")
            self.slots = [slot for slot in self.slots if slot != position]
        else:
            self.notes += [f"{item.id}: {warning}" for warning in rendering.warnings]
            self.shown[position] = rendering

    def begin(self, plan: Plan) -> None:
        """Start the plan: its first round waits to be asked."""
        self.plan = plan
        self._advance(None)

    def receive(self, answers: Sequence[Answer]) -> None:
        """Take answers to the next questions of the round that is waiting. When it has them all, the next round waits,
        or the plan is at its end."""
        self.taken += answers
        if len(self.taken) < len(self.waiting):
            return
        whole = self._close_round()
        self._advance(whole)

    def _close_round(self) -> list[Answer]:
        """Keep what was asked and answered of the round; its answers."""
        taken, self.taken = self.taken, []
        self.blocks += self.waiting[: len(taken)]
        self.answers += taken
        self.waiting, self.prompts = (), ()
        return taken

    @property
    def unasked(self) -> Round:
        """The blocks of the waiting round that have no answer yet."""
        return self.waiting[len(self.taken) :]

    @property
    def unneeded(self) -> int:
        """Slots that a plan which ran to its end asked nothing about."""
        if self.plan is not None or self.late or self.broken:
            return 0
        return len(self.slots) - len({slot for block in self.blocks for slot in block.slots})

    @property
    def answered(self) -> int:
        """Questions that were answered so far."""
        return len(self.answers) + len(self.taken)

    def stop(self, why: str) -> None:
        """Out of time: the plan says what it knows so far. Answers to a part of a round count where an aggregator makes
        the order."""
        self._close_round()
        self.late = f"{why}; {len(self.answers)} questions had been answered"
        plan, self.plan = self.plan, None
        if plan is None:
            return
        try:
            plan.throw(TimeoutError())
        except StopIteration as end:
            self.order = end.value
        except TimeoutError:
            pass  # the plan holds no order of its own: the aggregator makes one of what was answered
        plan.close()

    def give_up(self, why: str) -> None:
        """The judge cannot go on with this query."""
        self.broken = why
        self._close_round()
        self.plan = None

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
        nothing = not any(usable(answer) for answer in self.answers)
        if self.broken or not self.slots or (nothing and (self.answers or self.late)):
            return "fell_back"
        if self.late:
            return "partial"
        worst = max((answer.status for answer in self.answers), key=STATUSES.index, default="ok")
        return "repaired" if worst != "ok" or self.faults else "ok"

    def record(self, stage: str) -> Record:
        """What was done to this query."""
        causes = [*filter(None, (self.broken, self.late)), *self.faults]
        causes += [answer.error for answer in self.answers if answer.error and not usable(answer)]
        cost = sum((answer.cost for answer in self.answers), Cost())
        left_out = sum(answer.shortened for answer in self.answers)
        notes = [*self.notes]
        if left_out:
            notes.append(f"{left_out} tokens of text were left out to keep the model's limit")
        return Record(
            stage=stage,
            status=self.status,
            calls=cost.model_calls,
            dropped=sum(answer.dropped for answer in self.answers),
            appended=sum(answer.appended for answer in self.answers),
            retries=sum(answer.retries for answer in self.answers),
            error=_spelt(causes),
            note=_spelt(notes),
            cost=cost,
        )

    def judgement(self, stage: str, aggregator: AggregatorPart) -> Judgement:
        """The final order of the hits, those without a place in the judge's order behind in their previous order."""
        count = len(self.hits)
        if self.status == "fell_back":
            return Judgement(order=range(count), scores=[None] * count, record=self.record(stage))
        order, scores = self._judged(aggregator)
        if aggregator.blend is not None:
            order, scores = self._blended(order, scores, aggregator.blend)
        placed = set(order)
        rest = [position for position in range(count) if position not in placed]
        # The record comes last: making the order may have left a note for it.
        return Judgement(order=[*order, *rest], scores=[scores.get(i) for i in range(count)], record=self.record(stage))

    def _judged(self, aggregator: AggregatorPart) -> tuple[list[int], dict[int, float]]:
        """Hits in the judge's order, and a score for each that was judged.

        An order of the plan's own keeps hits that were never asked about at their place (a window that did not get
        there in time), without a score; one that an aggregator makes holds only what was judged.
        """
        if self.order is None:
            made = aggregate_blocks(
                aggregator.method, self.blocks, self.answers, len(self.slots), **aggregator.settings
            )
            self.notes += [made.note] if made.note else []
            known = {slot: score for slot, score in enumerate(made.scores) if score is not None}
            order = [slot for slot in made.order if slot in known]
        else:
            order, known = list(self.order), self._place_scores(self.order)
        scores: dict[int, float] = {}
        for slot in order:
            if slot in known:
                scores.setdefault(self.slots[slot], known[slot])
        return collapse(order, self.slots), scores

    def _place_scores(self, order: Sequence[int]) -> dict[int, float]:
        """Scores by slot for an order of the plan's own: its length for the first, one less for the next, ...

        Where one answer scored all slots, its scores are taken as they are.
        """
        said = [(b, a) for b, a in zip(self.blocks, self.answers, strict=True) if usable(a)]
        if len(self.blocks) == len(said) == 1 and len(said[0][0].slots) == len(self.slots):
            block, answer = said[0]
            own = {slot: s for slot, s in zip(block.slots, answer.scores, strict=False) if s is not None}
            if len(own) == len(self.slots):
                return own
        asked = {slot for block, _ in said for slot in block.slots}
        return {slot: float(len(order) - place) for place, slot in enumerate(order) if slot in asked}

    def _blended(self, order: list[int], scores: dict[int, float], share: float) -> tuple[list[int], dict[int, float]]:
        """Judge and first stage mixed over the judged hits, which trade places among themselves."""
        judged = [position for position in order if position in scores]
        first = [self.hits[position].score for position in judged]
        if not all(map(math.isfinite, first)):
            self.notes.append("not blended: the first stage's scores are not all finite numbers")
            return order, scores
        mixed = blend(range(len(judged)), [scores[position] for position in judged], first, share)
        places = iter(mixed.order)
        ordered = [judged[next(places)] if position in scores else position for position in order]
        return ordered, {judged[i]: score for i, score in enumerate(mixed.scores) if score is not None}


def usable(answer: Answer) -> bool:
    """Whether anything in the answer is the model's own; what fell back or failed leaves everything as it was."""
    return answer.status not in ("fell_back", "failed")


def _spelt(sentences: Sequence[str]) -> str | None:
    """The first few different ones, and how many more there are."""
    different = list(dict.fromkeys(sentences))
    words = "; ".join(different[:MAX_SPELT])
    more = f"; and {len(different) - MAX_SPELT} more" if len(different) > MAX_SPELT else ""
    return (words + more) or None
