import pytest
import torch

from mmrank.toybox import ToyboxError
from mmrank.toybox.train.clip_batches import make_batch
from mmrank.toybox.train.clip_loop import CHECKPOINT, ClipTrainer, Plan, train

TINY = Plan(steps=4, batch=8, warm_up=1, log_every=1, score_every=1000)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_stopped_and_resumed_equals_never_stopped(tmp_path) -> None:
    whole = ClipTrainer(TINY, "cpu")
    for step in range(4):
        whole.learn(make_batch(0, step, 8))
    half = ClipTrainer(TINY, "cpu")
    for step in range(2):
        half.learn(make_batch(0, step, 8))
    half.save(tmp_path)
    rest = ClipTrainer(TINY, "cpu")
    assert rest.resume(tmp_path)
    for step in range(rest.step, 4):
        rest.learn(make_batch(0, step, 8))
    expected, got = whole.model.state_dict(), rest.model.state_dict()
    assert all(torch.allclose(expected[name], got[name], atol=1e-6) for name in expected)


def test_train_runs_to_the_end_of_its_plan_and_leaves_a_checkpoint(tmp_path) -> None:
    news: list[str] = []
    trainer = train(TINY, tmp_path, "cpu", news.append)
    assert trainer.step == 4
    assert not trainer.model.training
    assert [line.split()[1] for line in news] == ["1", "2", "3", "4"]
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    train(TINY, tmp_path, "cpu", news.append)
    assert news[-1] == "goes on from step 4 of 4"


def test_a_foreign_checkpoint_is_refused(tmp_path) -> None:
    ClipTrainer(TINY, "cpu").save(tmp_path)
    with pytest.raises(ToyboxError, match=r"seed \(0\)"):
        ClipTrainer(Plan(steps=4, batch=8, seed=1), "cpu").resume(tmp_path)


def test_the_rate_rises_stays_and_falls() -> None:
    plan = Plan(steps=100, warm_up=10, decay=0.4, rate=1.0)
    assert plan.rate_at(0) == pytest.approx(0.1)
    assert plan.rate_at(30) == 1.0
    assert plan.rate_at(80) == pytest.approx(0.5)
    assert plan.rate_at(99) == pytest.approx(0.025)
