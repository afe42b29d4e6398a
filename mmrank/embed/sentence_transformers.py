"""Any sentence-transformers model as an embedder: texts, and pictures where the model takes them (Reimers & Gurevych,
EMNLP 2019; https://sbert.net)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from mmrank.devices import choose_device, choose_dtype
from mmrank.embed.base import Embedded, Fingerprint, MediaNeeds, Vectors
from mmrank.embed.batches import check_texts, checked_pictures, embedded_each, mean_texts, of_parts
from mmrank.embed.chunks import split_text
from mmrank.embed.fingerprint import weights_hash
from mmrank.embed.registry import Spec
from mmrank.embed.vectors import unit_rows
from mmrank.errors import EmbedderError, MediaError, MissingDependencyError, UsageError
from mmrank.hub import first_line, quiet, quiet_transformers, why_offline
from mmrank.media.load import Loaded
from mmrank.types import Kind

FRAMES = 12
SIZE = 448
"""The shorter side asked of decoders, in pixels; the model's own processor resizes what it is given."""

BATCH_CPU = 16
BATCH_GPU = 256

Side = Literal["query", "document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What `SentenceTransformerEmbedder.prepare` gives. `chunks`: of the text, several where it was cut."""

    id: str
    kind: Kind
    pictures: tuple[Image.Image, ...] = field(default=(), repr=False)
    chunks: tuple[str, ...] = ()


class SentenceTransformerEmbedder:
    """An `Embedder` over a sentence-transformers model.

    Items go through the model's document side and queries through its query side, each with the prompt the model names
    for it, if any (``prompts`` in its configuration). A text longer than the model's ``max_seq_length`` is cut at
    sentence, then word borders, and gets the renormalised mean of its chunks' unit vectors; a video gets that of its
    frames'. A model of texts alone embeds Items of kind text; one that takes pictures all four kinds.

    `model`: a SentenceTransformer in eval mode on its device.
    """

    def __init__(self, model: Any, *, spec: str, fingerprint: Fingerprint, warning: str | None = None) -> None:
        self.spec = spec
        self.fingerprint = fingerprint
        self.dimension = fingerprint.dimension
        self.warning = warning
        self.needs = MediaNeeds(size=SIZE, frames=FRAMES)
        sees = bool(model.supports("image"))
        self.kinds: frozenset[Kind] = frozenset({"text", "image", "page", "video"} if sees else {"text"})
        self._model = model
        self._batch = BATCH_CPU if model.device.type == "cpu" else BATCH_GPU
        self._lock = threading.Lock()  # fast tokenizers must not be called by two threads with different padding

    def __repr__(self) -> str:
        return f"SentenceTransformerEmbedder({self.spec!r}, dimension={self.dimension}, device={self._model.device})"

    def prepare(self, loaded: Loaded) -> Prepared:
        """Cut the text into what the model reads at once, take the pictures. Thread-safe, no model involved.

        Raises `MediaError` for an item without the content its kind needs, or of a kind the model does not take.
        """
        item = loaded.item
        if item.kind not in self.kinds:
            raise MediaError(f"{self.spec} embeds texts alone; item {item.id!r} is of kind {item.kind}.")
        text = loaded.text if loaded.text and loaded.text.strip() else None
        if item.kind == "text":
            if text is None:
                raise MediaError(f"The text of item {item.id!r} is empty; there is nothing to embed.")
            return Prepared(id=item.id, kind="text", chunks=self._chunks(text, "document"))
        pictures = loaded.frames if item.kind == "video" else (loaded.image,) if loaded.image is not None else ()
        if not pictures:
            missing = "frame" if item.kind == "video" else "picture"
            raise MediaError(f"The {item.kind} {item.id!r} was loaded without a {missing}; there is nothing to embed.")
        chunks = self._chunks(text, "document") if text is not None and item.kind == "page" else ()
        return Prepared(id=item.id, kind=item.kind, pictures=tuple(pictures), chunks=chunks)

    def embed(self, prepared: Sequence[Prepared]) -> list[Embedded]:
        """Vectors for a batch, in order.

        Raises `BatchError` when a vector is not finite: it names the items and carries the vectors of the others.
        """
        pictures = iter(self._encode([picture for one in prepared for picture in one.pictures], "document"))
        chunks = iter(self._encode([chunk for one in prepared for chunk in one.chunks], "document"))

        def made(one: Prepared) -> Embedded:
            return of_parts(one.kind, [next(pictures) for _ in one.pictures], [next(chunks) for _ in one.chunks])

        return embedded_each(prepared, made)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of query texts, float32, shape (n, dimension). Long texts are chunked, as in `embed`.

        Raises `UsageError` for an empty text, `EmbedderError` for a vector that is not finite; both name the text.
        """
        check_texts(texts)
        chunks = [self._chunks(text, "query") for text in texts]
        rows = iter(self._encode([chunk for own in chunks for chunk in own], "query"))
        return mean_texts(texts, [len(own) for own in chunks], rows, self.dimension)

    def embed_images(self, images: Sequence[Image.Image]) -> Vectors:
        """Unit vectors of query pictures, float32, shape (n, dimension).

        Raises `UsageError` for a model of texts alone, `EmbedderError`, naming the picture's place, for a vector that
        is not finite.
        """
        if "image" not in self.kinds:
            raise UsageError(f"{self.spec} embeds texts alone; it cannot search by a picture.")
        return checked_pictures(self._encode(list(images), "query"))

    def _chunks(self, text: str, side: Side) -> tuple[str, ...]:
        limit = self._model.max_seq_length
        tokenizer = getattr(self._model.tokenizer, "tokenizer", self._model.tokenizer)  # a processor holds its own
        if limit is None or not callable(tokenizer):  # static embeddings have no limit
            return (text,)
        prompt = (getattr(self._model, "prompts", None) or {}).get(side) or ""

        def fits(piece: str) -> bool:
            with self._lock:
                return bool(len(tokenizer(prompt + piece, verbose=False).input_ids) <= limit)

        return (text,) if fits(text) else tuple(split_text(text, fits))

    def _encode(self, inputs: Sequence[Any], side: Side) -> npt.NDArray[np.float32]:
        """Unit vectors, float32 (n, dimension); NaN where the model gave none."""
        if not inputs:
            return np.empty((0, self.dimension), np.float32)
        encode = self._model.encode_query if side == "query" else self._model.encode_document
        with self._lock:
            rows = encode(
                list(inputs),
                batch_size=self._batch,
                show_progress_bar=False,
                convert_to_tensor=True,
                truncate_dim=self.dimension,
            )
        return unit_rows(rows.float().cpu().numpy())


def load(spec: Spec, *, device: str | None = None, precision: str | None = None) -> SentenceTransformerEmbedder:
    """Load the model a spec names; `mmrank.load_embedder` is the way in.

    Option of the spec: ``dimension``, the first so many numbers of the vector, for models trained to be cut
    (Matryoshka). Raises `MissingDependencyError` without sentence-transformers, `EmbedderError` when the weights cannot
    be had.
    """
    chosen = choose_device(device)
    dtype = choose_dtype(precision, chosen)
    model = _model(spec)
    full = int(model.get_embedding_dimension())
    written = dict(spec.options).get("dimension", str(full))
    if not written.isdecimal() or not 1 <= int(written) <= full:
        raise UsageError(f"dimension is {written!r}; it must be a whole number from 1 to {full}, all of the vector.")
    prompts = {side: text for side, text in (model.prompts or {}).items() if side == "document" and text}
    fingerprint = Fingerprint(
        weights=weights_hash(model.state_dict(), {"modules": repr(model)}),
        preprocessing=f"sentence_transformers 1: {model.max_seq_length} tokens, {FRAMES} frames, prompts {prompts}",
        dimension=int(written),
    )
    return SentenceTransformerEmbedder(
        model.to(device=chosen, dtype=dtype).eval(),
        spec=spec.text,
        fingerprint=fingerprint,
        warning=spec.known.warning if spec.known is not None else None,
    )


def _model(spec: Spec) -> Any:
    """The model on the CPU as it is stored; the local cache first, then the hub."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingDependencyError("sentence-transformers", "sbert", "an embedder of the scheme sbert") from error
    if spec.folder is not None and not (spec.folder / "modules.json").is_file():
        raise EmbedderError(
            f"The folder {spec.folder} has no modules.json. A sentence-transformers model is a folder as "
            "`hf download ORG/NAME --local-dir FOLDER` or SentenceTransformer.save makes it."
        )

    def loaded(*, local: bool) -> Any:
        with quiet_transformers(), quiet("sentence_transformers", "huggingface_hub"):
            return SentenceTransformer(
                str(spec.folder or spec.name),
                device="cpu",
                revision=spec.revision,
                local_files_only=local,
                model_kwargs={"use_safetensors": True},
            )

    advice = (
        f"On a machine with a connection run `hf download {spec.name} --local-dir FOLDER`, bring the folder here and "
        "name it as sbert:/path/to/FOLDER."
    )
    try:
        return loaded(local=True)
    # A model from a stranger: the library and transformers raise whatever their many loaders meet.
    except Exception as error:
        if spec.folder is not None:
            raise EmbedderError(f"sentence-transformers cannot load {spec.folder}: {first_line(error)}") from error
        if (offline := why_offline()) is not None:
            raise EmbedderError(f"{offline} {advice}") from error
    try:
        return loaded(local=False)
    except Exception as error:  # as above
        raise EmbedderError(f"{spec.text} cannot be loaded: {first_line(error)} {advice}") from error
