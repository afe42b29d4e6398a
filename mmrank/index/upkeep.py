"""What keeps an index fast and its scores right after its rows changed: indexes, compaction, calibration, recall."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Literal, TypeAlias

from mmrank.embed.base import Embedder
from mmrank.errors import UsageError
from mmrank.index.calibrate import EVERYDAY, SAMPLE_SETTING, Mean, setting_key
from mmrank.index.commit import until_committed
from mmrank.index.measure import HNSW_LADDER, RQ_LADDER, SAMPLE, probes, recall_at, true_reach, tuned
from mmrank.index.nearest import ANN_SETTING, vector_indexes
from mmrank.index.options import is_count
from mmrank.index.report import Upkeep
from mmrank.index.scalar import make_scalar_indexes
from mmrank.index.schema import TEXT_VECTOR, VECTOR
from mmrank.index.sentences import drawn_sentences
from mmrank.index.sentences import setting_key as sentences_key
from mmrank.index.snapshot import EXACT_BYTES, Channel, census, dimension_of, matrix_bytes, vector_batches
from mmrank.index.stats import ann_settings
from mmrank.index.store import Store
from mmrank.index.tokens import index_tokens, sweep
from mmrank.index.widen import settle

log = logging.getLogger("mmrank.index.upkeep")

Ann: TypeAlias = Literal["hnsw_sq", "ivf_rq"]

UNINDEXED_ROWS = 10_000
"""Rows outside an index are scanned by every search; from about here the scan costs more than the indexed part."""

FRAGMENTS = 20
"""More data files than this and opening them shows in a search; every small `add` leaves one."""

KEEP_VERSIONS = timedelta(hours=1)
"""Versions younger than this are never removed: a search that began before a compaction finishes on its files. A
search looks for the newest version each time, so an hour is far more than any needs."""

HNSW_NEIGHBOURS = 20
HNSW_BUILD = 150
"""Links per node and candidates while building: recall 0.99 at ef 64 on hard 200,000 x 512 data, 173 s on one core."""

PARTITION_ROWS = 1_000_000
"""One HNSW graph up to this many rows; every partition more is another graph to enter."""


def after_build(
    store: Store, embedder: Embedder, *, changed: int, exact_bytes: int = EXACT_BYTES, done: Upkeep | None = None
) -> float | None:
    """Bring indexes, calibration and measured recall up to date after `changed` rows were written or removed.

    Returns recall@10 of the approximate index, or None where search is exact. Safe to run again after a kill at
    any point: each step does what is missing, whatever `changed` says. `exact_bytes`: beyond this size of the matrix
    of all vectors an approximate index is built. `done`: what was done to keep tables fast is added to it.
    """
    done = Upkeep() if done is None else done
    store.refresh()
    table = store.items
    settle(table)
    _calibrate(store, embedder, afresh=changed > 0)
    _scalar_indexes(table, done)
    _tokens(store)
    _drop_empty(store)
    _approximate(store, None, done, tune=_compact(store, done), exact_bytes=exact_bytes)
    measured = ann_settings(store)
    return measured[VECTOR].recall if VECTOR in measured else None


def optimize(store: Store, *, ann: Ann | None = None, exact_bytes: int = EXACT_BYTES) -> float | None:
    """Compact, fold new rows into every index, clean versions older than an hour, calibrate, measure recall.

    `ann` builds an approximate index of that kind whatever the size: "hnsw_sq" (recall), "ivf_rq" (small, built
    ten times faster). Without it one is built when the vectors outgrow `exact_bytes`, or kept if there. Compacting
    token vectors takes about 650 MB of memory, however many they are.
    """
    if ann not in (None, "hnsw_sq", "ivf_rq"):
        raise UsageError(f"ann is {ann!r}; it must be 'hnsw_sq', 'ivf_rq' or None.")
    store.refresh()
    settle(store.items)
    _calibrate(store, None, afresh=True)
    done = Upkeep()
    _scalar_indexes(store.items, done)
    _tokens(store)
    _drop_empty(store)
    for table in (store.items, store.thumbnails, store.frames, store.tokens, store.failures, store.settings):
        if table is not None:
            _compacted(table, done)
    _approximate(store, ann, done, tune=True, exact_bytes=exact_bytes)
    store.refresh()
    measured = ann_settings(store)
    return measured[VECTOR].recall if VECTOR in measured else None


def recalibrate(store: Store) -> None:
    """Measure the means of the channels anew that have another number of rows than when they were last measured.

    For after rows were removed: `after_build` and `optimize` do it themselves.
    """
    store.refresh()
    _calibrate(store, None, afresh=False)


def recall(store: Store, sample: int = SAMPLE, *, seed: int = 0) -> float | None:
    """Recall@10 of the approximate index against a full scan, over `sample` stored vectors moved by noise.

    Raises `UsageError` for a sample that is no whole number from 1. None where there is no approximate index (then
    search is exact) or no row any more.
    """
    if not is_count(sample):
        raise UsageError(f"sample is {sample!r}; it must be a whole number from 1.")
    store.refresh()
    measured = ann_settings(store)
    if VECTOR not in measured:
        return None
    table = store.items
    queries = probes(table, VECTOR, sample, seed)
    if not len(queries):
        return None
    return recall_at(table, VECTOR, queries, true_reach(table, VECTOR, queries), measured[VECTOR])


def _calibrate(store: Store, embedder: Embedder | None, *, afresh: bool) -> None:
    """Keep the mean of every channel, all of them or those that are missing or were of another number of rows.

    With one channel scores are plain cosines and need none.
    """
    table = store.items
    counts = census(table)
    if len(counts) < 2:
        return
    for channel, rows in counts.items():
        kept = store.setting(setting_key(channel))
        if not afresh and kept is not None and kept["rows"] == rows:
            continue
        found = Mean.of(vector_batches(table, channel), dimension_of(table))
        store.set_setting(setting_key(channel), found.to_json())
    if embedder is not None:
        _listen(store, embedder, counts)


def _listen(store: Store, embedder: Embedder, counts: Mapping[Channel, int]) -> None:
    """Keep the means of what stands in for text queries: everyday sentences, and those of each kind's own texts.

    A kind's are drawn again when it has twice the rows it had: more of the same hardly moves a mean.
    """
    table = store.items
    if store.setting(SAMPLE_SETTING) is None:
        sample = Mean.of([embedder.embed_texts(EVERYDAY)], dimension_of(table))
        store.set_setting(SAMPLE_SETTING, sample.to_json())
    rows = {channel.kind: n for channel, n in counts.items() if channel.column == VECTOR}
    for kind, n in rows.items():
        kept = store.setting(sentences_key(kind))
        if kept is not None and n < 2 * kept["of_rows"]:
            continue
        chosen = drawn_sentences(table, kind)
        if chosen:
            spoken = Mean.of([embedder.embed_texts(chosen)], dimension_of(table))
            store.set_setting(sentences_key(kind), {**spoken.to_json(), "of_rows": n})


def _scalar_indexes(table: Any, done: Upkeep) -> None:
    """The indexes filters and text searches use, those that are missing. An empty table has nothing to index."""
    from lancedb.index import FTS

    if not table.count_rows():
        return
    if made := make_scalar_indexes(table):
        log.info("indexed for filters: %s", ", ".join(made))
        done.indexed += made
    there = {column for index in table.list_indices() for column in index.columns}
    if "text" not in there and table.count_rows("text IS NOT NULL"):
        # ICU segments scripts without spaces too; stop words stay, or "to be or not to be" would find nothing.
        config = FTS(base_tokenizer="icu", stem=True, remove_stop_words=False, with_position=False)
        _indexed(table, "text", config)


def _tokens(store: Store) -> None:
    """Remove token vectors that killed builds left behind, and index the others by content."""
    if (table := store.find_tokens()) is not None:
        sweep(store)
        index_tokens(table)


def _compact(store: Store, done: Upkeep) -> bool:
    """Compact and fold in new rows when enough has piled up; a small `add` to a large index stays cheap."""
    table = store.items
    fragments = table.stats()["fragment_stats"]["num_fragments"]
    unindexed = max((i.num_unindexed_rows or 0 for i in table.list_indices()), default=0)
    full = fragments > FRAGMENTS or unindexed > UNINDEXED_ROWS
    if full:
        _compacted(table, done)
    return full


def _compacted(table: Any, done: Upkeep) -> None:
    files, versions = _files_and_versions(table)
    until_committed(table, lambda: table.optimize(cleanup_older_than=KEEP_VERSIONS))
    files_now, versions_now = _files_and_versions(table)
    log.info(
        "compacted %s: data files %d -> %d, versions %d -> %d",
        *(table.name, files, files_now, len(versions), len(versions_now)),
    )
    done.compacted[table.name] = files, files_now
    done.versions_removed += len(versions - versions_now)


def _files_and_versions(table: Any) -> tuple[int, set[int]]:
    files = int(table.stats()["fragment_stats"]["num_fragments"])
    return files, {version["version"] for version in table.list_versions()}


def _indexed(table: Any, column: str, config: Any) -> None:
    until_committed(table, lambda: table.create_index(column, config=config))


def _drop_empty(store: Store) -> None:
    """Drop approximate indexes of columns whose last vector was removed: Lance cannot renew them without rows."""
    table = store.items
    for column, name in vector_indexes(table, (VECTOR, TEXT_VECTOR)).items():
        if not table.count_rows(f"{column} IS NOT NULL"):
            until_committed(table, partial(table.drop_index, name))


def _approximate(store: Store, ann: Ann | None, done: Upkeep, *, tune: bool, exact_bytes: int) -> None:
    """Build the approximate indexes that policy or caller want; tune those that are new, or all when asked."""
    table = store.items
    there = vector_indexes(table, (VECTOR, TEXT_VECTOR))
    large = matrix_bytes(census(table), dimension_of(table)) > exact_bytes
    if ann is None and not large and not there:
        return
    kept = {c: settings for c, settings in (store.setting(ANN_SETTING) or {}).items() if c in there}
    for column in (VECTOR, TEXT_VECTOR):
        rows = int(table.count_rows(f"{column} IS NOT NULL"))
        new = rows > 0 and (ann is not None or (large and column not in there))
        if new:
            _indexed(table, column, _config(ann or "hnsw_sq", rows))
            done.approximate.append(column)
        if new or (column in there and (tune or column not in kept)):
            ladder = RQ_LADDER if _is_rq(table, column) else HNSW_LADDER
            kept[column] = tuned(table, column, ladder, probes(table, column)).to_json()
    store.set_setting(ANN_SETTING, kept)


def _config(ann: Ann, rows: int) -> Any:
    from lancedb.index import HnswSq, IvfRq

    if ann == "ivf_rq":
        return IvfRq(distance_type="cosine")
    partitions = -(-rows // PARTITION_ROWS)
    return HnswSq(distance_type="cosine", num_partitions=partitions, m=HNSW_NEIGHBOURS, ef_construction=HNSW_BUILD)


def _is_rq(table: Any, column: str) -> bool:
    name = vector_indexes(table, (column,))[column]
    return "RQ" in str(table.index_stats(name).index_type).upper()
