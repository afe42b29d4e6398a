"""Prompts that begin alike: what they share runs through the model once, the rest continues from its keys and values.

Hydragen (Juravsky et al., arXiv 2402.05099) and the prefix caches of servers do the same; here it is done with public
arguments of transformers (``past_key_values``, ``position_ids``), and agrees with whole prompts to rounding.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from mmrank.mllm.local.cuts import Cut, Spelling
from mmrank.mllm.local.encode import Encoded
from mmrank.mllm.local.vision import VisionTower

if TYPE_CHECKING:
    import torch

KeysValues: TypeAlias = "tuple[torch.Tensor, torch.Tensor]"
"""Of one layer: keys and values, each (1, heads, tokens, width)."""

ATTENTION = frozenset({"sdpa", "eager"})
"""Implementations that take a mask with padding on both sides."""


def why_no_prefix(model: Any, tower: VisionTower | None, *, sees: bool) -> str | None:
    """Why the prompts of a model cannot continue from a shared prefix; None when they can."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    if sees and tower is None:
        return "pictures of this family are not kept as features"
    used = model.config.get_text_config()._attn_implementation
    if used not in ATTENTION:
        return f"attention {used!r} is not one of {', '.join(sorted(ATTENTION))}"
    if any(type(layer) is not DynamicLayer for layer in DynamicCache(config=model.config).layers):
        return "some of its layers keep a state or a sliding window instead of all keys and values"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """A shared prefix after it has run: keys and values of all layers."""

    cut: Cut
    layers: tuple[KeysValues, ...]

    @property
    def bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for layer in self.layers for tensor in layer)


