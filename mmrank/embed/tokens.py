"""Texts to token ids, whole: what does not fit the text tower becomes several rows, never a cut one."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from mmrank.embed.chunks import split_text
from mmrank.errors import EmbedderError, MediaError

TokenIds = npt.NDArray[np.int64]


class ChunkTokenizer:
    """open_clip's tokenizer of a model, with chunking in front of it.

    Thread-safe: Hugging Face's fast tokenizers must not be called by two threads at once with different
    padding, and open_clip's own holds the interpreter anyway, so one lock costs nothing.
    """

    def __init__(self, tokenizer: Any) -> None:
        from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

        if not isinstance(tokenizer, SimpleTokenizer | HFTokenizer):
            raise EmbedderError(
                f"The model's tokenizer is a {type(tokenizer).__name__}, which has no way to count tokens; "
                "models with open_clip's SimpleTokenizer or HFTokenizer can be used."
            )
        self._tokenizer = tokenizer
        self._simple = isinstance(tokenizer, SimpleTokenizer)
        self._lock = threading.Lock()
        self.context_length = int(tokenizer.context_length)
        self._empty_length = self._length("")

    def encode(self, text: str) -> TokenIds:
        """Token ids, int64, shape (chunks, context length); chunks are cut at sentence, then word borders.

        Raises `MediaError` for a text of which the tokenizer keeps nothing.
        """
        with self._lock:
            if self._length(text) <= self._empty_length:
                raise MediaError(f"The text {text[:40]!r} has no token the model knows; there is nothing to embed.")
            chunks = split_text(text, lambda piece: self._length(piece) <= self.context_length)
            chunks = [chunk for chunk in chunks if self._length(chunk) > self._empty_length]
            return np.asarray(self._tokenizer(chunks).numpy(), dtype=np.int64)

    def _length(self, text: str) -> int:
        """Positions the text takes, special tokens included, if nothing were cut."""
        tokenizer = self._tokenizer
        if self._simple:
            return len(tokenizer.encode(text)) + 2
        cleaned = tokenizer.clean_fn(text)
        if tokenizer.tokenizer_mode == "clips":  # open_clip adds begin, end and class tokens itself
            return len(tokenizer.tokenizer(cleaned, add_special_tokens=False, truncation=False).input_ids) + 3
        return len(tokenizer.tokenizer(cleaned, truncation=False, verbose=False).input_ids)
