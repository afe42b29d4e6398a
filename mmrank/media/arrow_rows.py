"""Parquet and Arrow files as rows, batch by batch; and the bytes that lie in one of their cells.

Arrow files are those of Hugging Face ``datasets`` (``save_to_disk``) too: what they say of their columns (which one
holds pictures, the names of class labels) is read from the file itself, by pyarrow alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrank.errors import MediaError
from mmrank.media.uri import cause, printable, regular_file

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 64
"""Rows read at once: pictures may lie in them, and 64 of 1 MB are what a reader may cost."""

_FEATURES = b"huggingface"
_FILE_MAGIC = b"ARROW1"


class ArrowTable:
    """One file. `names`: its columns. Raises `MediaError` when it is neither Parquet nor Arrow, or is cut off."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self.reading():
            regular_file(path)
            self.schema = _parquet_schema(self.path) if _is_parquet(self.path) else _ipc_schema(self.path)
        self.names: tuple[str, ...] = tuple(self.schema.names)

    @cached_property
    def _features(self) -> Mapping[str, Any]:
        """What ``datasets`` wrote down of the columns, empty where another program wrote the file."""
        try:
            told = json.loads((self.schema.metadata or {}).get(_FEATURES, b"{}"))
            features = told["info"]["features"]
        except (ValueError, KeyError, TypeError):
            return {}
        return features if isinstance(features, dict) else {}

    @property
    def picture_column(self) -> str | None:
        """The first column that the file itself declares to hold pictures."""
        kinds = {name: f.get("_type") for name, f in self._features.items() if isinstance(f, dict)}
        return next((name for name in self.names if kinds.get(name) == "Image"), None)

    @property
    def byte_columns(self) -> frozenset[str]:
        """Columns of bytes, plain or with a path beside them: media, and no metadata."""
        return frozenset(field.name for field in self.schema if _holds_bytes(field.type))

    def rows(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Rows with these columns, class labels by name, times in microseconds."""
        labels = {name: names for name in columns if (names := self._labels(name))}
        for batch in self._batches(columns):
            for row in _microseconds(batch).to_pylist():
                for name, names in labels.items():
                    number = row[name]
                    if isinstance(number, int):
                        row[name] = names[number] if 0 <= number < len(names) else None
                yield row

    def _labels(self, name: str) -> list[str]:
        feature = self._features.get(name)
        names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
        return [str(label) for label in names] if isinstance(names, list) else []

    def _batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with self.reading():
            if _is_parquet(self.path):
                import pyarrow.parquet as pq

                with pq.ParquetFile(self.path) as file:
                    yield from file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns))
                return
            for batch in _ipc_batches(self.path):
                picked = batch.select(list(columns))
                for start in range(0, picked.num_rows, BATCH_ROWS):
                    some = picked.slice(start, BATCH_ROWS)
                    some.validate(full=True)  # offsets of a stranger's file are followed without a check otherwise
                    yield some

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Whatever pyarrow raises inside becomes a `MediaError` that names the file."""
        import pyarrow as pa

        try:
            yield
        except (OSError, pa.ArrowException) as error:
            what = "Arrow" if self.path.suffix.lower() == ".arrow" else "Parquet"
            raise MediaError(f"{printable(self.path)} cannot be read as {what}: {cause(error)}.") from error


def read_cell(path: str | Path, row: int, column: str) -> bytes:
    """The bytes in one cell; `row` counts from 1. Of a Parquet file only the row's group is read, in small batches.

    Raises `MediaError` when the file has no such row or column, or the cell holds no bytes.
    """
    table = ArrowTable(path)
    if column not in table.names:
        raise MediaError(f"{printable(path)} has no column {column!r}; it has {', '.join(table.names)}.")
    with table.reading():
        value = _parquet_cell(table.path, row - 1, column) if _is_parquet(table.path) else _ipc_cell(table, row, column)
    content = value.get("bytes") if isinstance(value, Mapping) else value
    if not isinstance(content, bytes):
        raise MediaError(f"{printable(path)}, row {row}, column {column!r}: there is nothing in this cell to open.")
    return content


def _parquet_cell(path: Path, position: int, column: str) -> Any:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        first = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if first <= position < first + count:
                at = first
                for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=[column]):
                    if position < at + batch.num_rows:
                        return batch.column(0)[position - at].as_py()
                    at += batch.num_rows
            first += count
    raise MediaError(f"{printable(path)} has {first:,} rows; row {position + 1:,} does not exist.")


def _ipc_cell(table: ArrowTable, row: int, column: str) -> Any:
    at = 0
    for batch in _ipc_batches(table.path):
        if at < row <= at + batch.num_rows:
            cell = batch.select([column]).slice(row - 1 - at, 1)
            cell.validate(full=True)
            return cell.column(0)[0].as_py()
        at += batch.num_rows
    raise MediaError(f"{printable(table.path)} has {at:,} rows; row {row:,} does not exist.")


def _ipc_batches(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        if _head(path).startswith(_FILE_MAGIC):
            file = pa.ipc.open_file(source)
            for number in range(file.num_record_batches):
                yield file.get_batch(number)
        else:
            yield from pa.ipc.open_stream(source)


def _ipc_schema(path: Path) -> pa.Schema:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        opened = pa.ipc.open_file(source) if _head(path).startswith(_FILE_MAGIC) else pa.ipc.open_stream(source)
        return opened.schema


def _parquet_schema(path: Path) -> pa.Schema:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.schema_arrow


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() != ".arrow"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_FILE_MAGIC))


def _holds_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(_holds_bytes(kind.field(place).type) for place in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _holds_bytes(kind.value_type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _microseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with nanosecond times cut to what a datetime holds."""
    import pyarrow as pa

    for place, field in enumerate(batch.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            cut = batch.column(place).cast(pa.timestamp("us", tz=field.type.tz), safe=False)
            batch = batch.set_column(place, field.name, cut)
    return batch
