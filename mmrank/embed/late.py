"""Late interaction over pages: ColPali (arXiv 2407.01449) and ColQwen2, through transformers' own classes."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mmrank.devices import choose_device, choose_dtype
from mmrank.embed.base import Embedded, Fingerprint, MediaNeeds, Vectors
from mmrank.embed.batches import check_texts, embedded_each, text_name
from mmrank.embed.checkpoint_folder import find_folder, load_checkpoint, model_type
from mmrank.embed.late_base import Tokens, TokensEmbedded
from mmrank.embed.late_pooling import check_pool_tokens, ward_pooled
from mmrank.embed.registry import BACKENDS, Spec
from mmrank.embed.vectors import mean_unit, unit_rows
from mmrank.errors import EmbedderError, MediaError
from mmrank.hub import first_line
from mmrank.media.load import Loaded
from mmrank.mllm.local.controls import ControlTokens
from mmrank.types import Kind

if TYPE_CHECKING:
    import torch

__all__ = ["LateEmbedder", "Prepared", "Tokens", "load"]

MAX_SIZE = 1152
"""The shorter side asked of decoders, in pixels, at most; the checkpoint's processor resizes what it is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What `LateEmbedder.prepare` gives: a page's or image's picture, RGB."""

    id: str
    kind: Kind
    picture: Image.Image = field(repr=False)


