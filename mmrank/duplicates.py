"""Near-identical hits folded behind the best of them: equal content first, then pictures that show the same.

Cosines alone cannot decide it: on the toybox a crop of 2 % came down to 0.936 while a picture whose two objects changed
places reached 0.998. So a cosine says which pictures are worth a look, and their thumbnails are compared
(`mmrank.media.alike`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from mmrank.errors import MediaError, UsageError
from mmrank.folding import check_distinct, fold, folded_note
from mmrank.pipeline import Stage
from mmrank.types import Cost, Hit, Kind, Ranking, Record

if TYPE_CHECKING:
    from mmrank.media.alike import Cells

NAME = "distinct"

WORTH_A_LOOK = 0.9
"""Cosine from which two pictures' thumbnails are compared: the lowest of 2,400 re-encoded, resized or cropped toybox
pictures was 0.935."""

WITHOUT_LOOK = 0.9985
"""Cosine from which two pictures without thumbnails count as the same: of 1,500 toybox pictures with one thing changed
the nearest reached 0.9978; re-encodings at a quality of 75 stay above (0.9990), crops mostly do not."""

AHEAD = 64
"""Thumbnails are read this many at a time, in the order of the hits: about 300 KiB."""

DECIMALS = 6
"""Cosines are rounded here: equal vectors may come out a hair under 1, and by how much hangs on their place."""

Vector = npt.NDArray[np.float32]


class Looks(Protocol):
    """What near-identical hits are told by. An `Index` gives all of it."""

    def known_vectors(self, ids: Sequence[str]) -> Mapping[str, Vector]:
        """Unit vectors by Item id, float32 (dimension,); ids without one are left out."""
        ...

    def contents(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Hashes of what the Items hold, by id; ids without one are left out."""
        ...

    def thumbnails(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        """Small pictures by id, in any format that `mmrank.media.image` opens; ids without one are left out."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Distinct(Stage):
    """A Stage that folds near-identical hits; see `distinct`."""

    source: Any
    threshold: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.threshold, bool):
            raise UsageError(f"threshold is {self.threshold!r}; it must be a cosine from -1 to 1, or None.")
        check_distinct(self.threshold)
        needed = ["known_vectors", *(("contents", "thumbnails") if self.threshold is None else ())]
        if missing := [name for name in needed if not hasattr(self.source, name)]:
            raise UsageError(
                f"distinct was given a {type(self.source).__name__} without {' and '.join(missing)}; give an Index, or "
                "a threshold too: then vectors alone decide."
            )

    @property
    def name(self) -> str:
        return NAME

    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        return [self.folded(ranking) for ranking in rankings]

    def folded(self, ranking: Ranking, k: int | None = None) -> Ranking:
        """One Ranking, folded; `k`: only its first k distinct hits."""
        start = time.perf_counter()
        evidence = Evidence(self.source, ranking.hits, self.threshold)
        owners = owners_alike(ranking.hits, evidence, k)
        unknown = sum(hit.id not in evidence.vectors for hit in ranking.hits)
        record = Record(
            stage=self.name,
            status="repaired" if unknown else "ok",
            error=f"{unknown} of {len(ranking)} hits have no vector here and stand for themselves."
            if unknown
            else None,
            note=folded_note(len(ranking), owners),
            cost=Cost(seconds=time.perf_counter() - start),
        )
        return ranking.with_hits(fold(ranking.hits, owners, NAME), record)

    def __repr__(self) -> str:
        told = "" if self.threshold is None else f", threshold={self.threshold!r}"
        return f"distinct({self.source!r}{told})"


def distinct(source: Looks, threshold: float | None = None) -> Distinct:
    """A Stage: of hits that are near-identical the best one stays, the others stand in its `folded`.

    Hits of equal content are one, whatever their kind. Images besides when they show the same: their cosine is at least
    `WORTH_A_LOOK` and their thumbnails agree; pages, videos and texts that look alike differ in what matters.
    `threshold` (-1..1) has vectors alone decide: hits of one kind within this cosine are one, such as 0.95 for the
    pictures of a burst; it depends on the embedder. In the order of the Ranking, each hit joins the nearest leading hit
    that it is the same as, or leads from then on. Raises `UsageError` for another threshold.

    >>> from mmrank.rerank.vectors.source import GivenVectors
    >>> distinct(GivenVectors(), threshold=0.95)
    distinct(GivenVectors(), threshold=0.95)
    """
    return Distinct(source=source, threshold=threshold)


def owners_alike(hits: Sequence[Hit], evidence: Evidence, k: int | None = None) -> list[int | None]:
    """For each hit the position of the one it is near-identical to, its own for one that leads.

    `k`: only the first k lead; what is like none of them has the owner None.
    """
    by_content: dict[str, int] = {}
    heads: dict[Kind, _Heads] = {}
    owners: list[int | None] = []
    leading = 0
    for position, hit in enumerate(hits):
        content = evidence.contents.get(hit.id)
        mine = heads.setdefault(hit.item.kind, _Heads())
        owner = by_content.get(content) if content is not None else None
        if owner is None:
            owner = evidence.nearest(hit, mine)
        if owner is None and (k is None or leading < k):
            owner, leading = position, leading + 1
            if hit.id in evidence.vectors:
                mine.add(position, hit.id, evidence.vectors[hit.id])
        if owner is not None and content is not None:
            by_content.setdefault(content, owner)
        owners.append(owner)
    return owners


@dataclass(slots=True)
class _Heads:
    """The leading hits of one kind: positions, ids, and their vectors as rows of a matrix that grows."""

    positions: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    rows: Vector = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def add(self, position: int, item_id: str, vector: Vector) -> None:
        count = len(self.positions)
        if count == len(self.rows):
            grown = np.zeros((max(16, 2 * count), len(vector)), np.float32)
            if count:
                grown[:count] = self.rows
            self.rows = grown
        self.rows[count] = vector
        self.positions.append(position)
        self.ids.append(item_id)

    def cosines(self, vector: Vector) -> npt.NDArray[np.float64]:
        found: npt.NDArray[np.float64] = (self.rows[: len(self.positions)] @ vector).astype(np.float64).round(DECIMALS)
        return found


class Evidence:
    """What is known of the hits of one Ranking; thumbnails are read when two vectors are near enough."""

    def __init__(self, source: Any, hits: Sequence[Hit], threshold: float | None) -> None:
        ids = [hit.id for hit in hits]
        self.vectors: Mapping[str, Vector] = source.known_vectors(ids)
        self.contents: Mapping[str, str] = source.contents(ids) if hasattr(source, "contents") else {}
        self._source = source
        self._threshold = threshold
        self._images = [hit.id for hit in hits if hit.item.kind == "image"]
        self._place = {item_id: place for place, item_id in enumerate(self._images)}
        self._cells: dict[str, Cells | None] = {}

    def nearest(self, hit: Hit, heads: _Heads) -> int | None:
        """The position of the nearest leading hit that this one is the same as."""
        vector = self.vectors.get(hit.id)
        if vector is None or not heads.positions or (self._threshold is None and hit.item.kind != "image"):
            return None
        cosines = heads.cosines(vector)
        near = np.flatnonzero(cosines >= (WORTH_A_LOOK if self._threshold is None else self._threshold))
        best_first: list[int] = near[np.argsort(-cosines[near], kind="stable")].tolist()
        for head in best_first:
            if self._threshold is not None or self._same(hit.id, heads.ids[head], float(cosines[head])):
                return heads.positions[head]
        return None

    def _same(self, item_id: str, other: str, cosine: float) -> bool:
        from mmrank.media.alike import ALIKE, difference

        self._look_at([item_id, other])
        one, two = self._cells[item_id], self._cells[other]
        if one is None or two is None:
            return cosine >= WITHOUT_LOOK
        return difference(one, two) <= ALIKE

    def _look_at(self, ids: Sequence[str]) -> None:
        """Read the thumbnails of these hits, and of those that come next, where they are not known yet."""
        if all(item_id in self._cells for item_id in ids):
            return
        start = self._place[ids[0]]
        wanted = [i for i in dict.fromkeys((*ids, *self._images[start : start + AHEAD])) if i not in self._cells]
        found = self._source.thumbnails(wanted)
        self._cells.update((item_id, _cells(found.get(item_id))) for item_id in wanted)


def _cells(picture: bytes | None) -> Cells | None:
    from mmrank.media.alike import cells_of

    try:
        return None if picture is None else cells_of(picture)
    except MediaError:  # a thumbnail that cannot be read is as good as none: the vectors decide
        return None
