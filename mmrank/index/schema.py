"""The tables of an index, as Arrow schemas, and the names of their columns.

One hot table holds what a search touches; pictures, frame and token vectors lie beside it, so that a
scan of the hot table never reads them.

==============  ===========================================================================
table           what
==============  ===========================================================================
``items``       one row per Item: ids, kinds, uris, text, metadata columns, vectors
``thumbnails``  ``id``, ``jpeg`` bytes
``frames``      ``id``, ``times`` (seconds), ``vectors`` (one per frame) of videos
``tokens``      ``content``, ``count``, ``vectors`` (float16, one per token), ``at``: only where the
                embedder gives token vectors; one row per content, however many Items have it
``failures``    ``uri``, ``why``, ``at``: what could not be indexed, until it can
``settings``    ``key``, ``value`` (JSON): calibration moments, measured search settings
==============  ===========================================================================
"""

from __future__ import annotations

import pyarrow as pa

FORMAT_VERSION = 1
"""Raised when a reader of the old form could not read the new one."""

ITEMS = "items"
THUMBNAILS = "thumbnails"
FRAMES = "frames"
TOKENS = "tokens"
FAILURES = "failures"
SETTINGS = "settings"

PRIMARY_KEY = {b"lance-schema:unenforced-primary-key:position": b"1"}
"""Field metadata by which Lance knows a table's key: two writers that insert the same new key at once then leave one
row. It is what `set_unenforced_primary_key` writes; given with the schema, a table never exists without it."""

VECTOR = "vector"
TEXT_VECTOR = "text_vector"

STAMP = "_stamp"
SOURCE = "_source"
"""What a build remembers of a row for the next one. No metadata column begins with ``_``, so that these two could be
added to indexes of any age; and an older mmrank, which does not know them, leaves them null in the rows it writes."""

OWN_COLUMNS: tuple[str, ...] = ("id", "kind", "uri", "parent", "text", "content", VECTOR, TEXT_VECTOR, STAMP, SOURCE)
"""Columns of `items` that are mmrank's; every other column is the caller's metadata."""


def _key(name: str) -> pa.Field:
    return pa.field(name, pa.string(), nullable=False, metadata=PRIMARY_KEY)


def items_schema(dimension: int) -> pa.Schema:
    """The hot table before any metadata column is added.

    `content` is the hash of what was embedded (media bytes, span or page, text): equal content, equal vector.
    `text_vector` is null except for pages with a text layer. `_stamp` (see `mmrank.index.stamps`): by what the content
    can be told without reading it; null where it cannot. `_source`: uri of the file that a row of a table was in.
    """
    vector = pa.list_(pa.float32(), dimension)
    return pa.schema(
        [
            _key("id"),
            pa.field("kind", pa.string(), nullable=False),
            pa.field("uri", pa.string()),
            pa.field("parent", pa.string()),
            pa.field("text", pa.string()),
            pa.field("content", pa.string(), nullable=False),
            pa.field(VECTOR, vector, nullable=False),
            pa.field(TEXT_VECTOR, vector),
            pa.field(STAMP, pa.string()),
            pa.field(SOURCE, pa.string()),
        ]
    )


THUMBNAILS_SCHEMA = pa.schema([_key("id"), pa.field("jpeg", pa.binary())])

FAILURES_SCHEMA = pa.schema(
    [
        _key("uri"),
        pa.field("why", pa.string()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
    ]
)

SETTINGS_SCHEMA = pa.schema([_key("key"), pa.field("value", pa.string())])


def frames_schema(dimension: int) -> pa.Schema:
    """Frame vectors of videos: `times` and `vectors` have the same length in a row."""
    return pa.schema(
        [
            _key("id"),
            pa.field("times", pa.list_(pa.float32())),
            pa.field("vectors", pa.list_(pa.list_(pa.float32(), dimension))),
        ]
    )


def tokens_schema(dimension: int) -> pa.Schema:
    """Token vectors of pages and images, for late interaction, by the `content` of the rows of `items` they are of.

    `count`: how many `vectors`. `at`: when they were written; what was written just now may belong to rows that are
    not there yet. Lists of fixed-size lists were read fastest of the forms tried: 300 pages of 700 tokens by content
    in 27 ms, where plain lists took 64, blobs 55 and bytes (which Lance compresses, to 92 %) 114.
    """
    return pa.schema(
        [
            _key("content"),
            pa.field("count", pa.int32(), nullable=False),
            pa.field("vectors", pa.list_(pa.list_(pa.float16(), dimension))),
            pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        ]
    )
