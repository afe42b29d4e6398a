"""What a worker in another process does for a build: it has a model of its own, and hands back vectors.

Nothing here knows how it is called from elsewhere; `mmrank.index.ray_workers` makes Ray actors of it.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from mmrank.embed.base import Embedder
from mmrank.index.embedding import embed_batch
from mmrank.index.memory import give_back
from mmrank.index.work import Content, Work, content_hash, explain, prepare_work
from mmrank.media.remote import allow_remote
from mmrank.types import Item

MakeEmbedder: TypeAlias = Callable[[], Embedder]
"""Loads the model where it is called. It travels to the worker, which must be able to import what it names."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Why an item has no hash."""

    why: str


class Hand:
    """One worker: hashes content, decodes it with a few threads, and embeds it with its own model.

    May be called from several threads: the model takes one batch at a time, while the next is decoded.
    `home`: the computer the build runs on, so that what fails elsewhere says where.
    """

    def __init__(self, make: MakeEmbedder, *, decoding: int, home: str) -> None:
        self._embedder = make()
        self._decoding = ThreadPoolExecutor(decoding, thread_name_prefix="mmrank-decode")
        self._model = threading.Lock()
        self._elsewhere = "" if platform.node() == home else f" (on {platform.node()})"

    def introduce(self) -> tuple[str, str, object]:
        """Computer and process, spec and fingerprint of the model: it must be the index's own."""
        return f"{platform.node()}, process {os.getpid()}", self._embedder.spec, self._embedder.fingerprint

    def hashes(self, items: Sequence[Item], allowed: frozenset[str]) -> list[str | Failed]:
        """The content hash of every item, or why it has none. `allowed`: addresses that may be fetched."""
        allow_remote(*allowed)
        return hashes_of(items, self._embedder, self._elsewhere)

    def embed(self, parts: Sequence[tuple[Item, str]], allowed: frozenset[str], *, thumbnails: bool) -> list[Content]:
        """Contents, given as an item and its hash, with their vectors or the reason why there are none."""
        allow_remote(*allowed)
        works = [Work(item=item, content=Content(digest=digest), leads=True) for item, digest in parts]
        prepare = partial(prepare_work, embedder=self._embedder, thumbnails=thumbnails)
        works = list(self._decoding.map(prepare, works))
        with self._model:
            embed_batch(self._embedder, works)
        give_back()
        for work in works:
            if work.content.error is not None:
                work.content.error += self._elsewhere
        return [work.content for work in works]


def hashes_of(items: Sequence[Item], embedder: Embedder, where: str = "") -> list[str | Failed]:
    """The content hash of every item, or why it has none, with `where` that was found."""
    return [_hash(item, embedder, where) for item in items]


def _hash(item: Item, embedder: Embedder, where: str) -> str | Failed:
    try:
        return content_hash(item, embedder)
    except Exception as error:  # noqa: BLE001 - what a stranger's file sets off must not end the worker
        return Failed(explain(error) + where)
