"""Rows on their way to becoming hits: a query's channels joined into one list, and two sides of a query into one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from mmrank.index.exact import Matrix
from mmrank.index.snapshot import Channel
from mmrank.index.sources import Ask, Candidates, CandidateSource
from mmrank.types import Source

if TYPE_CHECKING:
    from mmrank.compose.forms import Rule

Side: TypeAlias = Literal["image", "text"]
SIDES: tuple[Side, Side] = ("image", "text")


@dataclass(frozen=True, slots=True)
class Picked:
    """A row that made it: its key in the source, its score, and the scores behind it."""

    key: int
    score: float
    sources: tuple[Source, ...] = ()


Lister: TypeAlias = Callable[[Matrix, Sequence[Ask], int, Side | None], list[list[Picked]]]
"""Vectors (q, d), what each query may get, k, and whether the vectors are one side of a query: the best k of each."""


def joined(
    lists: Mapping[Channel, Candidates],
    gaps: Mapping[Channel, float],
    k: int,
    source: CandidateSource,
) -> list[Picked]:
    """One query's channels into one list: best calibrated score of each row, ties by id."""
    best: dict[int, float] = {}
    raw: dict[int, list[Source]] = {}
    for channel, candidates in lists.items():
        calibrated = (candidates.scores - np.float32(gaps[channel])).tolist()
        cosines = candidates.scores.tolist()
        for rank, (key, score, cosine) in enumerate(zip(candidates.keys.tolist(), calibrated, cosines, strict=True), 1):
            best[key] = max(score, best.get(key, score))
            raw.setdefault(key, []).append(Source(name=channel.name, rank=rank, score=cosine))
    keys = list(best)
    names = dict(zip(keys, source.ids(keys), strict=True))
    keys.sort(key=lambda key: (-best[key], names[key]))
    return [Picked(key, best[key], tuple(raw[key])) for key in keys[:k]]


def intersected(
    lister: Lister,
    source: CandidateSource,
    sides: tuple[Matrix, Matrix],
    asks: Sequence[Ask],
    *,
    depth: int,
    rule: Rule,
) -> list[list[Picked]]:
    """All rows of each query's union, ordered by what its picture and its text agree on; ties by id.

    `sides`: the pictures' and the texts' vectors, each (q, d). Each side lists its best `depth`; every row of the union
    is then scored on both, exactly, whatever index listed it. `sources` of a row: its rank and score on either side.
    """
    listed = [lister(vectors, asks, depth, side) for vectors, side in zip(sides, SIDES, strict=True)]
    unions = [sorted({p.key for found in both for p in found}) for both in zip(*listed, strict=True)]
    among = [Ask((), tuple(source.ids(keys))) for keys in unions]
    most = max((len(keys) for keys in unions), default=0) or 1
    scored = [lister(vectors, among, most, side) for vectors, side in zip(sides, SIDES, strict=True)]
    return [_agreed(by_image, by_text, source, rule) for by_image, by_text in zip(*scored, strict=True)]


def _agreed(by_image: Sequence[Picked], by_text: Sequence[Picked], source: CandidateSource, rule: Rule) -> list[Picked]:
    from mmrank.compose.agreement import agreement

    keys = [p.key for p in by_image]
    names = dict(zip(keys, source.ids(keys), strict=True))
    on_text = {p.key: (rank, p.score) for rank, p in enumerate(by_text, 1)}
    scores = agreement([p.score for p in by_image], [on_text[key][1] for key in keys], rule).tolist()
    made = []
    for rank, (p, score) in enumerate(zip(by_image, scores, strict=True), 1):
        text_rank, text_score = on_text[p.key]
        sources = (
            Source(name="image", rank=rank, score=p.score),
            Source(name="text", rank=text_rank, score=text_score),
        )
        made.append(Picked(p.key, score, sources))
    made.sort(key=lambda p: (-p.score, names[p.key]))
    return made
