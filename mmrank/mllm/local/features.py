"""What the vision tower made of a picture, kept so that no picture passes the tower twice."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from mmrank.mllm.local.feature_files import FeatureFolder
    from mmrank.mllm.prompt import Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """One picture as the language model reads it.

    `levels`: (1 + deepstack levels, tokens, width) in the model's own dtype; level 0 is what stands at the picture's
    tokens, the others are what Qwen3-VL adds to its first layers there (DeepStack, arXiv 2406.04334; none for other
    families). `grid`: patches of the picture (1, high, wide), before they are merged into tokens.
    """

    levels: torch.Tensor
    grid: tuple[int, int, int]

    @property
    def bytes(self) -> int:
        """Memory the levels take."""
        return self.levels.numel() * self.levels.element_size()

    @property
    def tokens(self) -> int:
        """Places the picture takes in a prompt."""
        return int(self.levels.shape[1])


def feature_key(picture: Picture) -> str:
    """Names the pixels that went into the tower.

    >>> from mmrank.mllm.prompt import Picture
    >>> feature_key(Picture(key="a1", width=64, height=32, open=lambda: None))
    'a1:64x32'
    """
    return f"{picture.key}:{picture.width}x{picture.height}"


class FeatureCache:
    """Features by `feature_key`: in memory up to `capacity` bytes, least recently used dropped first; then in `folder`.

    Kept on the CPU, whatever the model runs on. Thread-safe.

    >>> FeatureCache(capacity=0).get("a1:64x32") is None
    True
    """

    def __init__(self, capacity: int, folder: FeatureFolder | None = None) -> None:
        self.capacity, self.folder = capacity, folder
        self._kept: OrderedDict[str, Features] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """What the features in memory take; never more than `capacity`."""
        return self._bytes

    def get(self, key: str) -> Features | None:
        """The features under `key`, from memory or from the folder; None when they have to be computed."""
        with self._lock:
            if (features := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return features
        if self.folder is None or (features := self.folder.get(key)) is None:
            return None
        self._keep(key, features)
        return features

    def put(self, key: str, features: Features) -> None:
        """Keep features, here and in the folder. What is larger than the whole memory is not kept in memory."""
        self._keep(key, features)
        if self.folder is not None:
            self.folder.put(key, features)

    def _keep(self, key: str, features: Features) -> None:
        with self._lock:
            if key in self._kept:
                self._bytes -= self._kept.pop(key).bytes
            if features.bytes > self.capacity:
                return
            self._kept[key] = features
            self._bytes += features.bytes
            while self._bytes > self.capacity:
                self._bytes -= self._kept.popitem(last=False)[1].bytes
