"""Randomisation tests against all assignments there are, Holm's correction against its definition."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrank.errors import UsageError
from mmrank.evaluation import significance
from mmrank.evaluation.dataset import Dataset, Task
from mmrank.evaluation.judged import judge_matrix
from mmrank.evaluation.protocols import PAIRED
from mmrank.evaluation.results import Evaluation, SystemTask
from mmrank.evaluation.significance import compare, holm, randomisation_test
from mmrank.types import Item, Query


def exact(differences: list[float]) -> float:
    """The share of all sign assignments that reach the observed mean."""
    observed = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return float(np.mean([value >= observed - 1e-9 for value in sums]))


@settings(deadline=None, max_examples=25)
@given(differences=st.lists(st.sampled_from([-100.0, 0.0, 100.0, 33.3, -12.5]), min_size=1, max_size=9))
def test_sampled_assignments_agree_with_all_of_them(differences: list[float]) -> None:
    assert randomisation_test(np.array(differences))[0] == pytest.approx(exact(differences), abs=0.025)


def test_columns_are_tested_side_by_side_and_seeds_repeat() -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(0.1, 1, (40, 3))
    p = randomisation_test(table, seed=5)
    assert p.shape == (3,)
    assert p.tolist() == randomisation_test(table, seed=5).tolist()
    assert p.tolist() != randomisation_test(table, seed=6).tolist()


def test_blocks_change_nothing_but_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.random.default_rng(0).normal(0.3, 1, 30)
    once = randomisation_test(table)[0]
    monkeypatch.setattr(significance, "BLOCK_SIGNS", 1000)
    assert randomisation_test(table)[0] == pytest.approx(once, abs=0.02)


def test_false_alarms_are_as_rare_as_promised() -> None:
    rng = np.random.default_rng(0)
    p = randomisation_test(rng.normal(0, 1, (50, 400)), permutations=2000)
    assert 0.02 < (p < 0.05).mean() < 0.09


def test_p_is_never_zero_and_one_without_differences() -> None:
    assert randomisation_test(np.ones(50), permutations=99)[0] == 0.01
    assert randomisation_test(np.zeros((5, 2))).tolist() == [1, 1]


def test_what_cannot_be_tested_is_refused() -> None:
    with pytest.raises(UsageError, match="2 differences are not finite"):
        randomisation_test(np.array([1.0, np.nan, np.inf]))


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_its_steps_reject(p: list[float]) -> None:
    corrected = holm(np.array(p))
    for level in (0.01, 0.05, 0.2):
        rejected: set[int] = set()
        for step, at in enumerate(sorted(range(len(p)), key=p.__getitem__)):
            if p[at] * (len(p) - step) > level:
                break
            rejected.add(at)
        assert {at for at, value in enumerate(corrected) if value <= level} == rejected


def evaluation(*shifts: float) -> Evaluation:
    """Systems whose matrices have the right answers lifted by so much."""
    names = [f"v{n}" for n in range(60)]
    task = Task(
        name="t2v",
        queries=tuple(Query(id=f"q{n}", text="x") for n in range(60)),
        gallery=tuple(Item(id=name, kind="video") for name in names),
        relevant={f"q{n}": {name: 1.0} for n, name in enumerate(names)},
        metrics=PAIRED,
    )
    noise = np.random.default_rng(0).normal(size=(60, 60))
    systems = []
    for shift in shifts:
        judged = judge_matrix(task, noise + shift * np.eye(60))
        systems.append(
            SystemTask(
                system=f"lifted by {shift}",
                task="t2v",
                run=judged.run,
                figures=judged.figures(),
                values=judged.values(),
            )
        )
    return Evaluation(dataset=Dataset(name="x", title="X", split="test", tasks=(task,)), systems=tuple(systems))


def test_every_pair_on_every_mean_is_compared_and_corrected_together() -> None:
    given_ = evaluation(0.0, 2.0, 2.0)
    found = compare(given_, seed=1)
    assert [(each.metric, each.first, each.second) for each in found[:2]] == [
        ("R@1", "lifted by 0.0", "lifted by 2.0"),
        ("R@5", "lifted by 0.0", "lifted by 2.0"),
    ]
    assert {each.metric for each in found} == {"R@1", "R@5", "R@10", "MnR", "RSum"}
    assert len(found) == 15
    first, same = found[0], found[-1]
    assert first.difference == pytest.approx(given_.systems[1].figures["R@1"] - given_.systems[0].figures["R@1"])
    assert first.p < first.p_corrected < 0.05
    assert (same.difference, same.p, same.p_corrected) == (0, 1, 1)
    assert [each.p_corrected for each in found] == holm(np.array([each.p for each in found])).tolist()
    assert compare(given_, seed=1) == found


def test_one_system_alone_is_compared_with_nothing() -> None:
    assert compare(evaluation(1.0)) == ()
