"""CLIP-like two-tower models through open_clip: texts, images, pages and videos in one space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

from mmrank.devices import choose_device, choose_dtype
from mmrank.embed.base import Embedded, Fingerprint, MediaNeeds, Vectors
from mmrank.embed.batches import check_texts, checked_pictures, embedded_each, mean_texts, of_parts
from mmrank.embed.checkpoints import Checkpoint, find_checkpoint
from mmrank.embed.fingerprint import weights_hash
from mmrank.embed.preprocess import ImagePreprocess
from mmrank.embed.registry import Spec
from mmrank.embed.tokens import ChunkTokenizer, TokenIds
from mmrank.embed.towers import Towers
from mmrank.embed.vectors import unit_rows
from mmrank.errors import EmbedderError, MediaError
from mmrank.hub import quiet
from mmrank.media.load import Loaded
from mmrank.types import KINDS, Kind

FRAMES = 12
"""Frames per video, evenly spaced: what CLIP4Clip and the zero-shot MSR-VTT literature sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What `OpenClipEmbedder.prepare` gives: an item ready for the model.

    `pixels`: uint8, each (height, width, 3); one of an image or page, several of a video, none of a text.
    `tokens`: int64, (chunks, context length), or None where there is no text to embed.
    """

    id: str
    kind: Kind
    pixels: tuple[npt.NDArray[np.uint8], ...] = ()
    tokens: TokenIds | None = None


class OpenClipEmbedder:
    """An `Embedder` over an open_clip model.

    A video's vector is the renormalised mean of its frames' unit vectors; a text longer than the text tower's
    context (77 tokens for CLIP) is cut at sentence, then word borders and gets the renormalised mean of its
    chunks' unit vectors, each chunk counting the same. A page has its picture's vector and, with a text
    layer, that text's.
    """

    kinds: frozenset[Kind] = frozenset(KINDS)

    def __init__(
        self,
        towers: Towers,
        tokenizer: ChunkTokenizer,
        preprocess: ImagePreprocess,
        *,
        spec: str,
        fingerprint: Fingerprint,
        warning: str | None = None,
    ) -> None:
        self.spec = spec
        self.fingerprint = fingerprint
        self.dimension = fingerprint.dimension
        self.warning = warning
        self.needs = MediaNeeds(size=max(preprocess.size), frames=FRAMES)
        self._towers = towers
        self._tokenizer = tokenizer
        self._preprocess = preprocess

    def __repr__(self) -> str:
        return f"OpenClipEmbedder({self.spec!r}, dimension={self.dimension}, device={self._towers.device})"

    def prepare(self, loaded: Loaded) -> Prepared:
        """Resize and crop the pictures, chunk and tokenise the text. Thread-safe, no model involved.

        Raises `MediaError` for an item without the content its kind needs.
        """
        item = loaded.item
        text = loaded.text if loaded.text and loaded.text.strip() else None
        if item.kind == "text":
            if text is None:
                raise MediaError(f"The text of item {item.id!r} is empty; there is nothing to embed.")
            return Prepared(id=item.id, kind=item.kind, tokens=self._tokenizer.encode(text))
        pictures = loaded.frames if item.kind == "video" else (loaded.image,) if loaded.image is not None else ()
        if not pictures:
            missing = "frame" if item.kind == "video" else "picture"
            raise MediaError(f"The {item.kind} {item.id!r} was loaded without a {missing}; there is nothing to embed.")
        return Prepared(
            id=item.id,
            kind=item.kind,
            pixels=tuple(self._preprocess.pixels(picture) for picture in pictures),
            tokens=self._tokenizer.encode(text) if text is not None and item.kind == "page" else None,
        )

    def embed(self, prepared: Sequence[Prepared]) -> list[Embedded]:
        """Vectors for a batch, in order; all pictures of all items go through the model together, as do all texts.

        Memory is bounded by the towers' own batch sizes, whatever the number of frames. Raises `BatchError`
        when a vector is not finite: it names the items and carries the vectors of the others.
        """
        pixels = [array for one in prepared for array in one.pixels]
        tokens = [one.tokens for one in prepared if one.tokens is not None]
        pictures = iter(unit_rows(self._towers.images(pixels)))
        texts = iter(unit_rows(self._towers.texts(tokens)))

        def made(one: Prepared) -> Embedded:
            chunks = 0 if one.tokens is None else len(one.tokens)
            return of_parts(one.kind, [next(pictures) for _ in one.pixels], [next(texts) for _ in range(chunks)])

        return embedded_each(prepared, made)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts, float32, shape (n, dimension). Long texts are chunked, as in `embed`.

        Raises `UsageError` for an empty text, `EmbedderError` for a vector that is not finite; both name the text.
        """
        check_texts(texts)
        tokens = [self._tokenizer.encode(text) for text in texts]
        rows = iter(unit_rows(self._towers.texts(tokens)))
        return mean_texts(texts, [len(chunks) for chunks in tokens], rows, self.dimension)

    def embed_images(self, images: Sequence[Image]) -> Vectors:
        """Unit vectors of pictures, float32, shape (n, dimension).

        Raises `EmbedderError`, naming the picture's place, for a vector that is not finite.
        """
        return checked_pictures(unit_rows(self._towers.images([self._preprocess.pixels(image) for image in images])))


