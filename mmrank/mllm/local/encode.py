"""From drafts to tensors: pictures opened and processed, prompts padded on the left, tokens of marked spans found."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mmrank.errors import MediaError, MllmError
from mmrank.mllm.local.cuts import Cut
from mmrank.mllm.local.drafts import Draft, Drafter
from mmrank.mllm.local.features import FeatureCache, Features, feature_key
from mmrank.mllm.local.vision import Patches, VisionTower
from mmrank.mllm.prompt import ImagePart, Picture

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

_BY_TOKEN = ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids")
"""Tensors of shape (1, tokens), padded on the left; all others hold pictures and are joined along the first axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One prompt as tensors on the CPU: ``input_ids`` (1, tokens) int64 and what goes with it.

    Its pictures are `features`, in the order they are shown, or float32 pixels among the tensors where the model has
    no `VisionTower`. `towers`: pictures that passed the tower for this prompt; `hits`: those that were there already.
    `cut`: where the prefix it shares with others ends, when that is run by itself.
    """

    draft: Draft
    tensors: Mapping[str, torch.Tensor]
    features: tuple[Features, ...] = ()
    towers: int = 0
    hits: int = 0
    cut: Cut | None = None

    @property
    def tokens(self) -> int:
        return int(self.tensors["input_ids"].shape[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A batch as far as it goes without the model. By `feature_key`: features found, pictures for the tower, faults."""

    drafts: Sequence[Draft]
    found: dict[str, Features]
    patches: dict[str, Patches]
    faults: dict[str, MediaError]