class LateEmbedder:
    """Many vectors a page, and one pooled of them, so that it is an `Embedder` too.

    `embed_tokens` and `query_tokens` give the unit token vectors that MaxSim compares
    (`mmrank.rerank.vectors.late_interaction`); all attended tokens count, those of the prompt around a page and those
    that pad a query to think with among them, as in the checkpoints' own scoring. `embed` gives both, the token vectors
    and their renormalised mean, for a first stage that finds candidates: coarse, never the last word; `embed_texts`
    gives the mean of a query's. Pages and images only; the models were not trained on texts or videos as documents.
    Each page runs alone, so results have no batch mates.

    `model`: a ...ForRetrieval of transformers in eval mode, `processor`: its processor. `pool_tokens`: keep at most so
    many token vectors of a page, means of near neighbours (`mmrank.embed.late_pooling`); its mean stays that of all.
    """

    kinds: frozenset[Kind] = frozenset({"page", "image"})

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        spec: str,
        fingerprint: Fingerprint,
        warning: str | None = None,
        pool_tokens: int | None = None,
    ) -> None:
        self.spec = spec
        self.fingerprint = fingerprint
        self.dimension = fingerprint.dimension
        self.warning = warning
        self.pool_tokens = pool_tokens
        self.needs = MediaNeeds(size=_wanted_size(processor.image_processor), frames=1)
        self._model = model
        self._processor = processor
        added = list(processor.tokenizer.added_tokens_decoder.values())
        special = [*processor.tokenizer.all_special_tokens, *(token.content for token in added if token.special)]
        self._controls = ControlTokens([token.content for token in added], special)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"LateEmbedder({self.spec!r}, dimension={self.dimension}, device={self._model.device})"

    def prepare(self, loaded: Loaded) -> Prepared:
        """Take the picture. Raises `MediaError` for an item without one, or of a kind the model does not embed."""
        item = loaded.item
        if item.kind not in self.kinds:
            raise MediaError(f"{self.spec} embeds pages and images; item {item.id!r} is of kind {item.kind}.")
        if loaded.image is None:
            raise MediaError(f"The {item.kind} {item.id!r} was loaded without a picture; there is nothing to embed.")
        picture = loaded.image if loaded.image.mode == "RGB" else loaded.image.convert("RGB")
        return Prepared(id=item.id, kind=item.kind, picture=picture)

    def embed_tokens(self, prepared: Sequence[Prepared]) -> list[Tokens | EmbedderError]:
        """The token vectors of each page, float16 (tokens, dimension), or why it has none. The others go on."""
        results: list[Tokens | EmbedderError] = []
        for one in prepared:
            tokens = self._page(one.picture)
            if isinstance(tokens, EmbedderError):
                results.append(EmbedderError(f"{one.kind} {one.id!r}: {tokens}"))
            else:
                results.append(self._kept(tokens))
        return results

    def query_tokens(self, texts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """The token vectors of query texts, float32 (tokens, dimension) each, padding left out.

        Raises `UsageError` for an empty text, `EmbedderError` for vectors that are not finite; both name the text.
        """
        check_texts(texts)
        found = []
        for position, text in enumerate(texts):
            (safe,) = self._controls.broken([text], [True])
            tokens = self._run(self._processor.process_queries, {"text": [safe]})
            if isinstance(tokens, EmbedderError):
                raise EmbedderError(f"{text_name(texts, position)}: {tokens}")
            found.append(tokens)
        return found

    def embed(self, prepared: Sequence[Prepared]) -> list[Embedded]:
        """The pooled vector and the token vectors of each page, a `TokensEmbedded`.

        Raises `BatchError`, with the vectors of the others, when pages fail.
        """

        def made(one: Prepared) -> Embedded:
            tokens = self._page(one.picture)
            if isinstance(tokens, EmbedderError):
                raise tokens
            return TokensEmbedded(vector=mean_unit(tokens), token_vectors=self._kept(tokens))

        return embedded_each(prepared, made)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Pooled query vectors, float32, shape (n, dimension). Raises as `query_tokens` does."""
        pooled = [mean_unit(tokens) for tokens in self.query_tokens(texts)]
        return np.stack(pooled) if pooled else np.empty((0, self.dimension), np.float32)

    def embed_images(self, images: Sequence[Image.Image]) -> Vectors:
        """Pooled vectors of pictures as pages, float32, shape (n, dimension): for search by a similar page."""
        vectors = np.empty((len(images), self.dimension), np.float32)
        for position, image in enumerate(images):
            tokens = self._page(image if image.mode == "RGB" else image.convert("RGB"))
            if isinstance(tokens, EmbedderError):
                raise EmbedderError(f"Image {position + 1} of {len(images)}: {tokens}")
            vectors[position] = mean_unit(tokens)
        return vectors

    def _kept(self, tokens: npt.NDArray[np.float32]) -> Tokens:
        """What is kept of a page's token vectors."""
        few = tokens if self.pool_tokens is None else ward_pooled(tokens, self.pool_tokens)
        return few.astype(np.float16)

    def _page(self, picture: Image.Image) -> npt.NDArray[np.float32] | EmbedderError:
        return self._run(self._processor.process_images, {"images": [picture]})

    def _run(self, process: Any, given: Mapping[str, Any]) -> npt.NDArray[np.float32] | EmbedderError:
        """Unit vectors of the attended tokens of one page or query, float32; an error where there are none."""
        import torch

        try:
            with self._lock:
                batch = process(**given, return_tensors="pt")
        except ValueError as error:  # shapes a processor refuses
            return EmbedderError(f"the model's processor refuses it: {first_line(error)}")
        inputs = {
            name: value.to(self._model.device, self._model.dtype if value.is_floating_point() else value.dtype)
            for name, value in batch.items()
            if isinstance(value, torch.Tensor) and name != "labels"
        }
        inputs |= self._positions(inputs)
        mask = inputs["attention_mask"][0].bool()
        with self._lock, torch.inference_mode():
            vectors = self._model(**inputs).embeddings[0][mask].float().cpu().numpy()
        units = unit_rows(vectors)
        if not np.isfinite(units).all():
            precision = str(self._model.dtype).removeprefix("torch.")
            return EmbedderError(f"the model gave vectors that are zero or not finite in {precision}; try float32")
        return units

    def _positions(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """ColQwen2's places of tokens in rows and columns, as it was trained.

        transformers 5.23's ColQwen2ForRetrieval gives the language model no token ids, from which that would find them,
        and so counts a page's tokens in one line.
        """
        vlm = self._model.vlm
        if "image_grid_thw" not in inputs or not hasattr(vlm, "get_rope_index"):
            return {}
        kinds = (inputs["input_ids"] == self._processor.image_token_id).int()
        places, _ = vlm.get_rope_index(
            inputs["input_ids"],
            kinds,
            image_grid_thw=inputs["image_grid_thw"],
            attention_mask=inputs["attention_mask"],
        )
        return {"position_ids": places}


def load(spec: Spec, *, device: str | None = None, precision: str | None = None) -> LateEmbedder:
    """Load the model a spec names; `mmrank.load_embedder` is the way in."""
    folder = find_folder(spec)
    kind, known = model_type(folder), BACKENDS["late"].model_types
    if kind not in known:
        raise EmbedderError(
            f"{spec.text} is a {kind!r}; the scheme late takes {', '.join(known)}, as transformers writes them "
            "(adapters of colpali-engine have conversions, such as vidore/colqwen2-v1.0-hf)."
        )
    pool = dict(spec.options).get("pool_tokens")
    pool_tokens = None if pool is None else check_pool_tokens(pool)
    chosen = choose_device(device)
    loaded = load_checkpoint(
        folder,
        lambda: _model_class(kind),
        device=chosen,
        dtype=choose_dtype(precision, chosen),
        settings={"scheme": "late", "model_type": kind},
    )
    return LateEmbedder(
        loaded.model,
        loaded.processor,
        spec=spec.text,
        fingerprint=Fingerprint(
            weights=loaded.weights,
            preprocessing=f"late 1: the checkpoint's own processor, mean of unit tokens, {kind}"
            + (f", tokens pooled to {pool_tokens} (Ward)" if pool_tokens is not None else ""),
            dimension=int(loaded.model.config.embedding_dim),
        ),
        warning=spec.known.warning if spec.known is not None else None,
        pool_tokens=pool_tokens,
    )


def _model_class(kind: str) -> Any:
    import transformers

    return transformers.ColQwen2ForRetrieval if kind == "colqwen2" else transformers.ColPaliForRetrieval


def _wanted_size(image_processor: Any) -> int:
    """The shorter side that the processor will look at, in pixels."""
    size = dict(getattr(image_processor, "size", None) or {})
    side = size.get("height") or (math.sqrt(size["longest_edge"]) if size.get("longest_edge", 0) > 8192 else None)
    return min(MAX_SIZE, int(side or size.get("longest_edge") or MAX_SIZE))
