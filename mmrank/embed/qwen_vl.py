"""Qwen3-VL-Embedding (arXiv 2601.04720): texts, pictures, pages, videos and queries of several of them in one space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

from mmrank.devices import choose_device, choose_dtype
from mmrank.embed.base import Embedded, Fingerprint, MediaNeeds, OpenedQuery, Vectors
from mmrank.embed.batches import check_texts, embedded_each, text_name
from mmrank.embed.checkpoint_folder import find_folder, load_checkpoint, model_type
from mmrank.embed.chunks import split_text
from mmrank.embed.qwen_vl_media import FPS, MAX_FRAMES, MAX_PIXELS, MIN_PIXELS, VIDEO_PIXELS, fit_clip, fit_image
from mmrank.embed.qwen_vl_prompt import DEFAULT_INSTRUCTION, MAX_TOKENS, QUERY_INSTRUCTION, Content, PromptWriter
from mmrank.embed.registry import Spec
from mmrank.embed.right_padding import collate, last_attended
from mmrank.embed.vectors import mean_unit, unit_rows
from mmrank.errors import EmbedderError, MediaError, UsageError
from mmrank.media.load import Loaded
from mmrank.mllm.base import Failure
from mmrank.mllm.local.batching import Budget, run_batches
from mmrank.mllm.local.memory import default_batch_tokens
from mmrank.types import KINDS, Kind

if TYPE_CHECKING:
    import torch

Vector: TypeAlias = npt.NDArray[np.float32]

SIZE = 1152
"""The shorter side asked of decoders, in pixels. A page of A4 is rendered at 1152 x 1629, as many pixels as a picture
may have (`MAX_PIXELS`); pictures come with at least twice that where they have it, and are resized in `prepare`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What `QwenVlEmbedder.prepare` gives. `contents`: several only of a text that was cut. `layer`: a page's text."""

    id: str
    kind: Kind
    contents: tuple[Content, ...]
    layer: tuple[Content, ...] = ()


