"""toybox-vl in training: one pass of the stock model over a packed batch, and the losses."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Qwen3VLForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.qwen3_vl.modeling_qwen3_vl import apply_rotary_pos_emb

from mmrank.toybox.grammar import GROUNDS
from mmrank.toybox.train.vl_batches import Batch, PictureGroup
from mmrank.toybox.train.vl_forms import CELL_FACTS, FACTS, TASKS, ids
from mmrank.toybox.train.vl_model import new_model, new_tokenizer
from mmrank.toybox.train.vl_pictures import NEVER, ROLES, WORDS

MATCH_LAYER = 4
"""After this many of the language model's layers a candidate's last token should know what of it fits."""

BARE = 0.1
"""Weight of a cell of bare ground where one full of an object weighs one more."""

LOOK_HEADS = 3
"""So many heads of the first layer are taught where a cell should look: at the word of what it shows, if there."""

LOOK_CELLS = 600
"""At most so many cells of a batch are used for that."""

CELL_LAYER = 3
"""After this many layers each visual token of a candidate should know whether what it shows is asked for."""

LOSS_WEIGHTS: dict[str, float] = {
    "caption": 1.0,
    "pair": 1.0,
    "list": 1.0,
    "order": 1.0,
    "read": 1.0,
    "facts": 1.0,
    "cells": 1.0,
    "look": 0.5,
    "words": 1.0,
    "roles": 0.5,
    "grounds": 0.25,
}


class Learner(nn.Module):
    """The model with heads that only training uses.

    They ask every visual token for the word of what it covers (by likeness to that word's own embedding, so that
    seeing and reading meet in one space), its place and its ground, and every candidate's last token what of it fits.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.model: Qwen3VLForConditionalGeneration = new_model(new_tokenizer(), seed)
        config: Any = self.model.config
        width = config.text_config.hidden_size
        self.likeness = nn.Parameter(torch.tensor(3.0))
        self.roles = nn.Linear(width, len(ROLES))
        self.grounds = nn.Linear(width, len(GROUNDS))
        self.facts = nn.Linear(width, FACTS)
        self.cells = nn.Linear(width, CELL_FACTS)
        self.word_ids: Tensor
        self.register_buffer("word_ids", torch.tensor([ids(f" {word}")[0] for word in WORDS]), persistent=False)

    def see(self, groups: tuple[PictureGroup, ...]) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Visual tokens of every picture, and the same for each deepstack layer, in the order of the groups."""
        tokens: list[Tensor] = []
        deep: list[list[Tensor]] = []
        for group in groups:
            number = len(group.numbers)
            grid = torch.tensor([[1, group.height, group.width]]).expand(number, 3)
            seen: Any = self.model.model.get_image_features(pixel_values(group), grid, return_dict=True)
            tokens += seen.pooler_output
            deep = deep or [[] for _ in seen.deepstack_features]
            for index, layer in enumerate(seen.deepstack_features):
                deep[index] += layer
        return tokens, deep

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a batch by name; those of one token are means over it weighted by the targets' weights."""
        tokens, deep = self.see(batch.groups)
        losses = self._cell_losses(torch.cat(tokens).float(), batch)
        if batch.packed is not None:
            losses |= self._prompt_losses(tokens, deep, batch)
        return losses

    def _cell_losses(self, tokens: Tensor, batch: Batch) -> dict[str, Tensor]:
        words = torch.from_numpy(batch.words).float()
        objects = words[:, : -len(GROUNDS)].sum(1)
        weights = (words.sum(1) > 0) * (BARE + objects)
        vocabulary: Any = self.model.get_input_embeddings()
        embedded: Tensor = vocabulary.weight[self.word_ids].float()
        like = functional.normalize(tokens, dim=-1) @ functional.normalize(embedded, dim=-1).T
        told = functional.log_softmax(like * self.likeness.exp(), dim=-1)
        roles, grounds = torch.from_numpy(batch.roles), torch.from_numpy(batch.grounds)
        return {
            "words": -((words * told).sum(1) * weights).sum() / weights.sum(),
            "roles": functional.cross_entropy(self.roles(tokens), roles, ignore_index=NEVER),
            "grounds": functional.cross_entropy(self.grounds(tokens), grounds, ignore_index=NEVER),
        }

    def hidden(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """States (rows, length, width) after the last layer, after `MATCH_LAYER` and after `CELL_LAYER` layers."""
        tokens, deep = self.see(batch.groups)
        return self._hidden(tokens, deep, batch)

    def _hidden(self, tokens: list[Tensor], deep: list[list[Tensor]], batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        packed = batch.packed
        assert packed is not None
        place = {number: at for at, number in enumerate(n for group in batch.groups for n in group.numbers)}
        order = [place[int(number)] for number in packed.pictures]
        seen: Any = BaseModelOutputWithPooling()
        seen.pooler_output = [tokens[at] for at in order]
        seen.deepstack_features = [[layer[at] for at in order] for layer in deep]
        early: dict[int, Tensor] = {}
        text: Any = self.model.model.language_model
        hooks = [
            text.layers[layer - 1].register_forward_hook(lambda _m, _i, out, layer=layer: early.update({layer: out}))
            for layer in (MATCH_LAYER, CELL_LAYER)
        ]
        hooks.append(text.layers[0].self_attn.register_forward_pre_hook(self._keep, with_kwargs=True))
        try:
            out: Any = self.model.model(
                input_ids=torch.from_numpy(packed.ids),
                attention_mask=torch.from_numpy(packed.mask)[:, None],
                position_ids=torch.from_numpy(packed.positions),
                mm_encoder_outputs={"image": seen},
                use_cache=False,
            )
        finally:
            for hook in hooks:
                hook.remove()
        return out.last_hidden_state, text.norm(early[MATCH_LAYER]), text.norm(early[CELL_LAYER])

    def _keep(self, _module: nn.Module, _given: Any, named: dict[str, Any]) -> None:
        self._first = (named["hidden_states"], named["position_embeddings"])

    def _look_loss(self, batch: Batch) -> Tensor | None:
        """How little attention object cells give to the word of what they show, or without it to the first token."""
        packed = batch.packed
        assert packed is not None
        cells = torch.from_numpy(packed.cells)
        cells = cells[cells[:, -1] >= 0]
        cells = cells[:: max(1, len(cells) // LOOK_CELLS)]
        if not len(cells):
            return None
        states, (cos, sin) = self._first
        language: Any = self.model.model.language_model
        attention = language.layers[0].self_attn
        shape = (*states.shape[:-1], -1, attention.head_dim)
        asks = attention.q_norm(attention.q_proj(states).view(shape)).transpose(1, 2)
        tells = attention.k_norm(attention.k_proj(states).view(shape)).transpose(1, 2)
        asks, tells = apply_rotary_pos_emb(asks, tells, cos, sin)
        rows, columns = cells[:, 0], cells[:, 1]
        near = torch.einsum("nhd,nhld->nhl", asks[rows, :LOOK_HEADS, columns].float(), tells[rows, :LOOK_HEADS].float())
        visible = torch.from_numpy(packed.mask)[rows, columns]
        shares = (near * attention.scaling).masked_fill(~visible[:, None], -torch.inf).log_softmax(-1)
        wanted = (torch.from_numpy(packed.ids)[rows] == self.word_ids[cells[:, -1]][:, None]) & visible
        first = functional.one_hot(visible.int().argmax(1), visible.shape[1]).bool()
        wanted = torch.where(wanted.any(1, keepdim=True), wanted, first)
        given: Tensor = shares.masked_fill(~wanted[:, None], -torch.inf).logsumexp(-1)
        return -given.mean()

    def _prompt_losses(self, tokens: list[Tensor], deep: list[list[Tensor]], batch: Batch) -> dict[str, Tensor]:
        packed = batch.packed
        assert packed is not None
        last, matched, seen = self._hidden(tokens, deep, batch)
        rows, columns, wanted, task = torch.from_numpy(packed.targets).unbind(1)
        weights = torch.from_numpy(packed.weights)
        logits = self.model.lm_head(last[rows, columns]).float()
        each = functional.cross_entropy(logits, wanted, reduction="none") * weights
        losses = {
            name: each[task == number].sum() / weights[task == number].sum()
            for number, name in enumerate(TASKS)
            if bool((task == number).any())
        }
        for name, head, states, known in (
            ("facts", self.facts, matched, packed.matches),
            ("cells", self.cells, seen, packed.cells),
        ):
            if len(known):
                where = torch.from_numpy(known)
                told = head(states[where[:, 0], where[:, 1]].float())
                truth = where[:, 2 : 2 + told.shape[1]].float()
                judged = truth >= 0
                losses[name] = functional.binary_cross_entropy_with_logits(told[judged], truth[judged])
        look = self._look_loss(batch)
        return losses if look is None else losses | {"look": look}


def pixel_values(group: PictureGroup) -> Tensor:
    """Patches as the processor makes them: normalised with mean and deviation 0.5, one still moment doubled.

    Returns:
        (patches, 3 * 2 * 8 * 8) float32, channel before moment.
    """
    values = torch.from_numpy(np.ascontiguousarray(group.patches)).float().view(-1, 3, 1, 64) / 127.5 - 1
    return values.expand(-1, 3, 2, 64).reshape(-1, 384)


def total(losses: dict[str, Tensor]) -> Tensor:
    """The weighted sum that is minimised."""
    return torch.stack([LOSS_WEIGHTS[name] * loss for name, loss in losses.items()]).sum()
