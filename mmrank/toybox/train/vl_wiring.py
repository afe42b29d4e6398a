"""A start for matching: some attention heads in which a picture's cell looks for the word of what it shows.

Left alone, a small model needs very long to find that a cell of a dog should look at the word "dog" in the query,
because that pays only once all later steps of judging use it. So queries and keys of a few heads are set once, by
regression on the model's own states, so that cells and words of one object attract each other; all is trained further.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmrank.toybox.sprites import object_names
from mmrank.toybox.train.vl_batches import Batch, Mix, make_batch
from mmrank.toybox.train.vl_forms import marks
from mmrank.toybox.train.vl_learner import Learner

LAYERS = (0,)
"""The first layer, where words are still bare."""

HEADS = 4
"""How many heads of these layers are set, each to other codes of the objects."""

BATCHES = 16
FIRST_STEP = 10_000_000
"""The states are looked at on batches of steps that no training reaches."""

MIX = Mix(tokens=3000, captions=0, text=1, composed=0.3)

CLEAR = 0.5
"""A cell counts for an object that fills at least this share of it."""

SLOW_PAIRS = range(7, 16)
"""Of a head's 16 rotary pairs, those that turn by less than a radian or so over a whole list."""

APART = 0.7
"""How strongly cells are kept from looking at other cells, against a whole object."""

RIDGE = 1e-2


@dataclass(frozen=True, slots=True)
class States:
    """What enters a layer's attention: of cells (n, width) and words (m, width), and their objects, one-hot or zero."""

    cells: Tensor
    shown: Tensor
    words: Tensor
    named: Tensor


@torch.no_grad()
def wire(learner: Learner, seed: int) -> list[float]:
    """Set queries and keys of `HEADS` heads in each of `LAYERS`.

    Returns:
        For each layer, how often (0-1) a cell of an object is then nearest to that object's word among all objects'.
    """
    learner.eval()
    return [_wire_layer(learner, number, seed) for number in LAYERS]


def _wire_layer(learner: Learner, number: int, seed: int) -> float:
    language: Any = learner.model.model.language_model
    layer = language.layers[number]
    states = _states(learner, layer, seed)
    width: int = layer.self_attn.head_dim
    spots = [*SLOW_PAIRS, *(pair + width // 2 for pair in SLOW_PAIRS)]
    generator = torch.Generator().manual_seed(seed + number)
    likeness = torch.zeros(len(states.cells), len(object_names()))
    for head in range(HEADS):
        codes = torch.randn(len(object_names()), len(spots) - 1, generator=generator)
        codes /= codes.norm(dim=1, keepdim=True)
        asks = _fit(states, torch.cat([states.shown @ codes, torch.full((len(states.cells), 1), APART)], 1), False)
        tells = _fit(states, torch.cat([states.named @ codes, torch.zeros(len(states.words), 1)], 1), True)
        for weights, rows in ((layer.self_attn.q_proj.weight, asks), (layer.self_attn.k_proj.weight, tells)):
            block = torch.zeros(width, weights.shape[1])
            block[spots] = rows
            own = slice(head * width, (head + 1) * width)
            weights[own] = block * (weights[own].norm() / block.norm())
        words = states.named.T @ states.words / states.named.sum(0).clamp_min(1)[:, None]
        likeness += (states.cells @ asks[:-1].T) @ (words @ tells[:-1].T).T
    clear = states.shown.sum(1) > 0
    return float((likeness.argmax(1) == states.shown.argmax(1))[clear].float().mean())


def _fit(states: States, wanted: Tensor, words: bool) -> Tensor:
    """Ridge regression to rows (dimensions, width): `wanted` for one sort; nothing, or apart, for the other."""
    mine, others = (states.words, states.cells) if words else (states.cells, states.words)
    still = torch.zeros(len(others), wanted.shape[1])
    if words:
        still[:, -1] = -APART
    inputs, outputs = torch.cat([mine, others]), torch.cat([wanted, still])
    # Words are few beside cells: as keys they count as much.
    weights = torch.ones(len(inputs), 1)
    weights[: len(mine)] = len(others) / len(mine) if words else 1.0
    square = (inputs * weights).T @ inputs
    square += RIDGE * square.diagonal().mean() * torch.eye(len(square))
    fitted: Tensor = torch.linalg.solve(square, (inputs * weights).T @ outputs).T
    return fitted


def _states(learner: Learner, layer: Any, seed: int) -> States:
    """States over some batches; ground cells and words that name no object have no object."""
    names = learner.word_ids[: len(object_names())]
    seen: list[Tensor] = []
    hook = layer.input_layernorm.register_forward_hook(lambda _m, _i, out: seen.append(out))
    found: list[list[Tensor]] = [[], [], [], []]
    try:
        for step in range(BATCHES):
            batch = make_batch(seed, FIRST_STEP + step, MIX)
            assert batch.packed is not None
            learner.hidden(batch)
            states, ids = seen.pop().float(), torch.from_numpy(batch.packed.ids)
            cells = ids == marks()[1]
            words = ~cells & torch.from_numpy(batch.packed.mask).sum(2).gt(1)
            parts = (states[cells], _shown(batch), states[words], (ids[words][:, None] == names[None]).float())
            for kept, part in zip(found, parts, strict=True):
                kept.append(part)
    finally:
        hook.remove()
    return States(*(torch.cat(kept) for kept in found))


def _shown(batch: Batch) -> Tensor:
    """Which object each placeholder of a batch shows, as rows of ones and zeros."""
    assert batch.packed is not None
    lengths = [group.height * group.width // 4 for group in batch.groups for _ in group.numbers]
    place = {number: at for at, number in enumerate(n for group in batch.groups for n in group.numbers)}
    pictures = torch.split(torch.from_numpy(batch.words).float(), lengths)
    shown = torch.cat([pictures[place[int(number)]] for number in batch.packed.pictures])
    return (shown[:, : len(object_names())] > CLEAR).float()