def load(spec: Spec, *, device: str | None = None, precision: str | None = None) -> OpenClipEmbedder:
    """Load the model a spec names; `mmrank.load_embedder` is the way in.

    Weights are loaded as float32 on the CPU whatever they are stored as, hashed, then moved and cast.
    """
    chosen = choose_device(device)
    dtype = choose_dtype(precision, chosen)
    checkpoint = find_checkpoint(spec)
    model, tokenizer, config = _create(checkpoint, spec)
    preprocess = ImagePreprocess.from_open_clip(model.visual.preprocess_cfg)
    fingerprint = Fingerprint(
        weights=weights_hash(model.state_dict(), _shapeless_settings(config, checkpoint)),
        preprocessing=f"open_clip {preprocess.canonical}",
        dimension=int(config["embed_dim"]),
    )
    towers = Towers(model, preprocess, dimension=fingerprint.dimension, device=chosen, dtype=dtype)
    return OpenClipEmbedder(
        towers,
        tokenizer,
        preprocess,
        spec=spec.text,
        fingerprint=fingerprint,
        warning=spec.known.warning if spec.known is not None else None,
    )


def _create(checkpoint: Checkpoint, spec: Spec) -> tuple[Any, ChunkTokenizer, dict[str, Any]]:
    """The model in float32 on the CPU, its tokenizer and its configuration; never random weights."""
    import open_clip

    try:
        with quiet():
            model = open_clip.create_model(
                checkpoint.model,
                pretrained=str(checkpoint.weights) if checkpoint.weights is not None else None,
                precision="fp32",
                device="cpu",
                require_pretrained=True,
                force_quick_gelu=checkpoint.quick_gelu,
                force_preprocess_cfg=dict(checkpoint.preprocess) or None,
            )
            tokenizer = open_clip.get_tokenizer(checkpoint.model)
            config = open_clip.get_model_config(checkpoint.model)
    except ImportError as error:
        raise EmbedderError(f"{spec.text} needs the library {error.name}: pip install {error.name}") from error
    except Exception as error:
        # open_clip, torch and the file readers raise RuntimeError, ValueError, OSError, KeyError, UnpicklingError
        # and more for weights that are truncated or do not fit; to the caller all of them mean the same.
        where = checkpoint.weights or checkpoint.model.removeprefix("local-dir:")
        raise EmbedderError(f"{spec.text} cannot be loaded from {where}: {error}") from error
    return model, ChunkTokenizer(tokenizer), config


def _shapeless_settings(config: dict[str, Any], checkpoint: Checkpoint) -> dict[str, Any]:
    """The settings that change vectors and leave no trace in the weights' names and shapes, defaults filled in."""
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    vision, text = CLIPVisionCfg(**config["vision_cfg"]), CLIPTextCfg(**config["text_cfg"])
    return {
        "quick_gelu": bool(config.get("quick_gelu")) or checkpoint.quick_gelu,
        "vision": [vision.head_width, vision.pool_type, vision.timm_pool, vision.final_ln_after_pool],
        "text": [text.heads, text.pool_type, text.no_causal_mask, text.final_ln_after_pool],
    }
