"""Near-duplicates in a Ranking: the best of each group keeps its place, the others go behind all that are new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from mmrank.rerank.vectors.settings import number
from mmrank.rerank.vectors.source import Asked, Matrix, VectorSource
from mmrank.rerank.vectors.stage import NAMED, Rescored, Shortlist, VectorReranker, settled, unasked
from mmrank.types import Hit, Query, Ranking

THRESHOLD = 0.95
"""Cosine from which two Items count as one. It depends on the embedder: look at some groups before trusting it."""


def duplicate_groups(vectors: Matrix, threshold: float = THRESHOLD) -> npt.NDArray[np.int64]:
    """For each row the position of its group's first row, int64 (n,); a row that begins a group names itself.

    Rows are taken in order. A row joins the nearest group whose *first* row is within `threshold` (cosine, inclusive),
    so that groups do not grow in chains from one thing to another. `vectors`: unit rows, float32 (n, d).

    >>> duplicate_groups(np.array([[1, 0], [0, 1], [0.99, 0.141], [0, 1]], np.float32), 0.9).tolist()
    [0, 1, 0, 1]
    """
    owner = np.empty(len(vectors), np.int64)
    firsts: list[int] = []
    heads = np.empty_like(vectors)
    for row, vector in enumerate(vectors):
        # Rounding: a product of two equal unit vectors may come out a hair under 1.
        cosines = settled(heads[: len(firsts)] @ vector)
        nearest = int(np.argmax(cosines)) if firsts else -1
        if nearest >= 0 and cosines[nearest] >= threshold:
            owner[row] = firsts[nearest]
            continue
        owner[row] = row
        heads[len(firsts)] = vector
        firsts.append(row)
    return owner


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class NearDuplicates(VectorReranker):
    """A stage that moves near-duplicates behind; see `near_duplicates`."""

    threshold: float = THRESHOLD
    compares_kinds: ClassVar[bool] = False

    def check(self) -> None:
        number(self.name, -1, 1, threshold=self.threshold)

    @property
    def name(self) -> str:
        return "near_duplicates"

    def ask(self, batch: Sequence[tuple[Query, Sequence[Hit]]]) -> Sequence[Asked]:
        return unasked(batch)

    def rescore(self, shortlist: Shortlist) -> Rescored:
        owner = duplicate_groups(shortlist.matrix, self.threshold)
        count = len(owner)
        own = owner == np.arange(count)
        order = [*np.flatnonzero(own).tolist(), *np.flatnonzero(~own).tolist()]
        scores = np.empty(count)
        scores[order] = np.arange(count, 0, -1.0)
        return Rescored(scores, order=order, note=_note(shortlist, owner, order[int(own.sum()) :]))

    def groups(self, ranking: Ranking) -> list[tuple[str, ...]]:
        """The ids of each group of two or more among the first `depth` hits, best first, as `process` sees them."""
        if not ranking.hits:
            return []
        shortlist = self.gather([(ranking.query, ranking.hits[: self.depth])])[0].shortlist
        if shortlist is None:
            return []
        found: dict[int, list[str]] = {}
        for hit, first in zip(shortlist.hits, duplicate_groups(shortlist.matrix, self.threshold).tolist(), strict=True):
            found.setdefault(first, []).append(hit.id)
        return [tuple(ids) for ids in found.values() if len(ids) > 1]


def _note(shortlist: Shortlist, owner: npt.NDArray[np.int64], moved: Sequence[int]) -> str | None:
    if not moved:
        return None
    hits = shortlist.hits
    named = ", ".join(f"{hits[row].id!r} of {hits[owner[row]].id!r}" for row in moved[:NAMED])
    more = f" and {len(moved) - NAMED} more" if len(moved) > NAMED else ""
    return f"{len(moved)} of {len(hits)} hits are near-duplicates of one above: {named}{more}."


def near_duplicates(source: VectorSource, *, threshold: float = THRESHOLD, depth: int | None = None) -> NearDuplicates:
    """A Stage: of hits whose vectors are within `threshold` (cosine) only the best keeps its place.

    The others stand behind everything new, in previous order; nothing is lost, and a cut-off behind this stage takes
    them away. Scores become places counted from below (the old ones are in the trace); the record names the first few
    and `stage.groups(ranking)` gives all groups. Raises `UsageError` for a threshold outside -1 to 1.

    >>> from mmrank.rerank.vectors.source import GivenVectors
    >>> near_duplicates(GivenVectors(), threshold=0.9)
    near_duplicates(GivenVectors(), threshold=0.9)
    """
    return NearDuplicates(source=source, threshold=threshold, depth=depth)
