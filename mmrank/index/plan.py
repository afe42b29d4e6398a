"""What each item of a build needs: nothing, its row written again, vectors that exist already, or the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol
from weakref import WeakValueDictionary

import pyarrow as pa

from mmrank.errors import UsageError
from mmrank.index.held import held_contents, rows_by_id
from mmrank.index.known import CAPTIONED, Known
from mmrank.index.metadata import column_name, columns_of
from mmrank.index.report import Tally, name_of
from mmrank.index.schema import OWN_COLUMNS, SOURCE, STAMP, TEXT_VECTOR, VECTOR
from mmrank.index.stamps import content_part
from mmrank.index.store import Store
from mmrank.index.tokens import lacking
from mmrank.index.work import Content, Digested, Work
from mmrank.media.file_meta import FileMeta
from mmrank.media.uri import printable

RECENT_CONTENTS = 64
"""Contents shared last that are kept at hand: a blank page that comes a thousand times is looked up once."""


class Outlet(Protocol):
    """Where items go that need no more work."""

    def fail(self, uri: str, why: str) -> None: ...

    def recover(self, uri: str) -> None: ...

    def remark(self, item_id: str, stamp: str | None, source: str | None) -> None: ...


class Planner:
    """Says what is to be done with items, a chunk at a time. Used from one thread.

    Items that `known` has found to be the same as their rows cost nothing here. The others are looked up in the table.
    Contents and items that are on their way are known by weak reference: they are forgotten when the last row that
    holds them is on disk, from where on the table answers for them. So nothing here grows with the collection.

    `again`: what gives the content hash of an item whatever its stamp says.
    """

    def __init__(
        self, store: Store, tally: Tally, outlet: Outlet, known: Known, again: Callable[[Digested], Digested]
    ) -> None:
        self._store = store
        self._tally = tally
        self._outlet = outlet
        self._known = known
        self._again = again
        self._contents: WeakValueDictionary[str, Content] = WeakValueDictionary()
        self._works: WeakValueDictionary[str, Work] = WeakValueDictionary()
        self._keys: set[str] = set()
        self._recent: deque[Content] = deque(maxlen=RECENT_CONTENTS)

    def plan(self, chunk: Sequence[Digested]) -> list[Work]:
        """The work a chunk makes, in order. Items that fail or are unchanged are accounted for and left out."""
        schema = self._known.schema
        chunk = [one for one in chunk if not self._same(one)]
        if not chunk:
            return []
        # What is on its way is looked for first, and held: should it reach the disk meanwhile, it is not missed.
        works = {one.item.id: found for one in chunk if (found := self._works.get(one.item.id)) is not None}
        coming = [content for one in chunk if one.digest and (content := self._contents.get(one.digest)) is not None]
        table = self._store.items
        table.checkout_latest()
        schema = table.schema
        fit = [one for one in chunk if self._fits(one, schema)]
        filled = table.count_rows() > 0
        columns = [name for name in schema.names if name not in (VECTOR, TEXT_VECTOR)]
        rows = rows_by_id(table, [one.item.id for one in fit], columns) if filled and fit else {}
        digested = [full for one in fit if (full := self._whole(one, rows)) is not None]
        bare = self._without_tokens({_digest(one) for one in digested})
        changed = self._changed(digested, rows, schema, bare, works)
        wanted = {_digest(one) for one in changed} - {content.digest for content in coming} - bare
        new = {_digest(one) for one in changed if one.item.id not in rows}
        stored = held_contents(self._store, wanted, wanted & new, rows) if filled and wanted else {}
        return [self._work(one, stored, new=one.item.id not in rows) for one in changed]

    def _same(self, one: Digested) -> bool:
        """True, and accounted for, when the row of an item is as it should be, and was not changed by this build."""
        self._rename(one)
        item = one.item
        if not one.same or not self._known.holds(item.id):
            self._known.forget(item.id)
            return False
        self._outlet.recover(name_of(item))
        self._tally.keep(1)
        return True

    def _rename(self, one: Digested) -> None:
        """Say once of every metadata key that its column is called otherwise."""
        meta = one.item.meta
        for key in meta.given if isinstance(meta, FileMeta) else meta:  # no file is opened for names
            if key not in self._keys:
                self._keys.add(key)
                with suppress(UsageError):  # a key that makes no column: its items fail
                    if (column := column_name(key)) != key:
                        self._tally.warn(name_of(one.item), f"metadata {key!r} is kept in column {column!r}")

    def _fits(self, one: Digested, schema: pa.Schema) -> bool:
        """False, and reported, when the item has no digest or metadata that the columns there are do not take."""
        why = one.error
        if why is None:
            try:
                columns_of(schema, one.item.meta)
            except UsageError as error:
                why = str(error)
        if why is not None:
            self._fail(one, why)
        return why is None

    def _fail(self, one: Digested, why: str) -> None:
        self._outlet.fail(name_of(one.item), why)
        self._tally.finish()

    def _whole(self, one: Digested, rows: Mapping[str, dict[str, Any]]) -> Digested | None:
        """The item with its content hash: its row's, where their stamps agree. None, and reported, when it failed."""
        if one.digest is not None:
            return one
        row = rows.get(one.item.id)
        if row is not None and row[STAMP] and one.stamp and content_part(row[STAMP]) == content_part(one.stamp):
            return one._replace(digest=row["content"])
        one = self._again(one)  # the row was changed, by this build or by another process
        if one.error is not None:
            self._fail(one, one.error)
            return None
        return one

    def _without_tokens(self, contents: set[str]) -> set[str]:
        """Those contents whose token vectors are not there, in an index that keeps them."""
        if self._store.tokens is None or not contents:
            return set()
        return lacking(self._store.find_tokens(), contents)

    def _changed(
        self,
        chunk: Sequence[Digested],
        rows: Mapping[str, dict[str, Any]],
        schema: pa.Schema,
        bare: Collection[str],
        works: Mapping[str, Work],
    ) -> list[Digested]:
        """Those to be written; the others are in the table as they are, and their contents are not `bare` of tokens."""
        changed: dict[str, Digested] = {}
        written: list[Digested] = []
        for one in chunk:
            item, row = one.item, rows.get(one.item.id)
            before = changed.get(item.id) or works.get(item.id)
            if before is not None:
                self._warn_twice(one, before.item.uri, before.source)
            elif row is not None and one.digest not in bare and _unchanged(row, one, schema):
                self._outlet.recover(name_of(item))
                self._tally.keep(1)
                if row[SOURCE] != one.source or (one.stamp is not None and row[STAMP] != one.stamp):
                    self._outlet.remark(item.id, one.stamp, one.source)
                continue
            elif row is not None and not self._known.has(item.id):  # written since the build began
                self._warn_twice(one, row["uri"], row[SOURCE])
            changed[item.id] = one
            written.append(one)
        return written

    def _warn_twice(self, one: Digested, uri: str | None, source: str | None) -> None:
        first, last = _origin(uri, source), _origin(one.item.uri, one.source)
        self._tally.warn(
            name_of(one.item),
            f"id {one.item.id!r} came more than once, first {first} and now {last}; the last one is kept. "
            "To keep both, give each an id of its own.",
        )

    def _work(self, one: Digested, stored: Mapping[str, Content], *, new: bool) -> Work:
        digest = _digest(one)
        content = self._contents.get(digest) or stored.get(digest)
        leads = content is None
        if content is None:
            content = Content(digest=digest)
        else:
            self._recent.append(content)
        if new and content.orphans:
            content.orphans -= 1
            self._tally.move()
        self._contents[digest] = content
        work = Work(item=one.item, content=content, leads=leads, stamp=one.stamp, source=one.source)
        self._works[one.item.id] = work
        return work


def _unchanged(row: Mapping[str, Any], one: Digested, schema: pa.Schema) -> bool:
    """True when writing the item would change nothing. Equal content includes kind and text, but for captions."""
    item = one.item
    if item.kind in CAPTIONED and row["text"] != item.text:
        return False
    if row["content"] != one.digest or row["uri"] != item.uri or row["parent"] != item.parent:
        return False
    kept = {name: value for name, value in row.items() if name not in OWN_COLUMNS and value is not None}
    return kept == columns_of(schema, item.meta)


def _digest(one: Digested) -> str:
    assert one.digest is not None  # what comes without is given one, or fails, before anything else is done
    return one.digest


def _origin(uri: str | None, source: str | None) -> str:
    """Where an item came from, for a message."""
    place = source or uri
    return "without a uri" if place is None else f"from {printable(place)}"
