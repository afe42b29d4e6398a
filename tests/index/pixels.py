"""An embedder of one's own that needs no model library, so that a process with it starts in a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

from mmrank.embed.base import Embedded, Fingerprint, MediaNeeds, Vectors
from mmrank.embed.late_base import TokensEmbedded
from mmrank.errors import UsageError
from mmrank.media.load import Loaded
from mmrank.types import Kind

SIDE = 8


class PixelEmbedder:
    """A picture's vector is its 8 x 8 thumbnail, projected to 32 dimensions: near-duplicates lie close together."""

    spec = "pixels"
    dimension = 32
    fingerprint = Fingerprint(weights="seed 0", preprocessing=f"{SIDE} x {SIDE}", dimension=dimension)
    kinds: frozenset[Kind] = frozenset({"image"})
    needs = MediaNeeds(size=SIDE, frames=1)
    warning = None

    def __init__(self) -> None:
        self._projection = np.random.default_rng(0).standard_normal((SIDE * SIDE * 3, self.dimension))

    def prepare(self, loaded: Loaded) -> npt.NDArray[np.float64]:
        assert loaded.image is not None
        return np.asarray(loaded.image.resize((SIDE, SIDE)), np.float64).ravel() - 128

    def embed(self, prepared: Sequence[Any]) -> list[Embedded]:
        return [Embedded(vector=vector) for vector in self._unit(np.stack(list(prepared)))]

    def embed_images(self, images: Sequence[Image]) -> Vectors:
        return self._unit(np.stack([np.asarray(i.resize((SIDE, SIDE)), np.float64).ravel() - 128 for i in images]))

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        raise UsageError("pixels embeds no texts.")

    def _unit(self, pixels: npt.NDArray[np.float64]) -> Vectors:
        projected = pixels @ self._projection
        return (projected / np.linalg.norm(projected, axis=1, keepdims=True)).astype(np.float32)


class PixelTokenEmbedder(PixelEmbedder):
    """Token vectors besides: one for each row of the thumbnail, brightest rows only, so that their number varies."""

    spec = "pixel-tokens"
    fingerprint = Fingerprint(weights="seed 0", preprocessing=f"{SIDE} rows", dimension=PixelEmbedder.dimension)

    def embed(self, prepared: Sequence[Any]) -> list[Embedded]:
        return [
            TokensEmbedded(vector=one.vector, token_vectors=self._rows(pixels)) for one, pixels in self._both(prepared)
        ]

    def query_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        return [self._unit(self._painted(text)) for text in texts]

    def _both(self, prepared: Sequence[Any]) -> list[tuple[Embedded, npt.NDArray[np.float64]]]:
        return list(zip(super().embed(prepared), prepared, strict=True))

    def _rows(self, pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float16]:
        rows = np.zeros((SIDE, SIDE * SIDE * 3))
        for number, row in enumerate(pixels.reshape(SIDE, -1)):
            rows[number, number * SIDE * 3 : (number + 1) * SIDE * 3] = row
        bright = pixels.reshape(SIDE, -1).mean(axis=1)
        return self._unit(rows[bright >= np.median(bright)]).astype(np.float16)

    def _painted(self, text: str) -> npt.NDArray[np.float64]:
        """Pixels drawn from a text's letters."""
        return np.random.default_rng(list(text.encode())).standard_normal((4, SIDE * SIDE * 3))
