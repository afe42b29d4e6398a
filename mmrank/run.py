"""Run: the Rankings of many queries as columns, for fusion, metrics and TREC files.

A million hits are three arrays here, not a million objects. Order is the truth: a query's items stand best
first, whatever their scores say.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from mmrank.errors import UsageError
from mmrank.types import Hit, Item, Kind, Query, Ranking

TREC_COLUMNS = 6
"""``qid Q0 docid rank score tag``"""

NATIVE_SUFFIX = ".native"
"""Beside a run file: ``qid docid score`` with the scores as they were given."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """Many ranked lists as columns.

    `query_ids`: one per query. `offsets`: int64 (queries + 1,); query q's hits are rows
    ``offsets[q]:offsets[q + 1]``, best first. `codes`: int32 (hits,) into `items`, the distinct item ids.
    `scores`: float64 (hits,), native, need not decrease.

    >>> run = Run.from_matrix(np.array([[0.1, 0.9]]), ["q"], ["a", "b"])
    >>> run.ids("q")
    ('b', 'a')
    """

    query_ids: tuple[str, ...]
    offsets: npt.NDArray[np.int64]
    items: tuple[str, ...]
    codes: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float64]
    name: str = "mmrank"

    def __post_init__(self) -> None:
        if len(set(self.query_ids)) != len(self.query_ids):
            raise UsageError("A query id is in the Run twice; give every query its own id.")
        if len(set(self.items)) != len(self.items):
            raise UsageError("An item id is in the Run twice; give every item its own id.")

    def __len__(self) -> int:
        return len(self.query_ids)

    def __iter__(self) -> Iterator[tuple[str, tuple[str, ...], npt.NDArray[np.float64]]]:
        """(query id, item ids best first, native scores) of each query."""
        for q, query_id in enumerate(self.query_ids):
            rows = slice(int(self.offsets[q]), int(self.offsets[q + 1]))
            yield query_id, tuple(self.items[c] for c in self.codes[rows]), self.scores[rows]

    def ids(self, query_id: str) -> tuple[str, ...]:
        """The item ids of one query, best first. Raises `UsageError` for an unknown query."""
        if query_id not in self.query_ids:
            raise UsageError(f"The Run has no query {query_id!r}; it has {len(self)} queries.")
        q = self.query_ids.index(query_id)
        return tuple(self.items[c] for c in self.codes[self.offsets[q] : self.offsets[q + 1]])

    @classmethod
    def from_rankings(cls, rankings: Sequence[Ranking], name: str = "mmrank") -> Run:
        """The columns of some Rankings."""
        lists = [(r.query.id, r.ids, [h.score for h in r]) for r in rankings]
        return cls.from_lists(lists, name)

    @classmethod
    def from_lists(cls, lists: Sequence[tuple[str, Sequence[str], Sequence[float]]], name: str = "mmrank") -> Run:
        """From (query id, item ids best first, their scores), one for each query.

        >>> Run.from_lists([("q", ["b", "a"], [0.9, 0.1])]).ids("q")
        ('b', 'a')
        """
        code: dict[str, int] = {}
        codes = [code.setdefault(item, len(code)) for _, ids, _ in lists for item in ids]
        return cls(
            query_ids=tuple(query for query, _, _ in lists),
            offsets=np.cumsum([0, *(len(ids) for _, ids, _ in lists)], dtype=np.int64),
            items=tuple(code),
            codes=np.asarray(codes, dtype=np.int32),
            scores=np.asarray([s for _, _, scores in lists for s in scores], dtype=np.float64),
            name=name,
        )

    @classmethod
    def from_matrix(
        cls,
        scores: npt.NDArray[np.floating],
        query_ids: Sequence[str],
        item_ids: Sequence[str],
        *,
        k: int | None = None,
        name: str = "mmrank",
    ) -> Run:
        """A similarity matrix of shape (queries, items) as a Run of the best `k` each (all when None).

        Equal scores go by id, so that the order of the columns decides nothing. Raises `UsageError` for a wrong
        shape, a score that is NaN, or an id that is there twice.
        """
        if scores.shape != (len(query_ids), len(item_ids)):
            raise UsageError(
                f"The matrix has shape {scores.shape}; {len(query_ids)} queries and {len(item_ids)} items need "
                f"({len(query_ids)}, {len(item_ids)}). Transpose it if its rows are the items."
            )
        if np.isnan(scores).any():
            raise UsageError(f"{int(np.isnan(scores).sum())} scores of the matrix are NaN; a Run needs numbers.")
        depth = len(item_ids) if k is None else min(k, len(item_ids))
        by_id = np.array(sorted(range(len(item_ids)), key=item_ids.__getitem__), dtype=np.int32)
        order = by_id[np.argsort(-scores[:, by_id], axis=1, kind="stable")[:, :depth]]
        return cls(
            query_ids=tuple(query_ids),
            offsets=np.arange(len(query_ids) + 1, dtype=np.int64) * depth,
            items=tuple(item_ids),
            codes=order.astype(np.int32).ravel(),
            scores=np.take_along_axis(scores, order, axis=1).astype(np.float64).ravel(),
            name=name,
        )

    def rankings(
        self,
        queries: Mapping[str, Query] | None = None,
        items: Mapping[str, Item] | None = None,
        *,
        kind: Kind = "text",
    ) -> list[Ranking]:
        """Back to Rankings. Ids not in `queries` / `items` become a Query / an Item of `kind` with that id only."""
        known_queries, known_items = queries or {}, items or {}
        bare = {i: Item(id=i, kind=kind) for i in self.items if i not in known_items}
        return [
            Ranking(
                query=known_queries.get(query_id) or Query(text=query_id, id=query_id),
                hits=[
                    Hit(item=known_items.get(i) or bare[i], score=float(s), stage=self.name)
                    for i, s in zip(ids, scores, strict=True)
                ],
            )
            for query_id, ids, scores in self
        ]

    def write(self, path: str | Path) -> None:
        """Write a TREC run file (gzip when the name ends in .gz), native scores beside it in ``<path>.native``.

        Scores in the run file are n, n-1, ..., 1: strictly decreasing and exact in float32, so that trec_eval,
        which ignores the rank column and sorts by score, sees our order. White space in the run's name becomes ``_``.
        """
        tag = "_".join(self.name.split()) or "mmrank"
        for query_id in self.query_ids:
            _no_white_space(query_id, "query id")
        for item in self.items:
            _no_white_space(item, "item id")
        with _open(Path(path), "wt") as out, _open(Path(f"{path}{NATIVE_SUFFIX}"), "wt") as native:
            for query_id, ids, scores in self:
                for rank, (item, score) in enumerate(zip(ids, scores, strict=True), 1):
                    out.write(f"{query_id} Q0 {item} {rank} {len(ids) - rank + 1} {tag}\n")
                    native.write(f"{query_id} {item} {float(score)!r}\n")

    @classmethod
    def read(cls, path: str | Path) -> Run:
        """Read a TREC run: six columns split by tabs or spaces, gzip or not.

        Items are ordered by score, highest first; equal scores by the rank column, then the id. When
        ``<path>.native`` lies beside it, scores come from there. Raises `UsageError` that names the line, or the file
        when it is no text.
        """
        path = Path(path)
        rows: dict[str, dict[str, tuple[float, int]]] = {}
        tag = "mmrank"
        for number, line in _lines(path):
            query_id, item, rank, score, tag = _parse(line, path, number)
            if item in rows.setdefault(query_id, {}):
                raise UsageError(f"{path}:{number}: item {item!r} is in query {query_id!r} twice.")
            rows[query_id][item] = (score, rank)
        native = _native(Path(f"{path}{NATIVE_SUFFIX}"))
        lists = []
        for query_id, found in rows.items():
            ids = sorted(found, key=lambda i: (-found[i][0], found[i][1], i))
            lists.append((query_id, ids, [native.get((query_id, i), found[i][0]) for i in ids]))
        return cls.from_lists(lists, tag)


def _parse(line: str, path: Path, number: int) -> tuple[str, str, int, float, str]:
    parts = line.split()
    if len(parts) != TREC_COLUMNS:
        raise UsageError(
            f"{path}:{number}: {len(parts)} columns; a TREC run has 6: query Q0 item rank score tag, "
            "split by spaces or tabs."
        )
    query_id, _, item, rank, score, tag = parts
    try:
        value, place = float(score), int(float(rank))
    except (ValueError, OverflowError):
        raise UsageError(f"{path}:{number}: rank {rank!r} and score {score!r} must be numbers.") from None
    if np.isnan(value):
        raise UsageError(f"{path}:{number}: the score is NaN; remove the line or give a number.")
    return query_id, item, place, value, tag


def _native(path: Path) -> dict[tuple[str, str], float]:
    if not path.exists():
        return {}
    scores: dict[tuple[str, str], float] = {}
    for number, line in _lines(path):
        try:
            query_id, item, score = line.split()
            scores[query_id, item] = float(score)
        except ValueError:
            raise UsageError(
                f"{path}:{number}: {line.strip()!r} is not a query, an item and a score. The file holds the native "
                f"scores of {path.name.removesuffix(NATIVE_SUFFIX)}; write that run again, or delete it."
            ) from None
    return scores


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of a text file, gzip or not, that are not empty."""
    try:
        with _open(path, "rt") as lines:
            yield from ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    except (UnicodeDecodeError, EOFError, zlib.error) as error:
        raise UsageError(f"{path} is no TREC run: {error}. Give a text file, or a whole gzip file.") from None


def _open(path: Path, mode: str) -> IO[str]:
    name = path.name.removesuffix(NATIVE_SUFFIX)
    if name.endswith(".gz"):
        return gzip.open(path, mode, encoding="utf-8")  # type: ignore[return-value]
    return path.open(mode, encoding="utf-8")


def _no_white_space(name: str, what: str) -> None:
    if not name or any(c.isspace() for c in name):
        raise UsageError(
            f"The {what} {name!r} is empty or holds white space; TREC files split on it. Percent-encode it."
        )
