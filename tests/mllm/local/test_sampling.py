from __future__ import annotations

import torch

from mmrank.mllm.base import Sampling
from mmrank.mllm.local.sampling import _Draw, _nucleus

LOGITS = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))


def _drawn(sampling: Sampling, times: int) -> torch.Tensor:
    draw = _Draw(sampling, range(times))
    picks = draw(torch.zeros(times, 1, dtype=torch.long), LOGITS.repeat(times, 1)).argmax(-1)
    return torch.bincount(picks, minlength=4) / times


def test_draws_follow_the_models_probabilities() -> None:
    torch.testing.assert_close(_drawn(Sampling(temperature=1.0), 4000), LOGITS[0].exp(), atol=0.03, rtol=0)


def test_temperature_sharpens() -> None:
    expected = (LOGITS[0] / 0.5).softmax(0)
    torch.testing.assert_close(_drawn(Sampling(temperature=0.5), 4000), expected, atol=0.03, rtol=0)


def test_the_nucleus_is_the_smallest_set_of_that_mass() -> None:
    assert _nucleus(LOGITS, Sampling(top_p=0.5)).isfinite().tolist() == [[True, False, False, False]]
    assert _nucleus(LOGITS, Sampling(top_p=0.6)).isfinite().tolist() == [[True, True, False, False]]
    assert _nucleus(LOGITS, Sampling(top_k=3)).isfinite().tolist() == [[True, True, True, False]]
    assert _nucleus(LOGITS, Sampling(top_k=9)).isfinite().all()


def test_tokens_outside_are_never_drawn() -> None:
    assert _drawn(Sampling(temperature=2.0, top_k=2), 500)[2:].tolist() == [0, 0]
