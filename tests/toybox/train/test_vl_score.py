import pytest
import torch

from mmrank.toybox.train.vl_learner import Learner
from mmrank.toybox.train.vl_score import SORTS, judge_scores


@pytest.mark.parametrize("sort", list(SORTS))
def test_every_sort_is_scored_and_the_same_each_time(sort: str) -> None:
    torch.set_num_threads(1)
    learner = Learner(0).eval()
    (score,) = judge_scores(learner, 2, [sort])
    assert score == judge_scores(learner, 2, [sort])[0]
    assert 2 <= score.candidates <= 10
    assert score.pair in (0, 0.5, 1)
    assert f"{sort} (2 x" in str(score)
