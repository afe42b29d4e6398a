"""The LanceDB database of an index: its tables, its manifest, its settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmrank.embed.base import Embedder
from mmrank.embed.late_base import TokenEmbedder
from mmrank.errors import IndexStoreError, NoIndexError
from mmrank.index.commit import upsert
from mmrank.index.filters import LANCE_ERRORS, quoted
from mmrank.index.manifest import Manifest
from mmrank.index.places import StorageOptions, connect, is_absence, place_of, trouble
from mmrank.index.schema import (
    FAILURES,
    FAILURES_SCHEMA,
    FRAMES,
    ITEMS,
    SETTINGS,
    SETTINGS_SCHEMA,
    THUMBNAILS,
    THUMBNAILS_SCHEMA,
    TOKENS,
    frames_schema,
    items_schema,
    tokens_schema,
)

SIDE_TABLES = (THUMBNAILS, FRAMES, FAILURES, SETTINGS)
"""Those that every index has. `tokens` is there where the embedder gives token vectors, and may come later."""


class Store:
    """The tables of one index, open. Make one with `Store.create` or `Store.open`.

    `items`, `thumbnails`, `frames`, `failures`, `settings` are LanceDB tables (see `mmrank.index.schema`); a table
    handle shows what this process wrote at once, and what others wrote after `refresh`. `tokens` is one too, or None in
    an index without token vectors.

    >>> store = Store.create("indexes/photos", embedder)  # doctest: +SKIP
    >>> store.items.count_rows(), store.manifest.embedder  # doctest: +SKIP
    (0, 'open_clip:ViT-B-32/laion2b_s34b_b79k')
    """

    def __init__(self, uri: str, connection: Any, tables: Mapping[str, Any], manifest: Manifest) -> None:
        self.uri = uri
        self.manifest = manifest
        self.items = tables[ITEMS]
        self.thumbnails = tables[THUMBNAILS]
        self.frames = tables[FRAMES]
        self.failures = tables[FAILURES]
        self.settings = tables[SETTINGS]
        self.tokens = tables.get(TOKENS)
        self._connection = connection

    @classmethod
    def create(cls, uri: str | Path, embedder: Embedder, storage_options: StorageOptions | None = None) -> Store:
        """The index at `uri` for this embedder: opened when it is there and matches, made otherwise.

        `storage_options`: for an object store, what LanceDB takes; most come from the environment (docs/stores.md).
        `items` is made last and holds the manifest from its first version on, so a kill at any moment leaves either
        a whole index or one that the next `create` completes.

        Raises `IndexStoreError` when another embedder's index lies there, the folder holds other things, or
        it cannot be written.
        """
        place = place_of(uri)
        connection = connect(place, storage_options, create=True)
        # Looked for first: whoever else makes this index makes `tokens` after `items`. So token vectors without items
        # are those of an index whose items someone removed, and may be another embedder's.
        left_over = _open_table(connection, TOKENS, place) is not None
        items = _open_table(connection, ITEMS, place)
        if items is None:
            if left_over:
                connection.drop_table(TOKENS)
            manifest = Manifest.of(embedder)
            schemas = _schemas(manifest)
            for name in (*SIDE_TABLES, ITEMS):
                _make_table(connection, name, schemas[name], place)
        store = cls._opened(place, connection)
        store.manifest.check(embedder, place)
        store.keep_tokens(embedder)
        return store

    @classmethod
    def open(
        cls, uri: str | Path, embedder: Embedder | None = None, storage_options: StorageOptions | None = None
    ) -> Store:
        """The index at `uri`; with `embedder`, checked to be the one it was built by.

        Raises `IndexStoreError` when there is none, it is half-written or damaged, or the embedder is another.
        """
        place = place_of(uri)
        store = cls._opened(place, connect(place, storage_options, create=False))
        if embedder is not None:
            store.manifest.check(embedder, place)
        return store

    @classmethod
    def _opened(cls, place: str, connection: Any) -> Store:
        found = {name: _open_table(connection, name, place) for name in (ITEMS, *SIDE_TABLES)}
        tables = {name: table for name, table in found.items() if table is not None}
        missing = [name for name in found if name not in tables]
        if ITEMS in missing:
            begun = bool(tables)
            raise NoIndexError(
                f"The index at {place} was begun and never finished. Run the command that builds it again."
                if begun
                else f"There is no index at {place}. Build one with: mmrank index {_folder_and_index(place)}"
            )
        if missing:
            raise IndexStoreError(
                f"The index at {place} is damaged: it has items, but the table(s) {', '.join(missing)} are gone. "
                "Restore the folder from a copy, or build the index again in a new one."
            )
        tokens = _open_table(connection, TOKENS, place)
        if tokens is not None:
            tables[TOKENS] = tokens
        return cls(place, connection, tables, Manifest.read(tables[ITEMS].schema, place))

    def refresh(self) -> int:
        """Look at the newest version of every table, other processes' writes included; the version of `items`."""
        for table in (self.thumbnails, self.frames, self.tokens, self.failures, self.settings, self.items):
            if table is not None:
                table.checkout_latest()
        return int(self.items.version)

    def keep_tokens(self, embedder: Embedder) -> None:
        """Make the table of token vectors where the embedder gives them and there is none.

        An index that an older mmrank built has none; its next build embeds what is in it once more, and keeps them.
        """
        if isinstance(embedder, TokenEmbedder) and self.find_tokens() is None:
            _make_table(self._connection, TOKENS, tokens_schema(self.manifest.fingerprint.dimension), self.uri)
            self.find_tokens()

    def find_tokens(self) -> Any | None:
        """The table of token vectors, at its newest version; looked for anew as long as there is none."""
        if self.tokens is None:
            self.tokens = _open_table(self._connection, TOKENS, self.uri)
        else:
            self.tokens.checkout_latest()
        return self.tokens

    def items_at(self, version: int) -> Any:
        """A handle of its own on `items` as of a version; it does not move when others write, and cannot write."""
        try:
            return self._connection.open_table(ITEMS, version=version)
        except LANCE_ERRORS as error:
            raise IndexStoreError(f"Version {version} of the index at {self.uri} is not there: {error}") from error

    def setting(self, key: str) -> Any:
        """The JSON value kept under `key`, or None."""
        found = self.settings.search().where(f"key = {quoted(key)}").select(["value"]).limit(1).to_list()
        return json.loads(found[0]["value"]) if found else None

    def set_setting(self, key: str, value: Any) -> None:
        """Keep a JSON value under `key`, in place of the one before."""
        row = {"key": [key], "value": [json.dumps(value)]}
        upsert(self.settings, pa.table(row, schema=SETTINGS_SCHEMA), "key")


