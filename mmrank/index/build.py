"""Putting items into an index: a bounded pipeline that can be killed anywhere and run again.

::

    items -> look, digest (workers) -> plan -> decode and prepare (workers) -> embed -> write (one thread)

The model runs in the calling thread; everything else goes on beside it. What is in memory is bounded by batch size
and the lengths of queues, whatever the number of items. The row in `items` is the commit point: side tables are
written before it, and an item whose row is there and says the same is left alone. So the same command, run again
after a kill, does what is missing and nothing else.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mmrank.embed.base import Embedder
from mmrank.errors import UsageError
from mmrank.index.ahead import batched
from mmrank.index.known import Known
from mmrank.index.memory import system_allocator
from mmrank.index.plan import Planner
from mmrank.index.report import AddReport, IncompleteBuildError, ProgressCallback, Tally, Upkeep, name_of
from mmrank.index.snapshot import EXACT_BYTES
from mmrank.index.stamps import keep_columns
from mmrank.index.store import Store
from mmrank.index.work import Digested, Taken, Work, digest_item, weight
from mmrank.index.workers import Threads, Workers
from mmrank.index.writer import Writer
from mmrank.media.load import forget_digests
from mmrank.media.uri import is_remote, path_uri
from mmrank.types import Item

log = logging.getLogger("mmrank.index.build")

BATCH_SIZE = 64
"""Images of one model call: beyond this a CPU gains nothing, and a GPU little for the sizes of CLIP."""

LOOK_UP = 512
"""Items looked up in the table at once. A look-up takes 10 to 50 ms however many it is for (100,000 rows, no id
index yet), so that small chunks would cost more than a fast GPU's embedding."""

FIRST_LOOK_UP = 16
"""Of the first chunk, doubled for each further one."""


def add(
    store: Store,
    embedder: Embedder,
    items: Iterable[Item],
    *,
    batch_size: int = BATCH_SIZE,
    workers: int | Workers | None = None,
    progress: ProgressCallback | None = None,
    thumbnails: bool = True,
    strict: bool = False,
    verify: bool = False,
    exact_bytes: int = EXACT_BYTES,
) -> AddReport:
    """Put items in by id: new ones are embedded, changed ones again, the rest is left alone.

    Unchanged means same content (bytes, page or span, text) under the same id, and the same caption, uri, parent and
    metadata; when only those differ the row is written again with the vectors it has. A local file of the size and
    time that it had when its row was written is not opened, but taken to be the same (`mmrank.index.stamps`); with
    `verify` it is hashed. Equal content is embedded once, however many items have it. An item that fails is on the
    report and in the `failures` table with its cause, and the rest goes on. Items are counted as they come; of several
    with one id the last is kept.

    `batch_size`: images per model call (a video counts as its frames). `workers`: decoding threads of this process, one
    less than the CPUs by default; or other `Workers`, such as `mmrank.RayWorkers`. `progress`: called with a `Progress`
    at every step, from this thread. `thumbnails`: keep a small JPEG of whatever has a picture. `exact_bytes`: beyond
    this size of the matrix of all vectors an approximate index is built. On Ctrl-C what is embedded is written before
    it is raised again.

    Raises `UsageError` for wrong options, `IndexStoreError` when the embedder is not the index's or the index
    cannot be written; with `strict`, `IncompleteBuildError` at the end when an item failed.

    >>> report = add(store, embedder, mmrank.scan("~/Pictures"))  # doctest: +SKIP
    >>> report.added, [why for uri, why in report.failed]  # doctest: +SKIP
    (1204, ['broken.jpg is empty (0 bytes).'])
    """
    _check(items, batch_size, workers)
    store.manifest.check(embedder, store.uri)
    store.keep_tokens(embedder)
    store.refresh()
    keep_columns(store.items)
    forget_digests()
    tally = Tally(progress, len(items) if isinstance(items, Sized) else None)
    if embedder.warning:
        tally.warn(embedder.spec, embedder.warning)
    crew_of = workers if isinstance(workers, Workers) else Threads(workers)
    with system_allocator(), _closing(Writer(store, tally)) as writer, crew_of.started(embedder) as crew:
        known = Known.of(store, verify=verify)
        nothing = Known(known.schema)
        planner = Planner(
            store, tally, writer, known, lambda one: digest_item(Taken(one.item, one.source), embedder, nothing)
        )
        works = _planned(crew.digested(_taken(items), known), planner, writer)
        for batch in crew.embedded(works, tally, batch_size=batch_size, thumbnails=thumbnails):
            _put(batch, tally, writer)
        for uri, why in getattr(items, "failures", ()):  # a Scan's own: files that gave no item
            writer.fail(uri, why)
    for uri, what in getattr(items, "warnings", ()):  # of files that gave their items all the same
        tally.warn(uri, what)
    log.info("indexing")
    tally.enter("indexing")
    from mmrank.index.upkeep import after_build

    done = Upkeep()
    recall = after_build(store, embedder, changed=sum(tally.written), exact_bytes=exact_bytes, done=done)
    report = tally.report(recall, done)
    if strict and report.failed:
        raise IncompleteBuildError(report)
    return report


def _planned(digested: Iterator[Digested], planner: Planner, writer: Writer) -> Iterator[Work]:
    for chunk in batched(digested, LOOK_UP, first=FIRST_LOOK_UP, weigh=lambda one: weight(one.item, frames=1)):
        yield from planner.plan(chunk)
        writer.flush_when_due()


def _put(batch: list[Work], tally: Tally, writer: Writer) -> None:
    for work in batch:
        name, content = name_of(work.item), work.content
        if content.error is not None:
            followed = "" if work.leads else "it has the content of another item, which failed: "
            writer.fail(name, followed + content.error)
        else:
            writer.put(work)
            for what in content.warnings:
                tally.warn(name, what)
    tally.finish(len(batch))
    writer.flush_when_due()


@contextmanager
def _closing(writer: Writer) -> Iterator[Writer]:
    """Write what is embedded whatever ends the build, Ctrl-C included."""
    try:
        yield writer
    finally:
        writer.close()


def _check(items: Iterable[Item], batch_size: int, workers: int | Workers | None) -> None:
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}; it must be at least 1.")
    if isinstance(workers, int) and workers < 1:
        raise UsageError(f"workers is {workers}; it must be at least 1, or None.")
    if isinstance(items, str | bytes | os.PathLike | Item):
        raise UsageError(f"add takes Items, and got {items!r}. For files: index.add(mmrank.scan(path)).")


def _taken(items: Iterable[Item]) -> Iterator[Taken]:
    """Items one by one, with the table or archive that a Scan is reading at that moment."""
    for item in items:
        source = getattr(items, "source", None)
        yield Taken(_checked(item), source if source is None or is_remote(source) else path_uri(source))


def _checked(item: Item) -> Item:
    if not isinstance(item, Item):
        raise UsageError(f"add takes Items, and one of them is {item!r}. For files: index.add(mmrank.scan(path)).")
    if item.uri is None and isinstance(item.image, str | Path):
        # A picture given by its place is found there again: its row must say where.
        return replace(item, uri=path_uri(os.path.abspath(item.image)), image=None)  # noqa: PTH100 - names of bytes
    return item
