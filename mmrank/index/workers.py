"""Who does the work of a build: hashes files, decodes them and runs the model. Here, threads of this process.

A build plans and writes in one process, whoever works for it; so every kind of worker gives the same rows, in the same
order, and can be killed and run again in the same way. `mmrank.index.ray_workers` has those of a Ray cluster.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Protocol, runtime_checkable

from mmrank.embed.base import Embedder
from mmrank.index.ahead import batched, bounded_map
from mmrank.index.embedding import embed_batch
from mmrank.index.known import Known
from mmrank.index.report import Tally
from mmrank.index.work import Digested, Taken, Work, digest_item, prepare_work, recognise, weight

log = logging.getLogger("mmrank.index.build")

LOOK_AHEAD = 512
"""Items that may be hashed and not yet planned."""

FIRST_BATCH = 8
"""Images of the first batch, doubled for each further one: the model waits for eight decoded images, not for 64."""

BATCHES_AHEAD = 2
"""Decoded batches that may wait for the model: one is not enough when decoding times vary."""

MOST_WORKERS = 16
"""More decoding threads than this wait for each other in Python, and feed any one GPU."""


class Crew(Protocol):
    """Workers that have begun. What they give comes in the order of what they were given."""

    def digested(self, taken: Iterable[Taken], known: Known) -> Iterator[Digested]:
        """Every item with the hash of its content, or why it has none."""
        ...

    def embedded(
        self, works: Iterable[Work], tally: Tally, *, batch_size: int, thumbnails: bool
    ) -> Iterator[list[Work]]:
        """Batches of work whose contents have their vectors, or the reason why not."""
        ...


@runtime_checkable
class Workers(Protocol):
    """A kind of workers; what `mmrank.index.build.add` is given as ``workers``."""

    def started(self, embedder: Embedder) -> AbstractContextManager[Crew]:
        """The crew, until the block ends; what it was at is finished then, and nothing more begun."""
        ...


class Threads:
    """Threads of this process that hash and decode; the model runs in the thread that asks for its results.

    `decoding`: how many; one less than the CPUs by default.
    """

    def __init__(self, decoding: int | None = None) -> None:
        self._count = decoding or default_workers()

    @contextmanager
    def started(self, embedder: Embedder) -> Iterator[Crew]:
        with pool(self._count, "digest") as digesting, pool(self._count, "decode") as decoding:
            yield _ThreadCrew(embedder, digesting, decoding)


class _ThreadCrew:
    def __init__(self, embedder: Embedder, digesting: ThreadPoolExecutor, decoding: ThreadPoolExecutor) -> None:
        self._embedder = embedder
        self._digesting = digesting
        self._decoding = decoding

    def digested(self, taken: Iterable[Taken], known: Known) -> Iterator[Digested]:
        return bounded_map(
            self._digesting,
            partial(digest_item, embedder=self._embedder, known=known),
            taken,
            ahead=LOOK_AHEAD,
            weigh=taken_weight,
            glance=partial(recognise, embedder=self._embedder, known=known),
        )

    def embedded(
        self, works: Iterable[Work], tally: Tally, *, batch_size: int, thumbnails: bool
    ) -> Iterator[list[Work]]:
        weigh = partial(work_weight, embedder=self._embedder)
        ready = bounded_map(
            self._decoding,
            partial(prepare_work, embedder=self._embedder, thumbnails=thumbnails),
            works,
            ahead=BATCHES_AHEAD * batch_size,
            weigh=weigh,
        )
        batches = batched(ready, batch_size, first=FIRST_BATCH, weigh=weigh)
        number = 0
        while True:
            number += 1
            log.debug("decoding batch %d", number)
            tally.enter("decoding")
            batch = next(batches, None)
            if batch is None:
                return
            log.debug("embedding batch %d: %d items", number, len(batch))
            tally.enter("embedding")
            embed_batch(self._embedder, batch)
            yield batch


def default_workers() -> int:
    """Decoding threads: the CPUs this process may use but one, which drives the model."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(cpus - 1, 1), MOST_WORKERS)


def taken_weight(taken: Taken) -> int:
    """What an item counts in a queue where nothing is decoded."""
    return weight(taken.item, frames=1)


def work_weight(work: Work, embedder: Embedder) -> int:
    """What work counts in a queue or batch, in images: nothing to be decoded is one."""
    return weight(work.item, embedder.needs.frames) if work.leads else 1


@contextmanager
def pool(count: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Threads that finish what they are at, and nothing more, when the build ends early."""
    pool = ThreadPoolExecutor(count, thread_name_prefix=f"mmrank-{name}")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
