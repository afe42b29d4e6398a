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
from mmrank.toybox.train.vl_forms import LABELS, TASKS, ids, marks
from mmrank.toybox.train.vl_marks import CLEAR, FACTS, GONE
from mmrank.toybox.train.vl_model import new_model, new_tokenizer
from mmrank.toybox.train.vl_pictures import NEVER, ROLES, WORDS

WANTED_LAYER, SHOWN_LAYER, FITS_LAYER, MATCH_LAYER = 3, 4, 5, 6
"""After so many of the language model's layers a marked token should know which role its thing should have, which it
has in the candidate, and whether the two are one; and the last token of a candidate what of it fits."""

BARE = 0.1
"""Weight of a cell of bare ground where one full of an object weighs one more."""

LOOK_HEADS = slice(0, 3)
"""These heads of the first layer are taught where a marked token should look: at the candidate's cells that show
the same thing, or else at the first token."""

LABEL_HEADS = slice(3, 5)
"""These heads of the first layer are taught to look from a candidate's last token to its label, just before it."""

COPY_HEADS = slice(0, 2)
"""These heads of the layer after `MATCH_LAYER` are taught where the label of an answer comes from."""

LOOK_MARKS = 600
"""At most so many marks of a batch are used for that."""

LOSS_WEIGHTS: dict[str, float] = {
    "caption": 1.0,
    "pair": 1.0,
    "list": 1.0,
    "order": 1.0,
    "read": 1.0,
    "facts": 1.0,
    "wanted": 1.0,
    "shown": 1.0,
    "fits": 1.0,
    "look": 0.5,
    "copy": 0.5,
    "label": 2.0,
    "before": 0.5,
    "words": 1.0,
    "roles": 0.5,
    "grounds": 0.25,
}


