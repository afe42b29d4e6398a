"""An embedder of one's own that needs no model library, so that a process with it starts in a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

from mmrank.embed.base import Embedded, Fingerprint, MediaNeeds, Vectors
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
