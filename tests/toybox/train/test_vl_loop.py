import pytest
import torch

from mmrank.toybox import ToyboxError
from mmrank.toybox.train.vl_batches import Mix, make_batch
from mmrank.toybox.train.vl_loop import CHECKPOINT, Phase, Plan, VlTrainer, train

PICTURES = Mix(tokens=0, pictures=8)
PROMPTS = Mix(tokens=300)
TINY = Plan(phases=(Phase(1, PICTURES, warm_up=1), Phase(2, PROMPTS)), log_every=1, half=False)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_stopped_and_resumed_equals_never_stopped(tmp_path) -> None:
    whole = VlTrainer(TINY)
    for step in range(3):
        whole.learn(make_batch(0, step, TINY.mix_at(step)))
    half = VlTrainer(TINY)
    half.learn(make_batch(0, 0, TINY.mix_at(0)))
    half.save(tmp_path)
    rest = VlTrainer(TINY)
    assert rest.resume(tmp_path)
    for step in range(rest.step, 3):
        rest.learn(make_batch(0, step, TINY.mix_at(step)))
    expected, got = whole.learner.state_dict(), rest.learner.state_dict()
    assert all(torch.allclose(expected[name], got[name], atol=1e-6) for name in expected)


def test_train_runs_to_the_end_of_its_plan_and_leaves_a_checkpoint(tmp_path) -> None:
    news: list[str] = []
    trainer = train(TINY, tmp_path, news.append)
    assert trainer.step == 3
    assert not trainer.learner.training
    assert [line.split()[1] for line in news] == ["1", "2", "3"]
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_a_foreign_checkpoint_is_refused(tmp_path) -> None:
    VlTrainer(TINY).save(tmp_path)
    with pytest.raises(ToyboxError, match=r"seed \(0\)"):
        VlTrainer(Plan(phases=TINY.phases, seed=1)).resume(tmp_path)


def test_the_rate_rises_stays_and_falls() -> None:
    phases = (Phase(40, PICTURES, pace=2.0, end=2.0, warm_up=10), Phase(60, PROMPTS, pace=1.0, end=0.0))
    plan = Plan(phases=phases, rate=1.0)
    assert plan.rate_at(0) == pytest.approx(0.2)
    assert plan.rate_at(30) == 2.0
    assert plan.rate_at(40) == 1.0
    assert plan.rate_at(70) == pytest.approx(0.5)
    assert plan.mix_at(39) == PICTURES
    assert plan.mix_at(40) == PROMPTS
    with pytest.raises(ToyboxError, match="no step 100"):
        plan.mix_at(100)
