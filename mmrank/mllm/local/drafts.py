"""A Prompt as this model reads it, before any picture is opened: its text, the place of every part, its length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmrank.errors import MllmError, UsageError
from mmrank.mllm.local.controls import ControlTokens
from mmrank.mllm.local.skeleton import Shape, Skeleton, skeleton
from mmrank.mllm.prompt import ImagePart, Part, Picture, Prompt, TextPart

MAX_SHAPES = 4096
"""Conversation shapes and picture sizes remembered; a run has a few of the first and some hundreds of the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One prompt written out for one model.

    `text`: what the chat template makes of it, one placeholder token for each picture. `spans`: start and end in
    `text` of each part, in order; a picture's is its placeholder. `ids`: the tokens of `text`. `anchors`: for each of
    them the place of its first character that is no white space, so that ``" a"`` belongs to its word and not to the
    space before it; empty where the tokenizer does not tell. `tokens`: the length once the placeholders are replaced by
    the `visual` tokens of each picture. `tail`: the template's words after the last part, and the answer prefix.
    `shortened`: tokens of data text left out.
    """

    prompt: Prompt
    text: str
    spans: tuple[tuple[int, int], ...]
    ids: tuple[int, ...]
    anchors: tuple[int, ...]
    visual: tuple[int, ...]
    tokens: int
    tail: str
    shortened: int = 0


class TooLongError(MllmError):
    """A prompt does not fit, and has no data text left to shorten."""


class Drafter:
    """Writes prompts for one checkpoint. `processor`: of transformers, or a tokenizer for a model of text alone.

    `template`: a chat template, or the file it stands in, in place of the checkpoint's own. `options`: variables for
    it, such as ``{"enable_thinking": False}``.
    """

    def __init__(
        self,
        processor: Any,
        *,
        sees: bool,
        template: str | Path | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer if sees else processor
        self.sees = sees
        self.picture_token: str | None = processor.image_token if sees else None
        self._template, self._options = _template(template), dict(options or {})
        if template is None and not getattr(processor, "chat_template", None):
            raise MllmError(
                "The checkpoint has no chat template, so it cannot be asked anything; "
                "pass chat_template= with the Jinja template (or the path of a file with it) it was trained with."
            )
        added = list(self.tokenizer.added_tokens_decoder.values())
        own = [self.picture_token] if self.picture_token else []
        self.controls = ControlTokens(
            [token.content for token in added],
            [*own, *self.tokenizer.all_special_tokens, *(token.content for token in added if token.special)],
        )
        self._skeleton: Callable[[Shape], Skeleton] = lru_cache(MAX_SHAPES)(self._new_skeleton)
        self._visual_tokens: Callable[[int, int, bool], int] = lru_cache(MAX_SHAPES)(self._count_visual)

    def draft(self, prompt: Prompt) -> Draft:
        """Write a prompt out, shortened to its own `max_tokens_in`.

        Raises `MllmError` for a picture given to a model that sees none and for a chat template that does not take the
        messages, `TooLongError` when shortening the last data text does not help.
        """
        draft = self._written(prompt, list(prompt.parts()))
        limit = prompt.max_tokens_in
        return draft if limit is None or draft.tokens <= limit else self._shortened(draft, limit)

    def special_tokens_for(self, text: str) -> bool:
        """Whether the tokenizer is to add its own begin-of-text token: as transformers' `apply_chat_template` does."""
        bos = self.tokenizer.bos_token
        return self.sees and not (bos is not None and text.startswith(bos))

    def _written(self, prompt: Prompt, parts: Sequence[Part]) -> Draft:
        if prompt.pictures and not self.sees:
            raise MllmError("The prompt shows pictures and the model reads text alone; use a vision-language model.")
        shape: Shape = tuple(
            (m.role, tuple("picture" if isinstance(p, ImagePart) else "text" for p in m.parts)) for m in prompt.messages
        )
        frame = self._skeleton(shape)
        pieces, data = [frame.literals[0]], [False]
        for part, trim, literal in zip(parts, frame.trims, frame.literals[1:], strict=True):
            pieces += [self._words(part, *trim), literal]
            data += [isinstance(part, TextPart) and part.data, False]
        pieces.append(prompt.answer_prefix)
        data.append(False)
        pieces = self.controls.broken(pieces, data)
        ends = [0]
        for piece in pieces:
            ends.append(ends[-1] + len(piece))
        text = "".join(pieces)
        tokens = self.tokenizer(
            text,
            add_special_tokens=self.special_tokens_for(text),
            return_offsets_mapping=self.tokenizer.is_fast,
            verbose=False,  # lengths are checked here, with pictures counted in
        )
        pictures = prompt.pictures
        visual = tuple(self._visual_tokens(p.width, p.height, len(pictures) == 1) for p in pictures)
        ids = tuple(tokens["input_ids"])
        return Draft(
            prompt=prompt,
            text=text,
            spans=tuple((ends[2 * i + 1], ends[2 * i + 2]) for i in range(len(parts))),
            ids=ids,
            anchors=tuple(_anchor(text, start, end) for start, end in tokens.get("offset_mapping", ())),
            visual=visual,
            tokens=len(ids) - len(pictures) + sum(visual),
            tail=frame.literals[-1] + prompt.answer_prefix,
        )

    def _words(self, part: Part, trim_left: bool, trim_right: bool) -> str:
        if isinstance(part, ImagePart):
            assert self.picture_token is not None
            return self.picture_token
        text = part.text.lstrip() if trim_left else part.text
        return text.rstrip() if trim_right else text

    def _new_skeleton(self, shape: Shape) -> Skeleton:
        return skeleton(shape, self._render, picture_token=self.picture_token)

    def _render(self, messages: list[dict[str, Any]]) -> str:
        rendered = self.processor.apply_chat_template(
            messages, chat_template=self._template, add_generation_prompt=True, tokenize=False, **self._options
        )
        assert isinstance(rendered, str)
        return rendered

    def _shortened(self, draft: Draft, limit: int) -> Draft:
        """Leave words out at the end of the last data text, then of the one before, until the prompt fits.

        The rule of Qwen3-VL-Reranker (`src/models/qwen3_vl_reranker.py`: the latest ordinary text goes first, the turn
        end and every placeholder stay), kept to data: words of the prompt itself are never cut.
        """
        parts, found = list(draft.prompt.parts()), draft
        while (over := found.tokens - limit) > 0:
            last = next((i for i in range(len(parts) - 1, -1, -1) if _is_words(parts[i])), None)
            if last is None or not found.anchors:
                raise TooLongError(
                    f"The prompt takes {draft.tokens} tokens and the limit is {limit}; without all words of the query "
                    f"and the candidates it still takes {found.tokens}. Show fewer or smaller pictures, or fewer "
                    "candidates at a time."
                )
            whole, (start, end) = parts[last], found.spans[last]
            assert isinstance(whole, TextPart)
            inside = [at for at in found.anchors if start <= at < end]
            words = found.text[start : inside[-over]].rstrip() if over < len(inside) else ""
            parts[last] = replace(whole, text=words)
            found = self._written(draft.prompt, parts)
        return replace(found, shortened=draft.tokens - found.tokens)

    def _count_visual(self, width: int, height: int, alone: bool) -> int:
        """Tokens one picture of this size takes. `alone`: the only one of its prompt (LLaVA-OneVision crops only then).

        By the image processor's own rule where it states one in pixels (Qwen's); else by processing a blank picture.
        """
        images = self.processor.image_processor
        if hasattr(images, "merge_size") and hasattr(images, "get_number_of_image_patches"):
            return int(images.get_number_of_image_patches(height, width, {})) // int(images.merge_size) ** 2
        from PIL import Image

        assert self.picture_token is not None
        count = 1 if alone else 2
        blank = [Image.new("RGB", (width, height)) for _ in range(count)]
        ids = self.processor(text=[self.picture_token * count], images=[blank], add_special_tokens=False)["input_ids"]
        return len(ids[0]) // count


def _anchor(text: str, start: int, end: int) -> int:
    words = text[start:end]
    return end - len(words.lstrip()) if words.strip() else start


def _is_words(part: Part) -> bool:
    return isinstance(part, TextPart) and part.data and bool(part.text.strip())


def blank_picture(width: int, height: int) -> Picture:
    """A grey picture of a given size, for measurements."""
    from PIL import Image

    def opened() -> Image.Image:
        return Image.new("RGB", (width, height), (127, 127, 127))

    return Picture(key=f"blank:{width}x{height}", width=width, height=height, open=opened)


def _template(given: str | Path | None) -> str | None:
    """A chat template as text: the words themselves, or the file they stand in."""
    if given is None or (isinstance(given, str) and "{" in given):
        return given
    path = Path(given).expanduser()
    if not path.is_file():
        raise UsageError(
            f"chat_template is {str(given)!r}; it must be a Jinja template or the path of a file with one."
        )
    return path.read_text("utf-8")
