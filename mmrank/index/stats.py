"""What an index holds, as JSON values: rows, metadata, size, indexes, failures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mmrank.index.declared import type_name
from mmrank.index.filters import item_columns
from mmrank.index.nearest import ANN_SETTING, AnnSettings, vector_indexes
from mmrank.index.schema import OWN_COLUMNS, TEXT_VECTOR, VECTOR
from mmrank.index.snapshot import census, dimension_of, matrix_bytes
from mmrank.index.store import Store
from mmrank.index.tokens import token_stats

EXAMPLES = 3
"""Values shown of a column of texts."""

EXAMPLE_ROWS = 1_000
"""Rows they are taken from: the commonest of these."""


def stats(store: Store) -> dict[str, Any]:
    """What the index holds and how it is searched, as JSON values. Reads metadata columns, no vectors."""
    store.refresh()
    table = store.items
    counts = census(table)
    size = table.stats()
    measured = ann_settings(store)
    rows = int(table.count_rows())
    return {
        "rows": rows,
        "kinds": {c.kind: n for c, n in counts.items() if c.column == VECTOR},
        "channels": {c.name: n for c, n in counts.items()},
        "embedder": store.manifest.embedder,
        "created": store.manifest.created.isoformat(),
        "version": int(table.version),
        "versions": len(table.list_versions()),
        "dimension": dimension_of(table),
        "bytes": size["total_bytes"],
        "tables": _tables(store),
        "fragments": size["fragment_stats"]["num_fragments"],
        "matrix_bytes": matrix_bytes(counts, dimension_of(table)),
        "search": "approximate" if VECTOR in measured else "exact",
        "recall": measured[VECTOR].recall if VECTOR in measured else None,
        "token_vectors": token_stats(store),
        "metadata": [_column(table, name, rows) for name in item_columns(table) if name not in OWN_COLUMNS],
        "indexes": [
            {
                "columns": list(i.columns),
                "type": str(i.index_type),
                "unindexed_rows": i.num_unindexed_rows,
                "recall": measured[i.columns[0]].recall if i.columns[0] in measured else None,
            }
            for i in table.list_indices()
        ],
        "failures": int(store.failures.count_rows()),
    }


def ann_settings(store: Store) -> dict[str, AnnSettings]:
    """The measured search settings of the columns that have an approximate index."""
    kept: Mapping[str, Any] = store.setting(ANN_SETTING) or {}
    return {c: AnnSettings(**kept.get(c, {})) for c in vector_indexes(store.items, (VECTOR, TEXT_VECTOR))}


def failures(store: Store) -> list[dict[str, str]]:
    """What could not be indexed, by uri: `uri`, `why`, and `at`, when that was found (ISO, UTC)."""
    store.failures.checkout_latest()
    found = store.failures.search().select(["uri", "why", "at"]).to_arrow().sort_by("uri").to_pylist()
    return [{**row, "at": row["at"].isoformat(timespec="seconds")} for row in found]


def _tables(store: Store) -> dict[str, dict[str, int]]:
    """Rows and bytes of every table. The bytes are those of the newest version; older ones may share its files."""
    named = {
        "items": store.items,
        "thumbnails": store.thumbnails,
        "frames": store.frames,
        "tokens": store.tokens,
        "failures": store.failures,
        "settings": store.settings,
    }
    return {
        name: {"rows": int(table.count_rows()), "bytes": int(table.stats()["total_bytes"])}
        for name, table in named.items()
        if table is not None
    }


def _column(table: Any, name: str, rows: int) -> dict[str, Any]:
    """A metadata column: `filled` is the share of rows that have a value; `least` and `most`, or `examples`."""
    kind = table.schema.field(name).type
    filled = int(table.count_rows(f"{name} IS NOT NULL"))
    told: dict[str, Any] = {"name": name, "type": type_name(kind), "filled": filled / rows if rows else 0.0}
    if not filled:
        return told
    query = table.search().where(f"{name} IS NOT NULL").select([name])
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_temporal(kind):
        # Batch by batch: the column of a large collection need not fit into memory.
        ends = [pc.min_max(batch[name]).as_py() for batch in query.to_batches() if batch.num_rows]
        return {**told, "least": _json(min(e["min"] for e in ends)), "most": _json(max(e["max"] for e in ends))}
    if pa.types.is_boolean(kind):
        return {
            **told,
            "examples": {"true": int(table.count_rows(name)), "false": int(table.count_rows(f"NOT {name}"))},
        }
    values = query.limit(EXAMPLE_ROWS).to_arrow()[name].combine_chunks()
    counted = pc.value_counts(values.flatten() if pa.types.is_list(kind) else values).to_pylist()
    counted.sort(key=lambda one: (-one["counts"], one["values"] or ""))
    return {**told, "examples": [one["values"] for one in counted[:EXAMPLES]]}


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
