from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mmrank.embed.base import Embedded
from mmrank.errors import UsageError
from mmrank.index.rows import Row, check_storable, frames_table, items_table, row_to_item, thumbnails_table
from mmrank.index.schema import THUMBNAILS_SCHEMA, frames_schema, items_schema
from mmrank.types import Item

DIMENSION = 8
SCHEMA = items_schema(DIMENSION).append(pa.field("year", pa.int64()))


def _unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


def _row(name: str, *, seed: int = 0, frames: int = 0, text_vector: bool = False, **kept: object) -> Row:
    embedded = Embedded(
        vector=_unit(seed),
        text_vector=_unit(seed + 100) if text_vector else None,
        frame_vectors=np.stack([_unit(seed + i) for i in range(frames)]) if frames else None,
    )
    item = Item(id=name, kind="video" if frames else "image", uri=f"/{name}", text="given", parent="whole")
    return Row(item=item, content=f"content-{name}", text="read", embedded=embedded, **kept)  # type: ignore[arg-type]


def test_items_go_in_and_come_out() -> None:
    rows = [_row("a", columns={"year": 2024}), _row("b", seed=1, text_vector=True), _row("c", seed=2)]
    table = items_table(rows, SCHEMA)
    assert table.schema.equals(SCHEMA, check_metadata=True)
    table.validate(full=True)
    for row, stored in zip(rows, table.to_pylist(), strict=True):
        assert stored["vector"] == row.embedded.vector.tolist()
        expected = row.embedded.text_vector
        assert stored["text_vector"] == (None if expected is None else expected.tolist())
        assert stored["content"] == row.content
        item = row_to_item(stored)
        assert item == Item(
            id=row.item.id, kind="image", uri=row.item.uri, text="read", parent="whole", meta=dict(row.columns)
        )


def test_thumbnails_are_of_those_that_have_one() -> None:
    table = thumbnails_table([_row("a", thumbnail=b"jpeg"), _row("b")])
    assert table.schema.equals(THUMBNAILS_SCHEMA, check_metadata=True)
    assert table.to_pylist() == [{"id": "a", "jpeg": b"jpeg"}]


def test_frames_are_of_those_that_have_some() -> None:
    rows = [_row("a", frames=2, times=(0.0, 1.5)), _row("b"), _row("c", seed=7, frames=3, times=(0.0, 1.0, 2.0))]
    table = frames_table(rows, DIMENSION)
    assert table.schema.equals(frames_schema(DIMENSION), check_metadata=True)
    table.validate(full=True)
    stored = {row["id"]: row for row in table.to_pylist()}
    assert stored.keys() == {"a", "c"}
    for row in (rows[0], rows[2]):
        assert row.embedded.frame_vectors is not None
        assert stored[row.item.id]["times"] == list(row.times)
        np.testing.assert_array_equal(stored[row.item.id]["vectors"], row.embedded.frame_vectors)


def test_no_rows_make_empty_tables_of_the_right_form() -> None:
    for table, schema in (
        (items_table([], SCHEMA), SCHEMA),
        (thumbnails_table([]), THUMBNAILS_SCHEMA),
        (frames_table([], DIMENSION), frames_schema(DIMENSION)),
    ):
        assert table.num_rows == 0
        assert table.schema.equals(schema)


@pytest.mark.parametrize("name", ["uri", "text", "parent"])
def test_strings_no_column_can_hold_are_refused(name: str) -> None:
    check_storable(Item(id="a", kind="image", uri="/a", text="ü", parent="p"))
    with pytest.raises(UsageError, match=f"The {name} of this item is .* not valid Unicode"):
        check_storable(Item(**{"id": "a", "kind": "image", name: "\udcff"}))  # type: ignore[arg-type]