class Encoder:
    """Opens pictures and runs the checkpoint's own processor, so that a picture or prompt at fault fails alone.

    `openers`: how many pictures are opened at once. With `tower` and `features`, each picture passes the tower once:
    equal ones of a batch together, later ones not at all as long as their features are kept.
    """

    def __init__(
        self,
        drafter: Drafter,
        *,
        pad_id: int,
        openers: int,
        tower: VisionTower | None = None,
        features: FeatureCache | None = None,
    ) -> None:
        self._drafter = drafter
        self._pad_id = pad_id
        self._pool = ThreadPoolExecutor(openers, thread_name_prefix="mmrank-open")
        self._tower = tower
        self._features = features or FeatureCache(0)

    def prepare(self, drafts: Sequence[Draft], awaited: Container[str] = ()) -> Prepared:
        """Open and process the pictures that have no features yet. Touches neither model nor tokenizer, so it may run
        while the model works on another batch. `awaited`: keys whose features that batch is about to make."""
        prepared = Prepared(drafts=drafts, found={}, patches={}, faults={})
        if self._tower is None:
            return prepared
        opening: dict[str, Future[Patches]] = {}
        for picture in (picture for draft in drafts for picture in draft.prompt.pictures):
            key = feature_key(picture)
            if key in awaited or key in opening or key in prepared.found:
                continue
            if (known := self._features.get(key)) is not None:
                prepared.found[key] = known
            else:
                opening[key] = self._pool.submit(self._patches, picture)
        for key, future in opening.items():
            try:
                prepared.patches[key] = future.result()
            except MediaError as error:
                prepared.faults[key] = error
        return prepared

    def finish(self, prepared: Prepared) -> list[Encoded | MediaError | MllmError]:
        """The drafts as tensors, their pictures through the tower; or the reason why a draft cannot be."""
        if self._tower is None:
            return self._whole(prepared.drafts)
        left = self.prepare(prepared.drafts, {*prepared.found, *prepared.patches, *prepared.faults})
        found, faults = {**prepared.found, **left.found}, {**prepared.faults, **left.faults}
        patches = {**prepared.patches, **left.patches}
        made = dict(zip(patches, self._tower.run(list(patches.values())), strict=True))
        for key, features in made.items():
            self._features.put(key, replace(features, levels=features.levels.cpu()))
        found.update(made)
        out: list[Encoded | MediaError | MllmError] = []
        fresh = set(made)
        for draft in prepared.drafts:
            keys = [feature_key(picture) for picture in draft.prompt.pictures]
            fault = next((faults[key] for key in keys if key in faults), None)
            if fault is not None:
                out.append(fault)
                continue
            mine = fresh.intersection(keys)
            fresh -= mine
            out.append(self._with_features(draft, [found[key] for key in keys], towers=len(mine)))
        return out

    def encode(self, drafts: Sequence[Draft]) -> list[Encoded | MediaError | MllmError]:
        """Each draft as tensors, or the reason why it cannot be: a picture that cannot be opened or processed."""
        return self.finish(self.prepare(drafts))

    def _patches(self, picture: Picture) -> Patches:
        assert self._tower is not None
        image = _open(picture)
        try:
            return self._tower.patches(image)
        except ValueError as error:  # sizes a processor refuses, such as a side 200 times the other
            raise _refused(error) from error

    def _with_features(self, draft: Draft, features: list[Features], *, towers: int) -> Encoded | MllmError:
        """A prompt with the tokens its processor would write, from the draft's own."""
        import torch

        assert self._tower is not None
        if tuple(one.tokens for one in features) != draft.visual:
            told = ", ".join(map(str, draft.visual))
            return MllmError(f"The model's processor announced pictures of {told} tokens and made others.")
        sizes, picture = iter(draft.visual), self._tower.image_token
        ids = torch.tensor([[i for i in draft.ids for _ in range(next(sizes) if i == picture else 1)]])
        tensors = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "mm_token_type_ids": (ids == picture).long(),
        }
        if features:
            tensors["image_grid_thw"] = torch.tensor([one.grid for one in features])
        return Encoded(
            draft=draft, tensors=tensors, features=tuple(features), towers=towers, hits=len(features) - towers
        )

    def _whole(self, drafts: Sequence[Draft]) -> list[Encoded | MediaError | MllmError]:
        """Prompts through the checkpoint's processor one at a time, their pictures as pixels."""
        opening = [[self._pool.submit(_open, picture) for picture in draft.prompt.pictures] for draft in drafts]
        out: list[Encoded | MediaError | MllmError] = []
        for draft, futures in zip(drafts, opening, strict=True):
            try:
                out.append(self._processed(draft, [future.result() for future in futures]))
            except (MediaError, MllmError) as error:
                out.append(error)
        return out

    def _processed(self, draft: Draft, pictures: list[Image]) -> Encoded:
        import torch

        if not self._drafter.sees:
            ids = torch.tensor([draft.ids], dtype=torch.long)
            return Encoded(draft=draft, tensors={"input_ids": ids, "attention_mask": torch.ones_like(ids)})
        try:
            batch = self._drafter.processor(
                text=[draft.text],
                images=[pictures] if pictures else None,
                add_special_tokens=self._drafter.special_tokens_for(draft.text),
                return_tensors="pt",
            )
        except ValueError as error:
            raise _refused(error) from error
        tensors = {k: v for k, v in batch.items() if isinstance(v, torch.Tensor)}
        return Encoded(draft=draft, tensors=tensors, towers=len(pictures))

    def collate(self, batch: Sequence[Encoded], device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
        """One batch on `device`: prompts padded on the left, floating point tensors as `dtype`, kept features as
        ``mm_encoder_outputs``."""
        import torch

        length = max(encoded.tokens for encoded in batch)
        names = dict.fromkeys(name for encoded in batch for name in encoded.tensors)
        out: dict[str, Any] = {}
        for name in names:
            rows = [encoded.tensors[name] for encoded in batch if name in encoded.tensors]
            if name in _BY_TOKEN:
                fill = self._pad_id if name == "input_ids" else 0
                rows = [torch.nn.functional.pad(row, (length - row.shape[1], 0), value=fill) for row in rows]
            else:
                rows = _same_sizes(rows)
            joined = torch.cat(rows)
            out[name] = joined.to(device, dtype) if joined.is_floating_point() else joined.to(device)
        if self._tower is not None and (features := [one for encoded in batch for one in encoded.features]):
            out["mm_encoder_outputs"] = self._tower.outputs(features)
        return out

    def marked(self, encoded: Encoded) -> dict[str, list[int]]:
        """The tokens of each mark, as positions in the prompt's own ``input_ids``, in order.

        A token belongs to the part that its first character which is no white space lies in; a picture's tokens are
        those its placeholder became (without the begin and end tokens some processors add). Raises `MllmError` when
        the tokenizer cannot say where its tokens come from, or the processor wrote something else than announced.
        """
        draft, drafter = encoded.draft, self._drafter
        if not draft.anchors:
            raise MllmError("This tokenizer is a slow one and does not tell which words its tokens stand for.")
        token_id = (
            None if drafter.picture_token is None else drafter.tokenizer.convert_tokens_to_ids(drafter.picture_token)
        )
        full: list[int] = encoded.tensors["input_ids"][0].tolist()
        places, at, visual = [], 0, iter(draft.visual)
        for number in draft.ids:
            size = next(visual) if number == token_id else 1
            places.append((at, at + size))
            at += size
        plain = [(a, i) for (a, _), i in zip(places, draft.ids, strict=True) if i != token_id]
        if at != len(full) or any(full[a] != i for a, i in plain):
            raise MllmError("The processor did not write the tokens it announced, so marked spans cannot be found.")
        found: dict[str, list[int]] = {}
        for part, (start, end) in zip(draft.prompt.parts(), draft.spans, strict=True):
            if part.mark is None:
                continue
            tokens = [
                t
                for place, begin in zip(places, draft.anchors, strict=True)
                if start <= begin < end
                for t in range(*place)
            ]
            if isinstance(part, ImagePart):
                tokens = [t for t in tokens if full[t] == token_id]
            found.setdefault(part.mark, []).extend(tokens)
        return found


def _open(picture: Picture) -> Image:
    try:
        image: Image = picture.open()
        image.load()
    except MediaError:
        raise
    # The opener reads a stranger's file through whatever library fits it; its failure is this picture's alone.
    except Exception as error:
        raise MediaError(f"The picture {picture.key} cannot be opened: {type(error).__name__}: {error}") from error
    if image.size != (picture.width, picture.height):
        raise MediaError(
            f"The picture {picture.key} is {image.width} x {image.height} pixels and was announced as "
            f"{picture.width} x {picture.height}; it has changed since it was rendered."
        )
    return image if image.mode == "RGB" else image.convert("RGB")


def _refused(error: ValueError) -> MediaError:
    return MediaError(f"The model's processor refuses the prompt's pictures: {error}")


def _same_sizes(rows: list[torch.Tensor]) -> list[torch.Tensor]:
    """Pictures of different numbers of crops (LLaVA-OneVision) get empty ones at the end; the model skips them."""
    import torch

    if rows[0].ndim < 5 or len({row.shape[1] for row in rows}) == 1:
        return rows
    crops = max(row.shape[1] for row in rows)
    zeros = [row.new_zeros(row.shape[0], crops - row.shape[1], *row.shape[2:]) for row in rows]
    return [torch.cat([row, zero], dim=1) for row, zero in zip(rows, zeros, strict=True)]