class QwenVlEmbedder:
    """An `Embedder` over Qwen3-VL-Embedding, and a `QueryEmbedder`.

    The vector is the last layer's state of the last attended token behind a system turn with the instruction and a
    user turn with videos, pictures and texts, cut to its first `dimension` numbers (Matryoshka) and scaled to length 1.
    Items are read with the model's default instruction, queries with `instruction` or their own. A text longer than
    8,192 tokens is cut at sentence, then word borders, and gets the renormalised mean of its pieces' unit vectors.
    An image, page or video has the vector of what is seen; a page with a text layer that text's besides.

    `model`: transformers' Qwen3VLModel in eval mode, `processor`: its processor. `batch_tokens`: tokens in one batch,
    padding included; by the device's memory when None. Results do not depend on batch mates.
    """

    kinds: frozenset[Kind] = frozenset(KINDS)

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        spec: str,
        fingerprint: Fingerprint,
        instruction: str = QUERY_INSTRUCTION,
        warning: str | None = None,
        batch_tokens: int | None = None,
    ) -> None:
        self.spec = spec
        self.fingerprint = fingerprint
        self.dimension = fingerprint.dimension
        self.instruction = instruction
        self.warning = warning
        self.needs = MediaNeeds(size=SIZE, frames=MAX_FRAMES)
        self._model = model
        self._writer = PromptWriter(processor)
        self._budget = Budget(batch_tokens or default_batch_tokens(model))

    def __repr__(self) -> str:
        return f"QwenVlEmbedder({self.spec!r}, dimension={self.dimension}, device={self._model.device})"

    def prepare(self, loaded: Loaded) -> Prepared:
        """Resize the pictures to the model's limits, cut a long text into pieces. Thread-safe, no model involved.

        Raises `MediaError` for an item without the content its kind needs, or of a shape the model does not take.
        """
        item = loaded.item
        text = loaded.text if loaded.text and loaded.text.strip() else None
        if item.kind == "text":
            if text is None:
                raise MediaError(f"The text of item {item.id!r} is empty; there is nothing to embed.")
            return Prepared(id=item.id, kind=item.kind, contents=self._pieces(text, DEFAULT_INSTRUCTION))
        if item.kind == "video":
            if not loaded.frames:
                raise MediaError(f"The video {item.id!r} was loaded without a frame; there is nothing to embed.")
            return Prepared(
                id=item.id, kind="video", contents=(Content(clips=(fit_clip(loaded.frames, loaded.times),)),)
            )
        if loaded.image is None:
            raise MediaError(f"The {item.kind} {item.id!r} was loaded without a picture; there is nothing to embed.")
        return Prepared(
            id=item.id,
            kind=item.kind,
            contents=(Content(images=(fit_image(loaded.image),)),),
            layer=self._pieces(text, DEFAULT_INSTRUCTION) if text is not None and item.kind == "page" else (),
        )

    def embed(self, prepared: Sequence[Prepared]) -> list[Embedded]:
        """Vectors for a batch, in order; a mixed batch of kinds is allowed and split by what fits into memory.

        Raises `BatchError` when single items fail (a picture the processor refuses, a vector that is not finite): it
        names them and carries the vectors of all the others.
        """
        seen = iter(self._means([one.contents for one in prepared]))
        read = iter(self._means([one.layer for one in prepared if one.layer]))

        def made(one: Prepared) -> Embedded:
            vector, layer = next(seen), next(read) if one.layer else None
            if isinstance(vector, EmbedderError):
                raise vector
            if isinstance(layer, EmbedderError):
                raise layer
            return Embedded(vector=vector, text_vector=layer)

        return embedded_each(prepared, made)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of query texts, float32, shape (n, dimension), under the embedder's `instruction`.

        Raises `UsageError` for an empty text, `EmbedderError` for a vector that is not finite; both name the text.
        """
        check_texts(texts)
        found = self._means([self._pieces(text, self.instruction) for text in texts])
        return self._all(found, lambda i: text_name(texts, i))

    def embed_images(self, images: Sequence[Image]) -> Vectors:
        """Unit vectors of query pictures, float32, shape (n, dimension), under the embedder's `instruction`.

        Raises `MediaError` for a shape the model does not take, `EmbedderError`, naming the picture's place, for a
        vector that is not finite.
        """
        groups = [(Content(instruction=self.instruction, images=(fit_image(image),)),) for image in images]
        return self._all(self._means(groups), lambda i: f"Image {i + 1} of {len(images)}")

    def embed_queries(self, queries: Sequence[OpenedQuery]) -> list[Vector | EmbedderError]:
        """Each query as one input: its video, pictures and text together, under its own instruction or the embedder's.

        A unit vector, float32 (dimension,), for each, or why it has none; the others go on.
        """
        groups: dict[int, tuple[Content, ...]] = {}
        results: dict[int, Vector | EmbedderError] = {}
        for place, query in enumerate(queries):
            try:
                groups[place] = self._asked(query)
            except (EmbedderError, MediaError, UsageError) as error:
                results[place] = EmbedderError(f"Query {query.id!r}: {error}")
        for place, found in zip(groups, self._means(list(groups.values())), strict=True):
            failed = isinstance(found, EmbedderError)
            results[place] = EmbedderError(f"Query {queries[place].id!r}: {found}") if failed else found
        return [results[place] for place in range(len(queries))]

    def _asked(self, query: OpenedQuery) -> tuple[Content, ...]:
        instruction = query.instruction or self.instruction
        text = query.text if query.text and query.text.strip() else None
        if not query.images and not query.frames:
            if text is None:
                raise UsageError("it is empty; it needs a text, an image, a video or dialogue turns.")
            return self._pieces(text, instruction)
        seen = Content(
            instruction=instruction,
            clips=(fit_clip(query.frames, query.times),) if query.frames else (),
            images=tuple(fit_image(image) for image in query.images),
            texts=(text,) if text is not None else (),
        )
        return (seen,)

    def _pieces(self, text: str, instruction: str) -> tuple[Content, ...]:
        """A text as one content, or as few pieces as the model's length allows."""
        whole = Content(instruction=instruction, texts=(text,))

        def fits(piece: str) -> bool:
            return self._writer.tokens(replace(whole, texts=(piece,))) <= MAX_TOKENS

        return (whole,) if fits(text) else tuple(replace(whole, texts=(piece,)) for piece in split_text(text, fits))

    def _means(self, groups: Sequence[Sequence[Content]]) -> list[Vector | EmbedderError]:
        """One unit vector for each group of contents; an error for a group with a content that has none."""
        rows = iter(self._vectors([content for group in groups for content in group]))
        means: list[Vector | EmbedderError] = []
        for group in groups:
            own = [next(rows) for _ in group]
            failed = next((row for row in own if isinstance(row, Failure)), None)
            if failed is not None or not own:
                means.append(EmbedderError(failed.error if failed else "there is nothing to embed"))
                continue
            try:
                means.append(mean_unit(unit_rows(np.stack([row for row in own if isinstance(row, np.ndarray)]))))
            except EmbedderError as error:
                means.append(error)
        return means

    def _vectors(self, contents: Sequence[Content]) -> list[Vector | Failure]:
        """The pooled state of each content, float32 (dimension,), not scaled."""
        lengths = [self._writer.tokens(content) for content in contents]
        return run_batches(lengths, self._budget, lambda places: self._step([contents[i] for i in places]))

    def _step(self, contents: Sequence[Content]) -> list[Vector | Failure]:
        import torch

        encoded: list[Mapping[str, torch.Tensor] | Failure] = []
        for content in contents:
            try:
                encoded.append(self._writer.encode(content))
            except (EmbedderError, MediaError) as error:
                encoded.append(Failure(error=str(error)))
        good = [one for one in encoded if not isinstance(one, Failure)]
        if not good:
            return [one for one in encoded if isinstance(one, Failure)]
        batch = collate(good, self._writer.tokenizer.pad_token_id or 0, self._model.device, self._model.dtype)
        with torch.inference_mode():
            hidden = self._model(**batch, use_cache=False).last_hidden_state
            rows = iter(last_attended(hidden, batch["attention_mask"])[:, : self.dimension].float().cpu().numpy())
        return [one if isinstance(one, Failure) else next(rows) for one in encoded]

    def _all(self, found: Sequence[Vector | EmbedderError], name: Any) -> Vectors:
        vectors = np.empty((len(found), self.dimension), np.float32)
        for position, one in enumerate(found):
            if isinstance(one, EmbedderError):
                raise EmbedderError(f"{name(position)}: {one}")
            vectors[position] = one
        return vectors


