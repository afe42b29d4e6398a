"""One query's work: rounds in and out, what its answers come to, and the order that is made of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mmrank.errors import MediaError
from mmrank.mllm.prompt import TextPart
from mmrank.rerank.parts import Answer, Block, Plan
from mmrank.rerank.recipe import AggregatorPart
from mmrank.rerank.renderings import Rendering
from mmrank.rerank.schedules import Blocks, Single, Sliding
from mmrank.rerank.work import Work
from mmrank.types import Cost, Hit, Item, Query

MEAN, BORDA = AggregatorPart(), AggregatorPart(method="borda")


def work(count: int = 4, slots: Sequence[int] | None = None) -> Work:
    hits = [Hit(item=Item(id=f"i{n}", kind="text"), score=float(-n)) for n in range(count)]
    return Work(query=Query(text="q"), hits=hits, slots=list(range(count) if slots is None else slots))


def backwards(block: Block, **more: object) -> Answer:
    size = len(block.slots)
    return Answer(order=tuple(range(size))[::-1], named=size, cost=Cost(model_calls=1), **more)  # type: ignore[arg-type]


def failed(block: Block) -> Answer:
    return Answer(order=tuple(range(len(block.slots))), named=0, status="failed", error="no answer")


def run(made: Work, plan: Plan, *answers: Answer | None) -> Work:
    """Answer the blocks in turn; None: as `backwards`."""
    made.begin(plan)
    left = list(answers)
    while made.live:
        made.receive([(left.pop(0) if left else None) or backwards(block) for block in made.waiting])
    return made


def test_a_plan_of_one_slot_asks_nothing_and_is_ok() -> None:
    done = run(work(1), Single().plan(1, 0))
    assert (done.status, done.blocks) == ("ok", [])
    assert done.judgement("s", MEAN).scores == [None]
    done = run(work(1), Blocks().plan(1, 0))
    assert list(done.judgement("s", BORDA).order) == [0]


def test_the_record_adds_up() -> None:
    answers = [
        backwards(Block(slots=(0, 1, 2, 3)), dropped=2, retries=1),
        Answer(order=(0, 1, 2, 3), named=1, appended=3, status="repaired", retries=2, cost=Cost(model_calls=3)),
    ]
    done = run(work(6), Sliding(window=4, stride=2).plan(6, 0), *answers)
    record = done.record("s")
    assert (record.calls, record.dropped, record.appended, record.retries) == (4, 2, 3, 3)
    assert (record.status, record.error) == ("repaired", None)


def test_some_failures_are_repaired_and_named_and_only_failures_fall_back() -> None:
    block = Block(slots=(0, 1, 2, 3))
    some = run(work(6), Sliding(window=4, stride=2).plan(6, 0), failed(block))
    assert (some.status, some.record("s").error) == ("repaired", "no answer")
    none = run(work(6), Sliding(window=4, stride=2).plan(6, 0), failed(block), failed(block))
    judgement = none.judgement("s", MEAN)
    assert judgement.record.status == "fell_back"
    assert (list(judgement.order), set(judgement.scores)) == (list(range(6)), {None})


def test_a_window_that_failed_gives_its_slots_no_score() -> None:
    done = run(work(8), Sliding(window=4, stride=3).plan(8, 0), None, failed(Block(slots=(1, 2, 3, 7))))
    judgement = done.judgement("s", MEAN)
    # windows 4..7, then 1..4 (which failed), then 0..1
    assert [judgement.scores[i] is None for i in range(8)] == [False, False, True, True, False, False, False, False]


def test_one_answer_about_all_slots_keeps_its_own_scores() -> None:
    answer = Answer(order=(2, 0, 1), named=3, scores=(0.5, 0.25, 0.75))
    assert run(work(3), Single().plan(3, 0), answer).judgement("s", MEAN).scores == [0.5, 0.25, 0.75]
    part = Answer(order=(2, 0, 1), named=2, scores=(0.5, None, 0.75))
    assert run(work(3), Single().plan(3, 0), part).judgement("s", MEAN).scores == [2.0, 1.0, 3.0]


def test_repeats_collapse_to_their_best_place_and_its_score() -> None:
    done = run(work(4, slots=[0, 2, 2, 1]), Single().plan(4, 0), Answer(order=(2, 3, 0, 1), named=4))
    judgement = done.judgement("s", MEAN)
    assert list(judgement.order) == [2, 1, 0, 3]
    assert judgement.scores == [2.0, 3.0, 4.0, None]


def test_what_cannot_be_shown_loses_all_its_slots() -> None:
    made = work(3, slots=[0, 1, 0, 2])
    made.show(0, MediaError("gone"))
    made.show(1, Rendering([TextPart(text="x")], warnings=["cut off"]))
    assert made.slots == [1, 2]
    assert made.faults == ["i0 was not shown: gone"]
    assert made.notes == ["i1: cut off"]


def test_many_causes_are_counted() -> None:
    made = work(9)
    for position in range(5):
        made.show(position, MediaError("gone"))
    assert (made.record("s").error or "").endswith("; and 2 more")


def test_stopping_asks_the_plan_for_its_order() -> None:
    made = work(8)
    made.begin(Sliding(window=4, stride=2).plan(8, 0))
    made.receive([backwards(made.waiting[0])])
    made.stop("out of time")
    assert list(made.order or []) == [0, 1, 2, 3, 7, 6, 5, 4]
    assert (made.status, made.live) == ("partial", False)
    judgement = made.judgement("s", MEAN)
    assert list(judgement.order) == [0, 1, 2, 3, 7, 6, 5, 4]
    assert judgement.scores == [None, None, None, None, 1.0, 2.0, 3.0, 4.0]


def test_stopping_a_plan_without_an_order_leaves_it_to_the_aggregator() -> None:
    def plan() -> Plan:
        yield [Block(slots=(0, 1))]
        yield [Block(slots=(2, 3))]
        return None

    made = work(4)
    made.begin(plan())
    made.receive([backwards(made.waiting[0])])
    made.stop("out of time")
    assert made.order is None
    assert list(made.judgement("s", BORDA).order) == [1, 0, 2, 3]


@pytest.mark.parametrize("answered", [False, True])
def test_a_stopped_work_without_a_usable_answer_fell_back(answered: bool) -> None:
    made = work(8)
    made.begin(Sliding(window=4, stride=2).plan(8, 0))
    if answered:
        made.receive([failed(made.waiting[0])])
    made.stop("out of time")
    assert made.status == "fell_back"
    assert "out of time" in (made.record("s").error or "")


def test_blending_moves_the_judged_among_their_own_places() -> None:
    made = work(8)
    made.begin(Sliding(window=4, stride=2).plan(8, 0))
    made.receive([backwards(made.waiting[0])])
    made.stop("out of time")
    judgement = made.judgement("s", AggregatorPart(blend=0.1))
    assert list(judgement.order) == list(range(8))
    assert judgement.scores[:4] == [None] * 4
    assert judgement.scores[4] == pytest.approx(0.9)


def test_an_empty_round_is_passed_over() -> None:
    def plan() -> Plan:
        assert (yield []) == ()
        (answer,) = yield [Block(slots=(0, 1))]
        return answer.order

    assert run(work(2), plan()).order == (1, 0)
