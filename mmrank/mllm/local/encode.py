"""From drafts to tensors: pictures opened and processed, prompts padded on the left, tokens of marked spans found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmrank.errors import MediaError, MllmError
from mmrank.mllm.local.drafts import Draft, Drafter
from mmrank.mllm.prompt import ImagePart

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

_BY_TOKEN = ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids")
"""Tensors of shape (1, tokens), padded on the left; all others hold pictures and are joined along the first axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One prompt as tensors on the CPU: ``input_ids`` (1, tokens) int64 and what goes with it, pictures as float32."""

    draft: Draft
    tensors: Mapping[str, torch.Tensor]

    @property
    def tokens(self) -> int:
        return int(self.tensors["input_ids"].shape[1])


class Encoder:
    """Opens pictures and runs the checkpoint's own processor, one prompt at a time so that a bad one fails alone.

    `openers`: how many pictures are opened at once.
    """

    def __init__(self, drafter: Drafter, *, pad_id: int, openers: int) -> None:
        self._drafter = drafter
        self._pad_id = pad_id
        self._pool = ThreadPoolExecutor(openers, thread_name_prefix="mmrank-open")

    def encode(self, drafts: Sequence[Draft]) -> list[Encoded | MediaError | MllmError]:
        """Each draft as tensors, or the reason why it cannot be: a picture that cannot be opened or processed."""
        opening = [[self._pool.submit(_open, p.open, p.key) for p in draft.prompt.pictures] for draft in drafts]
        out: list[Encoded | MediaError | MllmError] = []
        for draft, futures in zip(drafts, opening, strict=True):
            try:
                out.append(self._encode(draft, [future.result() for future in futures]))
            except (MediaError, MllmError) as error:
                out.append(error)
        return out

    def _encode(self, draft: Draft, pictures: list[Image]) -> Encoded:
        import torch

        if not self._drafter.sees:
            ids = torch.tensor([draft.ids], dtype=torch.long)
            return Encoded(draft=draft, tensors={"input_ids": ids, "attention_mask": torch.ones_like(ids)})
        for picture, given in zip(draft.prompt.pictures, pictures, strict=True):
            if given.size != (picture.width, picture.height):
                raise MediaError(
                    f"The picture {picture.key} is {given.width} x {given.height} pixels and was announced as "
                    f"{picture.width} x {picture.height}; it has changed since it was rendered."
                )
        try:
            batch = self._drafter.processor(
                text=[draft.text],
                images=[pictures] if pictures else None,
                add_special_tokens=self._drafter.special_tokens_for(draft.text),
                return_tensors="pt",
            )
        except ValueError as error:  # sizes a processor refuses, such as a side 200 times the other
            raise MediaError(f"The model's processor refuses the prompt's pictures: {error}") from error
        tensors = {k: v for k, v in batch.items() if isinstance(v, torch.Tensor)}
        return Encoded(draft=draft, tensors=tensors)

    def collate(self, batch: Sequence[Encoded], device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """One batch on `device`: prompts padded on the left, floating point tensors as `dtype`."""
        import torch

        length = max(encoded.tokens for encoded in batch)
        names = dict.fromkeys(name for encoded in batch for name in encoded.tensors)
        out: dict[str, torch.Tensor] = {}
        for name in names:
            rows = [encoded.tensors[name] for encoded in batch if name in encoded.tensors]
            if name in _BY_TOKEN:
                fill = self._pad_id if name == "input_ids" else 0
                rows = [torch.nn.functional.pad(row, (length - row.shape[1], 0), value=fill) for row in rows]
            else:
                rows = _same_sizes(rows)
            joined = torch.cat(rows)
            out[name] = joined.to(device, dtype) if joined.is_floating_point() else joined.to(device)
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


def _open(opener: Any, key: str) -> Image:
    try:
        picture: Image = opener()
        picture.load()
    except MediaError:
        raise
    # The opener reads a stranger's file through whatever library fits it; its failure is this picture's alone.
    except Exception as error:
        raise MediaError(f"The picture {key} cannot be opened: {type(error).__name__}: {error}") from error
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _same_sizes(rows: list[torch.Tensor]) -> list[torch.Tensor]:
    """Pictures of different numbers of crops (LLaVA-OneVision) get empty ones at the end; the model skips them."""
    import torch

    if rows[0].ndim < 5 or len({row.shape[1] for row in rows}) == 1:
        return rows
    crops = max(row.shape[1] for row in rows)
    zeros = [row.new_zeros(row.shape[0], crops - row.shape[1], *row.shape[2:]) for row in rows]
    return [torch.cat([row, zero], dim=1) for row, zero in zip(rows, zeros, strict=True)]