def _folder_and_index(place: str) -> str:
    """What to index and where to, said of a place without an index: it may be the folder that is to be indexed."""
    folder = Path(place)
    if "://" not in place and folder.is_dir() and any(folder.iterdir()):
        return f"{place} --to {folder.with_name(folder.name + '.index')}"
    return f"PATH... --to {place}"


def _schemas(manifest: Manifest) -> dict[str, pa.Schema]:
    dimension = manifest.fingerprint.dimension
    return {
        ITEMS: manifest.stamped(items_schema(dimension)),
        THUMBNAILS: THUMBNAILS_SCHEMA,
        FRAMES: frames_schema(dimension),
        FAILURES: FAILURES_SCHEMA,
        SETTINGS: SETTINGS_SCHEMA,
    }


def _open_table(connection: Any, name: str, place: str) -> Any | None:
    """The table, or None when it is not there (or no version of it was ever finished)."""
    try:
        return connection.open_table(name)
    except LANCE_ERRORS as error:
        if is_absence(error):
            return None
        what = f"The table {name!r} of the index at {place} cannot be opened; it is damaged or out of reach"
        raise trouble(place, what, error) from error


def _make_table(connection: Any, name: str, schema: pa.Schema, place: str) -> None:
    """Make a table unless it is there; one that a killed build of another embedder left behind is replaced."""
    there = _open_table(connection, name, place)
    if there is not None and there.schema.equals(schema):
        return
    try:
        connection.create_table(name, schema=schema, mode="overwrite" if there is not None else "create")
    except LANCE_ERRORS as error:
        if "already exists" in str(error):  # another process makes the same index at this moment
            return
        raise trouble(place, f"The index at {place} cannot be written", error) from error
