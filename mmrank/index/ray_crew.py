"""The stages of a build on Ray workers: hashes, and batches with their vectors, in the order of the items."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from functools import partial
from itertools import chain

from mmrank.embed.base import Embedder
from mmrank.index.ahead import batched, bounded_map
from mmrank.index.embedding import embed_batch
from mmrank.index.hand import Failed, hashes_of
from mmrank.index.known import Known
from mmrank.index.ray_hands import Hands
from mmrank.index.report import Tally
from mmrank.index.work import Content, Digested, Taken, Unread, Work, hashed, look, prepare_work, recognise
from mmrank.index.workers import FIRST_BATCH, pool, taken_weight, work_weight
from mmrank.media.remote import allowed
from mmrank.types import Item

CALLS_EACH = 2
"""Batches a worker has at a time: one under the model, one being decoded."""

HASHING = 64
"""Calls for hashes under way: threads that wait, so that many workers are kept busy by files far away."""

LITTLE = 32
"""Items that are done by the process that builds: no cluster is started for what one photograph of last night takes,
or for the five broken files that every run tries again."""

HASHED_TOGETHER = 32
"""Items of one call for hashes: a call takes about a millisecond, as long as hashing a few photographs."""


class RayCrew:
    """Work handed to Ray workers; `hands` gives them, and starts them when it is asked first."""

    def __init__(self, embedder: Embedder, hands: Callable[[], Hands], hashing: Executor) -> None:
        self._embedder = embedder
        self._hands = hands
        self._hashing = hashing
        self._hashed_here = 0
        self._lock = threading.Lock()

    def digested(self, taken: Iterable[Taken], known: Known) -> Iterator[Digested]:
        chunks = batched(taken, HASHED_TOGETHER, first=FIRST_BATCH, weigh=taken_weight)
        for chunk in bounded_map(self._hashing, partial(self._digest, known=known), chunks, ahead=2 * HASHING):
            yield from chunk

    def embedded(
        self, works: Iterable[Work], tally: Tally, *, batch_size: int, thumbnails: bool
    ) -> Iterator[list[Work]]:
        batches = batched(works, batch_size, first=FIRST_BATCH, weigh=partial(work_weight, embedder=self._embedder))
        tally.enter("decoding")
        begun, little = self._begun(batches)
        if little:
            for batch in begun:
                ready = [prepare_work(work, self._embedder, thumbnails=thumbnails) for work in batch]
                embed_batch(self._embedder, ready)
                yield ready
            return
        hands = self._hands()
        embed = partial(_embedded, hands=hands, thumbnails=thumbnails)
        calls = CALLS_EACH * len(hands)
        tally.enter("embedding")
        with pool(calls, "embed") as embedding:
            for batch in bounded_map(embedding, embed, chain(begun, batches), ahead=calls + 1, first=calls + 1):
                yield batch
                tally.enter("embedding")

    def _begun(self, batches: Iterator[list[Work]]) -> tuple[list[list[Work]], bool]:
        """The first batches, and whether they are all there is, and little."""
        begun: list[list[Work]] = []
        while sum(map(len, begun)) <= LITTLE:
            batch = next(batches, None)
            if batch is None:
                return begun, True
            begun.append(batch)
        return begun, False

    def _digest(self, chunk: list[Taken], known: Known) -> list[Digested]:
        """What stamps tell is told here; only what must be read goes to a worker."""
        seen = [recognise(one, self._embedder, known) or look(one, self._embedder, known) for one in chunk]
        unread = [one.item for one in seen if isinstance(one, Unread)]
        found = iter(self._hashes(unread) if unread else ())
        return [_with_hash(one, next(found), known) if isinstance(one, Unread) else one for one in seen]

    def _hashes(self, unread: list[Item]) -> list[str | Failed]:
        with self._lock:
            self._hashed_here += len(unread)
            little = self._hashed_here <= LITTLE
        if little:
            return hashes_of(unread, self._embedder)
        return self._hands().each("hashes", unread, Failed, allowed())


def _embedded(batch: list[Work], hands: Hands, *, thumbnails: bool) -> list[Work]:
    """A batch whose contents a worker has made."""
    leaders = [work for work in batch if work.leads]
    parts = [(work.item, work.content.digest) for work in leaders]
    made = hands.each("embed", parts, _not_made, allowed(), thumbnails=thumbnails) if parts else []
    for work, content in zip(leaders, made, strict=True):
        work.finish(content)
    return batch


def _with_hash(one: Unread, found: str | Failed, known: Known) -> Digested:
    return Digested(one.item, None, error=found.why) if isinstance(found, Failed) else hashed(one, found, known)


def _not_made(why: str) -> Content:
    return Content(digest="", error=why)