class Prefixes:
    """Runs and keeps shared prefixes: up to `capacity` bytes on the model's device, least recently used dropped first.

    `base`: the model without its LM head. `pad_id`: any token but a picture's.
    """

    def __init__(self, base: Any, *, capacity: int, pad_id: int, tower: VisionTower | None) -> None:
        self.capacity = capacity
        self._base, self._pad_id, self._tower = base, pad_id, tower
        self._kept: OrderedDict[Spelling, Prefix] = OrderedDict()
        self._of_group: dict[Hashable, Cut] = {}
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """What the prefixes kept now take; never more than `capacity`."""
        return self._bytes

    def known(self, group: Hashable) -> Cut | None:
        """The cut of a group whose prefix is kept."""
        return self._of_group.get(group)

    def last_hidden(self, batch: Sequence[Encoded]) -> torch.Tensor:
        """The last layer's state at the last position of each prompt, (prompts, width). All prompts have a cut."""
        import torch

        with torch.inference_mode():
            return self._continued(batch, self._prefixes(batch))

    def _prefixes(self, batch: Sequence[Encoded]) -> dict[Spelling, Prefix]:
        """The prefixes of a batch, those that are not kept run together."""
        missing: dict[Spelling, Encoded] = {}
        found: dict[Spelling, Prefix] = {}
        for encoded in batch:
            spelling = _cut(encoded).spelling
            if (prefix := self._kept.get(spelling)) is not None:
                self._kept.move_to_end(spelling)
                found[spelling] = prefix
            else:
                missing.setdefault(spelling, encoded)
        if missing:
            for prefix in self._run(list(missing.values())):
                found[prefix.cut.spelling] = prefix
                self._keep(prefix)
        return found

    def _run(self, batch: Sequence[Encoded]) -> list[Prefix]:
        from transformers import DynamicCache

        lengths = [_cut(encoded).length for encoded in batch]
        pieces = [(0, length) for length in lengths]
        features = [one for e in batch for one in e.features[: _cut(e).pictures]]
        kept: Any = DynamicCache(config=self._base.config)
        self._forward(self._inputs(batch, pieces), kept, features)
        return [
            Prefix(
                cut=_cut(encoded),
                layers=tuple(
                    (layer.keys[i : i + 1, :, :length].clone(), layer.values[i : i + 1, :, :length].clone())
                    for layer in kept.layers
                ),
            )
            for i, (encoded, length) in enumerate(zip(batch, lengths, strict=True))
        ]

    def _continued(self, batch: Sequence[Encoded], prefixes: dict[Spelling, Prefix]) -> torch.Tensor:
        import torch
        from transformers import Cache

        numbers = {spelling: number for number, spelling in enumerate(prefixes)}
        rows = torch.tensor([numbers[_cut(encoded).spelling] for encoded in batch], device=self._base.device)
        longest = max(prefix.cut.length for prefix in prefixes.values())
        by_layer = zip(*(prefix.layers for prefix in prefixes.values()), strict=True)
        layers = [_layer_class()(list(parts), rows, longest) for parts in by_layer]
        pieces = [(_cut(encoded).length, encoded.tokens) for encoded in batch]
        inputs = self._inputs(batch, pieces)
        before = torch.tensor([longest - start for start, _ in pieces])[:, None] <= torch.arange(longest)[None]
        own = inputs["attention_mask"]
        inputs["attention_mask"] = torch.cat([before.to(own.device, own.dtype), own], dim=1)
        features = [one for e in batch for one in e.features[_cut(e).pictures :]]
        hidden = self._forward(inputs, Cache(layers=layers), features)
        ends = torch.tensor([end - start - 1 for start, end in pieces], device=hidden.device)
        last: torch.Tensor = hidden[torch.arange(len(batch), device=hidden.device), ends]
        return last

    def _inputs(self, batch: Sequence[Encoded], pieces: Sequence[tuple[int, int]]) -> dict[str, Any]:
        """A piece of each prompt, padded on the right, with the places its tokens have in the whole prompt."""
        import torch

        width = max(end - start for start, end in pieces)
        ids, mask, places = [], [], []
        for encoded, (start, end) in zip(batch, pieces, strict=True):
            room = (0, width - (end - start))
            ids.append(torch.nn.functional.pad(encoded.tensors["input_ids"][:, start:end], room, value=self._pad_id))
            mask.append(torch.nn.functional.pad(encoded.tensors["attention_mask"][:, start:end], room))
            places.append(torch.nn.functional.pad(self._places(encoded)[..., start:end], room))
        joined = {
            "input_ids": torch.cat(ids),
            "attention_mask": torch.cat(mask),
            "position_ids": torch.cat(places, dim=-2),
        }
        return {name: tensor.to(self._base.device) for name, tensor in joined.items()}

    def _places(self, encoded: Encoded) -> torch.Tensor:
        """The places of a whole prompt's tokens, (1, tokens), or (3, 1, tokens) where pictures are laid out in time,
        height and width."""
        import torch

        tensors = encoded.tensors
        if self._tower is not None and encoded.features:
            places: torch.Tensor = self._base.get_rope_index(
                tensors["input_ids"], tensors["mm_token_type_ids"], image_grid_thw=tensors["image_grid_thw"]
            )[0]
            return places
        line = torch.arange(encoded.tokens)[None]
        return line if self._tower is None else line.expand(3, 1, -1)

    def _forward(self, inputs: dict[str, Any], kept: Any, features: Sequence[Any]) -> torch.Tensor:
        if features:
            assert self._tower is not None
            inputs = {**inputs, "mm_encoder_outputs": self._tower.outputs(features)}
        hidden: torch.Tensor = self._base(**inputs, past_key_values=kept, use_cache=True).last_hidden_state
        return hidden

    def _keep(self, prefix: Prefix) -> None:
        if prefix.bytes > self.capacity:
            return
        self._kept[prefix.cut.spelling] = prefix
        self._of_group[prefix.cut.group] = prefix.cut
        self._bytes += prefix.bytes
        while self._bytes > self.capacity:
            _, old = self._kept.popitem(last=False)
            self._bytes -= old.bytes
            if self._of_group.get(old.cut.group) is old.cut:
                del self._of_group[old.cut.group]


def _cut(encoded: Encoded) -> Cut:
    assert encoded.cut is not None
    return encoded.cut


@cache
def _layer_class() -> Any:
    """A cache layer that begins with given keys and values and keeps no others.

    What the suffixes add is used once, so it is not stored: a batch takes the memory of one layer, not of all.
    """
    import torch
    from transformers.cache_utils import DynamicLayer

    class PrefixLayer(DynamicLayer):
        def __init__(self, parts: list[KeysValues], rows: torch.Tensor, longest: int) -> None:
            """`parts`: one for each prefix; `rows`: which of them each prompt of the batch begins with."""
            super().__init__()  # type: ignore[no-untyped-call]
            self._parts, self._rows, self._longest = parts, rows, longest
            self.is_initialized = True

        def get_seq_length(self) -> int:
            return self._longest

        def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> KeysValues:
            return self._before(0, key_states), self._before(1, value_states)

        def _before(self, which: int, states: torch.Tensor) -> torch.Tensor:
            if len(self._parts) == 1:
                shared = self._parts[0][which].expand(states.shape[0], -1, -1, -1)
            else:
                sides = [part[which] for part in self._parts]
                padded = [torch.nn.functional.pad(s, (0, 0, self._longest - s.shape[2], 0)) for s in sides]
                shared = torch.cat(padded)[self._rows]
            return torch.cat([shared, states], dim=2)

    return PrefixLayer