class Learner(nn.Module):
    """The model with heads that only training uses.

    They ask every visual token for the word of what it covers (by likeness to that word's own embedding, so that
    seeing and reading meet in one space), its place and its ground; every name and cell of a query's second reading
    for its marks (`vl_marks.Mark`); and every candidate's last token what of it fits, and its label.
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
        self.wanted = nn.Linear(width, GONE + 1)
        self.shown = nn.Linear(width, GONE + 1)
        self.fits = nn.Linear(width, 1)
        self.label = nn.Linear(width, len(LABELS))
        self._entering: dict[int, tuple[Tensor, tuple[Tensor, Tensor]]] = {}
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
        losses: dict[str, Tensor] = {}
        if bool(weights.any()):  # pages have no labels
            losses["words"] = -((words * told).sum(1) * weights).sum() / weights.sum()
        for name, head, truth in (("roles", self.roles, batch.roles), ("grounds", self.grounds, batch.grounds)):
            known = torch.from_numpy(truth)
            if bool((known != NEVER).any()):  # and clips no roles
                losses[name] = functional.cross_entropy(head(tokens), known, ignore_index=NEVER)
        return losses

    def hidden(self, batch: Batch) -> dict[int, Tensor]:
        """States (rows, length, width) by number of layers passed: those that heads ask, and the last under 0."""
        return self._hidden(*self.see(batch.groups), batch)

    def _hidden(self, tokens: list[Tensor], deep: list[list[Tensor]], batch: Batch) -> dict[int, Tensor]:
        packed = batch.packed
        assert packed is not None
        place = {number: at for at, number in enumerate(n for group in batch.groups for n in group.numbers)}
        order = [place[int(number)] for number in packed.pictures]
        seen: Any = BaseModelOutputWithPooling()
        seen.pooler_output = [tokens[at] for at in order]
        seen.deepstack_features = [[layer[at] for at in order] for layer in deep]
        states: dict[int, Tensor] = {}
        text: Any = self.model.model.language_model

        def keep(layer: int, state: Tensor) -> None:
            states[layer] = text.norm(state)

        hooks = [
            text.layers[layer - 1].register_forward_hook(lambda _m, _i, out, layer=layer: keep(layer, out))
            for layer in (WANTED_LAYER, SHOWN_LAYER, FITS_LAYER, MATCH_LAYER)
        ]
        hooks += [
            text.layers[layer].self_attn.register_forward_pre_hook(
                lambda _m, _i, named, layer=layer: self._keep(layer, named), with_kwargs=True
            )
            for layer in (0, MATCH_LAYER)
        ]
        try:
            out: Any = self.model.model(
                input_ids=torch.from_numpy(packed.ids),
                attention_mask=torch.from_numpy(packed.mask)[:, None],
                position_ids=torch.from_numpy(packed.positions),
                mm_encoder_outputs={"image": seen} if order else None,
                use_cache=False,
            )
        finally:
            for hook in hooks:
                hook.remove()
        return states | {0: out.last_hidden_state}

    def _keep(self, layer: int, named: dict[str, Any]) -> None:
        self._entering[layer] = (named["hidden_states"], named["position_embeddings"])

    def _given(self, layer: int, heads: slice, batch: Batch, where: Tensor, wanted: Tensor) -> Tensor:
        """How much attention some heads of a layer give from tokens (n, 2: row, column) to wanted ones (n, length).

        Returns:
            Logarithms (n, heads) of shares of 0 to 1.
        """
        assert batch.packed is not None
        states, (cos, sin) = self._entering[layer]
        language: Any = self.model.model.language_model
        attention = language.layers[layer].self_attn
        shape = (*states.shape[:-1], -1, attention.head_dim)
        asks = attention.q_norm(attention.q_proj(states).view(shape)).transpose(1, 2)
        tells = attention.k_norm(attention.k_proj(states).view(shape)).transpose(1, 2)
        asks, tells = apply_rotary_pos_emb(asks, tells, cos, sin)
        rows, columns = where.unbind(1)
        near = torch.einsum("nhd,nhld->nhl", asks[rows, heads, columns].float(), tells[rows, heads].float())
        visible = torch.from_numpy(batch.packed.mask)[rows, columns]
        shares = (near * attention.scaling).masked_fill(~visible[:, None], -torch.inf).log_softmax(-1)
        given: Tensor = shares.masked_fill(~(wanted & visible)[:, None], -torch.inf).logsumexp(-1)
        return given

    def _look_losses(self, batch: Batch) -> dict[str, Tensor]:
        """How little attention marked tokens and labels of answers give to what they should look at."""
        packed = batch.packed
        assert packed is not None
        losses: dict[str, Tensor] = {}
        asked = torch.from_numpy(packed.cells)
        asked = asked[asked[:, -1] > 0]
        asked = asked[:: max(1, len(asked) // LOOK_MARKS)]
        spots = torch.arange(packed.ids.shape[1])[None]
        if len(asked):
            rows, columns, named = asked[:, 0], asked[:, 1], self._named(batch)
            first = columns - asked[:, -2]
            inside = (spots >= first[:, None]) & (spots < (first + asked[:, -1])[:, None])
            wanted = inside & (named[rows] == named[rows, columns][:, None])
            visible = torch.from_numpy(packed.mask)[rows, columns]
            nothing = functional.one_hot(visible.int().argmax(1), visible.shape[1]).bool()
            wanted = torch.where(wanted.any(1, keepdim=True), wanted, nothing)
            losses["look"] = -self._given(0, LOOK_HEADS, batch, asked[:, :2], wanted).mean()
        if len(packed.copies):
            copies = torch.from_numpy(packed.copies)
            wanted = spots == copies[:, 2:]
            matches = torch.from_numpy(packed.matches)
            labelled = matches[matches[:, -1] >= 0, :2]
            wanted_label = spots == labelled[:, 1:] - 1
            losses["before"] = -self._given(0, LABEL_HEADS, batch, labelled, wanted_label).mean()
            losses["copy"] = -self._given(MATCH_LAYER, COPY_HEADS, batch, copies[:, :2], wanted).mean()
        return losses

    def _named(self, batch: Batch) -> Tensor:
        """Token ids (rows, length), that of what it shows in place of each clear cell's, -1 for the other cells'."""
        packed = batch.packed
        assert packed is not None
        lengths = [group.height * group.width // 4 for group in batch.groups for _ in group.numbers]
        place = {number: at for at, number in enumerate(n for group in batch.groups for n in group.numbers)}
        pictures = torch.split(torch.from_numpy(batch.words).float(), lengths)
        shown = torch.cat([pictures[place[int(number)]] for number in packed.pictures])
        best = self.word_ids[shown.argmax(1)].masked_fill(shown.max(1).values <= CLEAR, -1)
        ids = torch.from_numpy(packed.ids)
        return ids.masked_scatter(ids == marks()[1], best)

    def _prompt_losses(self, tokens: list[Tensor], deep: list[list[Tensor]], batch: Batch) -> dict[str, Tensor]:
        packed = batch.packed
        assert packed is not None
        states = self._hidden(tokens, deep, batch)
        rows, columns, wanted, task = torch.from_numpy(packed.targets).unbind(1)
        weights = torch.from_numpy(packed.weights)
        logits = self.model.lm_head(states[0][rows, columns]).float()
        each = functional.cross_entropy(logits, wanted, reduction="none") * weights
        losses = {
            name: each[task == number].sum() / weights[task == number].sum()
            for number, name in enumerate(TASKS)
            if bool((task == number).any())
        }
        return losses | self._mark_losses(states, batch) | self._look_losses(batch)

    def _mark_losses(self, states: dict[int, Tensor], batch: Batch) -> dict[str, Tensor]:
        packed = batch.packed
        assert packed is not None
        losses: dict[str, Tensor] = {}
        if len(packed.cells):
            rows, columns, *known = torch.from_numpy(packed.cells).unbind(1)
            for (name, head, layer), mark in zip(self._asked(), known, strict=False):
                judged = mark >= 0
                if bool(judged.any()):
                    told = head(states[layer][rows[judged], columns[judged]].float())
                    losses[name] = (
                        functional.cross_entropy(told, mark[judged])
                        if told.shape[1] > 1
                        else functional.binary_cross_entropy_with_logits(told[:, 0], mark[judged].float())
                    )
        if len(packed.matches):
            rows, columns, *facts, label = torch.from_numpy(packed.matches).unbind(1)
            truth = torch.stack(facts, 1).float()
            read = states[MATCH_LAYER][rows, columns].float()
            losses["facts"] = functional.binary_cross_entropy_with_logits(
                self.facts(read)[truth >= 0], truth[truth >= 0]
            )
            if bool((label >= 0).any()):
                losses["label"] = functional.cross_entropy(self.label(read), label, ignore_index=-1)
        return losses

    def _asked(self) -> tuple[tuple[str, nn.Linear, int], ...]:
        return (
            ("wanted", self.wanted, WANTED_LAYER),
            ("shown", self.shown, SHOWN_LAYER),
            ("fits", self.fits, FITS_LAYER),
        )


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