def load(spec: Spec, *, device: str | None = None, precision: str | None = None) -> QwenVlEmbedder:
    """Load the model a spec names; `mmrank.load_embedder` is the way in.

    Options of the spec: ``dimension`` (the first so many numbers of the vector, any from 1 to all of them; the model
    was trained for 64 and more) and ``instruction`` (of queries that name none).
    """
    options = dict(spec.options)
    folder = find_folder(spec)
    if (kind := model_type(folder)) != "qwen3_vl":
        raise EmbedderError(
            f"{spec.text} is a {kind!r}; the scheme qwen3_vl takes Qwen3-VL-Embedding ('qwen3_vl') alone."
        )
    chosen = choose_device(device)
    loaded = load_checkpoint(
        folder, _model_class, device=chosen, dtype=choose_dtype(precision, chosen), settings={"scheme": "qwen3_vl"}
    )
    limits = f"pixels {MIN_PIXELS}..{MAX_PIXELS}, video {VIDEO_PIXELS}, {MAX_FRAMES} frames at {FPS:g} fps"
    return QwenVlEmbedder(
        loaded.model,
        loaded.processor,
        spec=spec.text,
        fingerprint=Fingerprint(
            weights=loaded.weights,
            preprocessing=f"qwen3_vl 1: {limits}, {MAX_TOKENS} tokens, {DEFAULT_INSTRUCTION}",
            dimension=_dimension(options.get("dimension"), int(loaded.model.config.get_text_config().hidden_size)),
        ),
        instruction=options.get("instruction", "").strip() or QUERY_INSTRUCTION,
        warning=spec.known.warning if spec.known is not None else None,
    )


def _model_class() -> Any:
    from transformers import AutoModel

    return AutoModel


def _dimension(written: str | None, full: int) -> int:
    if written is None:
        return full
    if not written.isdecimal() or not 1 <= int(written) <= full:
        raise UsageError(f"dimension is {written!r}; it must be a whole number from 1 to {full}, all of the vector.")
    return int(written)
