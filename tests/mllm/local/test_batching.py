from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import RecipeError
from mmrank.mllm.base import Failure
from mmrank.mllm.local.batching import Budget, pack, run_batches

lengths = st.lists(st.integers(1, 50), max_size=20)


@given(lengths, st.integers(1, 120))
def test_batches_hold_everything_once_within_the_budget(sizes: list[int], budget: int) -> None:
    batches = pack(sizes, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(sizes)))
    for batch in batches:
        assert len(batch) == 1 or max(sizes[i] for i in batch) * len(batch) <= budget


@given(lengths, st.integers(1, 200), st.integers(10, 60))
def test_what_does_not_fit_is_halved_and_the_budget_kept(sizes: list[int], start: int, memory: int) -> None:
    budget = Budget(start)
    seen: list[int] = []

    def run(batch: Sequence[int]) -> list[int | Failure]:
        size = max(sizes[i] for i in batch) * len(batch)
        seen.append(size)
        if size > memory:
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        return list(batch)

    results = run_batches(sizes, budget, run)
    for i, size in enumerate(sizes):
        if size > memory:
            failure = results[i]
            assert isinstance(failure, Failure)
            assert f"{size} tokens and does not fit" in failure.error
        else:
            assert results[i] == i
    assert budget.tokens <= start
    shrunk = Budget(budget.tokens)
    run_batches(sizes, shrunk, run)
    assert budget.tokens == start or shrunk.tokens <= budget.tokens


@given(lengths, st.sets(st.integers(0, 19)))
def test_a_prompt_at_fault_fails_alone(sizes: list[int], bad: set[int]) -> None:
    def run(batch: Sequence[int]) -> list[int | Failure]:
        if bad & set(batch):
            raise ValueError("shape mismatch")
        return list(batch)

    budget = Budget(1000)
    results = run_batches(sizes, budget, run)
    assert budget.tokens == 1000
    for i, result in enumerate(results):
        assert isinstance(result, Failure) == (i in bad)
        if isinstance(result, Failure):
            assert "ValueError: shape mismatch" in result.error


def test_memory_error_of_the_cpu_counts_too() -> None:
    def run(batch: Sequence[int]) -> list[int | Failure]:
        if len(batch) > 1:
            raise MemoryError
        return list(batch)

    budget = Budget(100)
    assert run_batches([10] * 8, budget, run) == list(range(8))
    assert budget.tokens == 10


def test_errors_raised_on_purpose_pass() -> None:
    def run(batch: Sequence[int]) -> list[int | Failure]:
        raise RecipeError("no")

    with pytest.raises(RecipeError):
        run_batches([1], Budget(1), run)


@given(
    st.lists(st.tuples(st.integers(1, 50), st.sampled_from([None, None, "a", "b", "c"])), max_size=20),
    st.integers(1, 200),
)
def test_groups_lie_together_and_never_beside_prompts_without(sizes: list[tuple[int, str | None]], budget: int) -> None:
    found = [size for size, _ in sizes]
    groups = [group for _, group in sizes]
    batches = pack(found, budget, groups)
    assert sorted(i for batch in batches for i in batch) == list(range(len(sizes)))
    for batch in batches:
        assert len({groups[i] is None for i in batch}) == 1
        assert len(batch) == 1 or max(found[i] for i in batch) * len(batch) <= budget
    order = [groups[i] for batch in batches for i in batch if groups[i] is not None]
    changes = sum(a != b for a, b in pairwise(order))
    assert changes == max(0, len(set(order)) - 1)


def test_the_next_batch_is_told_before_the_present_one_runs() -> None:
    told: list[str] = []

    def run(batch: Sequence[int]) -> list[int]:
        told.append(f"run {list(batch)}")
        if len(batch) > 1:
            raise ValueError("split me")
        return list(batch)

    assert run_batches([10, 10, 9], Budget(20), run, ahead=lambda b: told.append(f"next {list(b)}")) == [0, 1, 2]
    assert told == ["next [2]", "run [0, 1]", "next [1]", "run [0]", "next [2]", "run [1]", "run [2]"]
