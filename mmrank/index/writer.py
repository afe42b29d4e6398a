"""The one thread of a build that writes."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from mmrank.embed.base import Embedded
from mmrank.embed.late_base import TokensEmbedded
from mmrank.errors import UsageError
from mmrank.index.commit import Upserted, delete, upsert
from mmrank.index.failures import FailureLog
from mmrank.index.filters import one_of
from mmrank.index.known import CAPTIONED
from mmrank.index.memory import give_back
from mmrank.index.metadata import add_columns, columns_of
from mmrank.index.report import Tally, name_of
from mmrank.index.rows import Row, frames_table, items_table, thumbnails_table
from mmrank.index.stamps import mark
from mmrank.index.store import Store
from mmrank.index.tokens import contents_of, drop_unused, put_tokens
from mmrank.index.work import Work

log = logging.getLogger("mmrank.index.build")

GROUP_ROWS = 1_024
"""Rows of one commit: 40 data files for 40,000 rows, and 5 MB of vectors and thumbnails waiting at 512 dimensions."""

GROUP_TOKEN_BYTES = 64 << 20
"""Token vectors of one commit: 350 pages of 750 tokens and 128 numbers. Two groups may be in memory."""

GROUP_MARKS = 16_384
"""Stamps of one commit: a few MB, written in a tenth of a second."""

FIRST_INTERVAL, LONGEST_INTERVAL = 0.5, 60.0
INTERVAL_SHARE = 0.05
"""A group that does not fill up is written after a twentieth of the time the build has run, but after half a second
at the soonest and a minute at the latest: a kill loses no more than that, and a build of ten hours leaves hundreds
of data files, not thousands."""

NO_TOKENS = (
    "this index keeps token vectors, and there are none for this content: another process removed them while this one "
    "relied on them, or the embedder gave none. Run the build again."
)


@dataclass
class Group:
    """What goes to disk together."""

    works: list[Work] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    recovered: list[str] = field(default_factory=list)
    marks: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    token_bytes: int = 0


@dataclass(frozen=True)
class Written:
    """What became of a group; `failed`: (uri, why) of what turned out not to fit the columns."""

    rows: Upserted
    failed: Sequence[tuple[str, str]]


class Writer:
    """Collects finished work into groups and writes one while the next is being collected.

    At most two groups are in memory: when the one before is not yet on disk, `put` waits for it. Used from one
    thread; the writing happens in another.
    """

    def __init__(self, store: Store, tally: Tally) -> None:
        self._store = store
        self._tally = tally
        self._failures = FailureLog(store.failures)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mmrank-writer")
        self._group = Group()
        self._writing: Future[Written] | None = None
        # Contents that rows had before, whose token vectors may be of no use now: 120 bytes for each changed row.
        self._replaced: set[str] = set()
        self._started = self._last = time.monotonic()

    def put(self, work: Work) -> None:
        """Write an item whose content is embedded."""
        self._group.works.append(work)
        embedded = work.content.embedded
        if work.leads and isinstance(embedded, TokensEmbedded):
            self._group.token_bytes += embedded.token_vectors.nbytes

    def fail(self, uri: str, why: str) -> None:
        """Report an item as failed and keep it in the failures table."""
        self._tally.fail(uri, why)
        self._group.failed[uri] = why

    def recover(self, uri: str) -> None:
        """This one is in the index already; it is no failure any more."""
        if self._failures.holds(uri):
            self._group.recovered.append(uri)

    def remark(self, item_id: str, stamp: str | None, source: str | None) -> None:
        """Keep another stamp and source in a row that is otherwise right."""
        self._group.marks[item_id] = stamp, source

    def flush_when_due(self) -> None:
        """Start writing the group when it is large or old enough."""
        now = time.monotonic()
        interval = min(max(FIRST_INTERVAL, INTERVAL_SHARE * (now - self._started)), LONGEST_INTERVAL)
        group = self._group
        full = (
            len(group.works) >= GROUP_ROWS or group.token_bytes >= GROUP_TOKEN_BYTES or len(group.marks) >= GROUP_MARKS
        )
        if full or now - self._last >= interval:
            self._flush()

    def close(self) -> None:
        """Write what is left and wait until it is on disk."""
        try:
            self._flush()
            self._wait()
            # Last, because a content that one row no longer has may be that of another further on: a file was renamed.
            if self._replaced:
                drop_unused(self._store, self._replaced)
        finally:
            self._thread.shutdown()

    def _flush(self) -> None:
        self._wait()
        self._last = time.monotonic()
        group, self._group = self._group, Group()
        if group.works or group.failed or group.recovered or group.marks:
            self._tally.enter("writing")
            self._writing = self._thread.submit(self._write, group)

    def _wait(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            written = writing.result()
            self._tally.write(written.rows)
            for uri, why in written.failed:
                self._tally.fail(uri, why)

    def _write(self, group: Group) -> Written:
        """Side tables first, then `items`: an item that is there has all that belongs to it. Safe to repeat."""
        works = list({work.item.id: work for work in group.works}.values())  # the last of an id wins
        log.info("writing %d rows", len(works))
        add_columns(self._store.items, (work.item.meta for work in works))
        schema = self._store.items.schema
        fit, rows, failed = [], [], []
        for work in works:
            try:
                rows.append(_row(work, columns_of(schema, work.item.meta, settled=True)))
                fit.append(work)
            except UsageError as error:
                failed.append((name_of(work.item), str(error)))
        lost = self._put_tokens(fit)
        failed += [(name_of(row.item), NO_TOKENS) for row in rows if row.content in lost]
        rows = [row for row in rows if row.content not in lost]
        self._clear_sides(works)
        upsert(self._store.thumbnails, thumbnails_table(rows))
        upsert(self._store.frames, frames_table(rows, self._store.manifest.fingerprint.dimension))
        mark(self._store.items, group.marks)  # first: of an id that is among the rows too, the row is the later one
        written = upsert(self._store.items, items_table(rows, schema))
        self._failures.record({**group.failed, **dict(failed)})
        self._failures.clear([*(name_of(row.item) for row in rows), *group.recovered])
        give_back()
        log.info("written: %d added, %d updated", *written)
        return Written(written, failed)

    def _put_tokens(self, works: Sequence[Work]) -> set[str]:
        """Write the token vectors of works, in an index that keeps them; the contents that have none."""
        table = self._store.tokens
        if table is None or not works:
            return set()
        table.checkout_latest()
        held = {work.content.digest: _embedded(work) for work in works}
        self._store.items.checkout_latest()
        before = contents_of(self._store.items, [work.item.id for work in works])
        self._replaced.update(set(before.values()) - set(held))
        tokens = {name: own.token_vectors if isinstance(own, TokensEmbedded) else None for name, own in held.items()}
        return put_tokens(table, tokens)

    def _clear_sides(self, works: Sequence[Work]) -> None:
        """Remove thumbnails and frames that lie under the ids of works that have none.

        They are of content that a row had before, or of a row whose removal was cut short.
        """
        no_thumbnail = [work.item.id for work in works if work.content.thumbnail is None]
        no_frames = [work.item.id for work in works if _embedded(work).frame_vectors is None]
        for table, ids in ((self._store.thumbnails, no_thumbnail), (self._store.frames, no_frames)):
            table.checkout_latest()
            if not ids or not table.count_rows():
                continue
            named = one_of("id", ids)
            if table.search().where(named).select(["id"]).limit(1).to_arrow().num_rows:
                delete(table, named)


def _embedded(work: Work) -> Embedded:
    embedded = work.content.embedded
    assert embedded is not None  # only finished work is put
    return embedded


def _row(work: Work, columns: dict[str, Any]) -> Row:
    content = work.content
    return Row(
        item=work.item,
        content=content.digest,
        text=work.item.text if work.item.kind in CAPTIONED else content.text,
        embedded=_embedded(work),
        columns=columns,
        thumbnail=content.thumbnail,
        times=content.times,
        stamp=work.stamp,
        source=work.source,
    )
