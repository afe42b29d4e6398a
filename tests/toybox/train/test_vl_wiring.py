import torch

from mmrank.toybox.train import vl_wiring
from mmrank.toybox.train.vl_learner import Learner
from mmrank.toybox.train.vl_wiring import HEADS, LAYERS, wire


def test_only_the_first_heads_queries_and_keys_are_set(monkeypatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(vl_wiring, "BATCHES", 1)
    learner = Learner(0)
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    (nearest,) = wire(learner, 0)
    assert nearest > 0.05  # of 68 objects, by a model that has never seen one
    changed = {name for name, value in learner.state_dict().items() if not torch.equal(value, before[name])}
    place = f"model.model.language_model.layers.{LAYERS[0]}.self_attn"
    assert changed == {f"{place}.q_proj.weight", f"{place}.k_proj.weight"}
    rest = slice(HEADS * 32, None)
    for name in changed:
        assert torch.equal(learner.state_dict()[name][rest], before[name][rest])
