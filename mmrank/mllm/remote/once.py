"""Pictures sent once: named by what they show, and left out where the server still has them.

vLLM keeps what its processor made of a picture under the ``uuid`` that came with it, and takes ``"image_url": null``
with the same uuid in later requests ("skip sending media", docs/features/multimodal_inputs.md of its repository). When
it has dropped the picture meanwhile the request fails, and is sent again whole.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from mmrank.mllm.prompt import ImagePart, Picture, Prompt
from mmrank.mllm.remote.wire import PictureStore, whole

MOST_SENT = 65_536
"""Names remembered, some 10 MB; a server with vLLM's default of 4 GiB keeps a tenth of that."""

MOST_MISSES = 3
"""Requests in a row that failed for a picture left out: the server does not keep them, or not long enough."""


class SentOnce:
    """Blocks for pictures; those that a request has brought to the server are left out of later ones. Thread-safe."""

    def __init__(self, store: PictureStore) -> None:
        self._store = store
        self._sent: OrderedDict[str, None] = OrderedDict()
        self._misses = 0
        self._lock = threading.Lock()

    def block(self, picture: Picture) -> dict[str, Any]:
        """The picture with its name, or its name alone. Raises `MediaError` when it is sent and its file has gone."""
        with self._lock:
            there = self._misses < MOST_MISSES and picture.key in self._sent
        shown = {"type": "image_url", "image_url": None} if there else whole(picture, self._store)
        return {**shown, "uuid": picture.key}

    def arrived(self, prompt: Prompt, *, left_out: bool) -> None:
        """A request with these pictures was answered."""
        with self._lock:
            for picture in _pictures(prompt):
                self._sent[picture.key] = None
                self._sent.move_to_end(picture.key)
            while len(self._sent) > MOST_SENT:
                self._sent.popitem(last=False)
            if left_out:
                self._misses = 0

    def missed(self, prompt: Prompt) -> None:
        """A request that left pictures out was refused: the next one shows them."""
        with self._lock:
            self._misses += 1
            for picture in _pictures(prompt):
                self._sent.pop(picture.key, None)


def leaves_out(body: dict[str, Any]) -> bool:
    """Whether a request names a picture without showing it."""
    contents = [turn["content"] for turn in body["messages"] if isinstance(turn["content"], list)]
    return any(block["type"] == "image_url" and block["image_url"] is None for blocks in contents for block in blocks)


def _pictures(prompt: Prompt) -> Iterable[Picture]:
    return (part.picture for turn in prompt.messages for part in turn.parts if isinstance(part, ImagePart))
