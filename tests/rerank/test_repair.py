"""The one repair rule: whatever labels come, every position once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmrank.rerank.repair import Labels, Repaired, repair

anything = st.one_of(
    st.integers(),
    st.integers(-2, 8),
    st.floats(),
    st.booleans(),
    st.none(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.sampled_from(["03", " 2 ", "٣", "３", "²", "1.0", "9" * 5000]),
)


@given(st.lists(anything, max_size=30), st.integers(0, 9))
def test_any_labels_make_a_permutation_and_are_counted(given_labels: list[object], count: int) -> None:
    order, named, dropped, appended = repair(given_labels, count)
    assert sorted(order) == list(range(count))
    assert named + appended == count
    assert named + dropped == len(given_labels)
    assert list(order[named:]) == sorted(order[named:])


@given(st.permutations(list(range(7))), st.integers(0, 7))
def test_a_valid_answer_is_kept_as_it_is(order: list[int], kept: int) -> None:
    result = repair([str(i + 1) for i in order[:kept]], 7)
    assert result.order[:kept] == tuple(order[:kept])
    assert result.named == kept
    assert result.dropped == 0


def test_first_of_a_repeated_label_counts() -> None:
    assert repair([3, 1, 3, 2, 1], 3) == Repaired((2, 0, 1), 3, 2, 0)


def test_nothing_usable_keeps_previous_order() -> None:
    assert repair([0, 4, -1, True, 2.0, "x", 10**5000], 3) == Repaired((0, 1, 2), 0, 7, 3)


def test_labels_are_numbers_by_value() -> None:
    labels = Labels(12)
    assert [labels.position(given) for given in ("1", "01", 12, " 3", "٣", "３", "12.0", "²", "9" * 6000)] == [
        0,
        0,
        11,
        2,
        2,
        2,
        None,
        None,
        None,
    ]


def test_letters_in_either_case_and_labels_that_differ_in_case_alone() -> None:
    assert repair(["c", "A"], ("A", "B", "C")).order == (2, 0, 1)
    assert repair([1, 2], ("A", "B")).named == 0
    exact = Labels(("a", "A"))
    assert [exact.position(given) for given in ("A", "a", "b")] == [1, 0, None]


def test_labels_given_in_another_order_than_counting() -> None:
    assert repair(["3", "1"], ("3", "2", "1")).order == (0, 2, 1)
