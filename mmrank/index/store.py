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

_FOLDERS = frozenset(f"{name}.lance" for name in (ITEMS, *SIDE_TABLES, TOKENS))


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
    def create(cls, uri: str | Path, embedder: Embedder) -> Store:
        """The index at `uri` for this embedder: opened when it is there and matches, made otherwise.

        `items` is made last and holds the manifest from its first version on, so a kill at any moment leaves either
        a whole index or one that the next `create` completes.

        Raises `IndexStoreError` when another embedder's index lies there, the folder holds other things, or
        it cannot be written.
        """
        place = _place(uri)
        connection = _connect(place, create=True)
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
    def open(cls, uri: str | Path, embedder: Embedder | None = None) -> Store:
        """The index at `uri`; with `embedder`, checked to be the one it was built by.

        Raises `IndexStoreError` when there is none, it is half-written or damaged, or the embedder is another.
        """
        place = _place(uri)
        store = cls._opened(place, _connect(place, create=False))
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
                else f"There is no index at {place}. Build one with: mmrank index PATH... --to {place}"
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


def _schemas(manifest: Manifest) -> dict[str, pa.Schema]:
    dimension = manifest.fingerprint.dimension
    return {
        ITEMS: manifest.stamped(items_schema(dimension)),
        THUMBNAILS: THUMBNAILS_SCHEMA,
        FRAMES: frames_schema(dimension),
        FAILURES: FAILURES_SCHEMA,
        SETTINGS: SETTINGS_SCHEMA,
    }


def _place(uri: str | Path) -> str:
    """The uri as LanceDB takes it: a local folder made absolute, ``~`` expanded; anything else as it is."""
    text = str(uri)
    if not text.strip():
        raise IndexStoreError("The uri of the index is empty; give a folder, or something like s3://bucket/index.")
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    return text if "://" in text else str(Path(text).expanduser().absolute())


def _connect(place: str, *, create: bool) -> Any:
    import lancedb

    if "://" not in place:
        _check_folder(Path(place), create=create)
    try:
        return lancedb.connect(place)  # makes the folder
    except LANCE_ERRORS as error:
        raise IndexStoreError(f"The index at {place} cannot be reached: {error}") from error


def _check_folder(folder: Path, *, create: bool) -> None:
    """Refuse what is no folder, and to build in one that holds other things."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        if create:
            return
        raise NoIndexError(
            f"There is no index at {folder}: the folder does not exist. "
            f"Build one with: mmrank index PATH... --to {folder}"
        ) from None
    except NotADirectoryError:
        raise IndexStoreError(f"{folder} is a file; an index is a folder. Name a new or empty one.") from None
    except OSError as error:
        raise IndexStoreError(f"The folder {folder} cannot be read: {error.strerror or error}") from error
    foreign = [name for name in names if name not in _FOLDERS and not name.startswith((".", "_"))]
    if foreign and create and f"{ITEMS}.lance" not in names:
        listed = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise IndexStoreError(
            f"The folder {folder} holds other things ({listed}) and no index. An index wants a folder of its own: "
            f"name a new or empty one, for example {folder / 'index'}"
        )


def _open_table(connection: Any, name: str, place: str) -> Any | None:
    """The table, or None when it is not there (or no version of it was ever finished)."""
    try:
        return connection.open_table(name)
    except LANCE_ERRORS as error:
        if isinstance(error, ValueError) and "not found" in str(error):
            return None
        raise IndexStoreError(
            f"The table {name!r} of the index at {place} cannot be opened; it is damaged or out of reach: {error}"
        ) from error


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
        raise IndexStoreError(f"The index at {place} cannot be written: {error}") from error
