"""Items and their vectors as rows of the tables, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmrank.embed.base import Embedded
from mmrank.errors import UsageError
from mmrank.index.schema import OWN_COLUMNS, SOURCE, STAMP, TEXT_VECTOR, THUMBNAILS_SCHEMA, VECTOR, frames_schema
from mmrank.types import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One Item as it is written.

    `text`: what BM25 searches; for a page the text layer that was read. `columns`: metadata by column, as
    `mmrank.index.metadata.columns_of` gives it. `thumbnail` (JPEG) and `times` (seconds of the frames) go to the
    side tables, with the embedded frame vectors. `stamp` and `source`: for the next build, see `items_schema`.
    """

    item: Item
    content: str
    text: str | None
    embedded: Embedded
    columns: Mapping[str, Any] = field(default_factory=dict)
    thumbnail: bytes | None = None
    times: tuple[float, ...] = ()
    stamp: str | None = None
    source: str | None = None


def check_storable(item: Item) -> None:
    """Raise `UsageError` for strings that no UTF-8 column can hold."""
    for name in ("id", "uri", "text", "parent"):
        value = getattr(item, name)
        try:
            (value or "").encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"The {name} of this item is {value!r}, which is not valid Unicode and cannot be stored. "
                "For paths in another encoding use mmrank.media.uri.path_uri and item_id."
            ) from None


def items_table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """Rows of the hot table; `schema` is the table's own, metadata columns and all."""
    dimension = schema.field(VECTOR).type.list_size
    own: dict[str, list[Any] | pa.Array] = {
        "id": [row.item.id for row in rows],
        "kind": [row.item.kind for row in rows],
        "uri": [row.item.uri for row in rows],
        "parent": [row.item.parent for row in rows],
        "text": [row.text for row in rows],
        "content": [row.content for row in rows],
        VECTOR: _vectors([row.embedded.vector for row in rows], dimension),
        TEXT_VECTOR: _vectors([row.embedded.text_vector for row in rows], dimension),
        STAMP: [row.stamp for row in rows],
        SOURCE: [row.source for row in rows],
    }
    arrays = [
        _array(own[f.name] if f.name in own else [row.columns.get(f.name) for row in rows], f.type) for f in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def thumbnails_table(rows: Sequence[Row]) -> pa.Table:
    """Rows of the thumbnails table, for those that have one."""
    shown = [row for row in rows if row.thumbnail is not None]
    columns = {"id": [row.item.id for row in shown], "jpeg": [row.thumbnail for row in shown]}
    return pa.table(columns, schema=THUMBNAILS_SCHEMA)


def frames_table(rows: Sequence[Row], dimension: int) -> pa.Table:
    """Rows of the frames table, for those that have frame vectors."""
    schema = frames_schema(dimension)
    videos = [(row, row.embedded.frame_vectors) for row in rows]
    with_frames = [(row, frames) for row, frames in videos if frames is not None]
    offsets = np.cumsum([0, *(len(frames) for _, frames in with_frames)], dtype=np.int32)
    flat = _vectors([vector for _, frames in with_frames for vector in frames], dimension)
    arrays = [
        pa.array([row.item.id for row, _ in with_frames], pa.string()),
        pa.array([row.times for row, _ in with_frames], schema.field("times").type),
        pa.ListArray.from_arrays(offsets, flat, type=schema.field("vectors").type),
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def row_to_item(row: Mapping[str, Any]) -> Item:
    """The Item of a row of `items`, as ``to_pylist`` gives it; vectors and LanceDB's own columns are passed over.

    Metadata comes back by column name; values that were None or NaN are unknown and absent.

    >>> row_to_item({"id": "a", "kind": "image", "year": 2024, "camera": None, "_distance": 0.1}).meta
    {'year': 2024}
    """
    return Item(
        id=row["id"],
        kind=row["kind"],
        uri=row.get("uri"),
        text=row.get("text"),
        parent=row.get("parent"),
        meta={
            name: tuple(value) if isinstance(value, list) else value
            for name, value in row.items()
            if name not in OWN_COLUMNS and not name.startswith("_") and value is not None
        },
    )


def _array(values: list[Any] | pa.Array, kind: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, kind)


def _vectors(vectors: Sequence[npt.NDArray[np.float32] | None], dimension: int) -> pa.Array:
    """A fixed-size list per vector over one contiguous matrix; None becomes null."""
    null = np.array([vector is None for vector in vectors], bool)
    matrix = np.zeros((len(vectors), dimension), np.float32)
    given = [vector for vector in vectors if vector is not None]
    if given:
        matrix[~null] = np.stack(given)
    mask = pa.array(null) if null.any() else None
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), dimension, mask=mask)
