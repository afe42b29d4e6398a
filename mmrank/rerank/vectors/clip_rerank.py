"""CLIPRerank (arXiv 2401.08449): the best frame of a video, blended with the first stage's score.

The formula is the authors'; whether they normalise the first stage's score is not stated, so both forms are here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

import numpy as np

from mmrank.aggregate import Floats, min_max
from mmrank.compose.choose import Compose
from mmrank.rerank.vectors.first_stage import first_scores, first_share, incomparable
from mmrank.rerank.vectors.settings import number, one_of
from mmrank.rerank.vectors.source import FrameSource, Matrix, Vector
from mmrank.rerank.vectors.stage import Rescored, Shortlist, VectorReranker

ALPHA = 0.4
"""The first stage's share in the paper."""

Normalise: TypeAlias = Literal["min_max", "raw"]


def frame_max(query: Vector, frames: Sequence[Matrix]) -> Floats:
    """For each video the largest cosine of the query with one of its frames, float64 (videos,).

    `query`: float32 (d,) of unit length. `frames`: per video unit rows, float32 (frames, d), one frame at least.

    >>> frame_max(np.array([1, 0], np.float32), [np.eye(2, dtype=np.float32), np.array([[0, 1]], np.float32)]).tolist()
    [1.0, 0.0]
    """
    starts = np.cumsum([0, *(len(own) for own in frames[:-1])])
    cosines = np.concatenate(frames).astype(np.float32, copy=False) @ query
    best: Floats = np.maximum.reduceat(cosines, starts).astype(np.float64)
    return best


def blended(first: Floats, second: Floats, alpha: float, *, normalise: Normalise = "min_max") -> Floats:
    """alpha * first + (1 - alpha) * second; with "min_max" each is brought to 0..1 over the list before.

    >>> blended(np.array([10.0, 20.0]), np.array([0.3, 0.1]), 0.4).round(6).tolist()
    [0.6, 0.4]
    """
    if normalise == "min_max":
        first, second = min_max(np.stack([first, second]))
    mixed: Floats = alpha * first + (1.0 - alpha) * second
    return mixed


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClipRerank(VectorReranker):
    """A stage that orders videos by their best frame and the first stage's score; see `clip_rerank`."""

    alpha: float = ALPHA
    normalise: Normalise = "min_max"
    wanted: ClassVar[str] = "frame vectors"
    held_at_once: ClassVar[int] = 2_048
    """Videos: with 12 frames of 512 dimensions 48 MiB."""

    def check(self) -> None:
        number(self.name, 0, 1, alpha=self.alpha)
        one_of(self.name, get_args(Normalise), normalise=self.normalise)

    @property
    def name(self) -> str:
        return "clip_rerank"

    def hold(self, ids: Sequence[str]) -> Mapping[str, Matrix]:
        found: Mapping[str, Matrix] = self.source.frame_vectors(ids)
        return found

    def rescore(self, shortlist: Shortlist) -> Rescored:
        best = frame_max(shortlist.vector, shortlist.held)
        if self.normalise == "min_max":
            first, note = first_share(shortlist.hits)
            return Rescored(blended(first, best, self.alpha), note=note)
        scores, stages = first_scores(shortlist.hits)
        if scores is None:
            return Rescored(np.full(len(best), np.nan), error=incomparable(stages))
        return Rescored(blended(scores, best, self.alpha, normalise="raw"))


def clip_rerank(
    source: FrameSource,
    *,
    alpha: float = ALPHA,
    depth: int | None = None,
    normalise: Normalise = "min_max",
    compose: Compose = None,
) -> ClipRerank:
    """A Stage for videos: alpha * (the score a hit came with) + (1 - alpha) * (its best frame's cosine).

    "min_max" brings both to 0..1 over the query's hits; "raw" takes them as they are, for a first stage that gives
    cosines. Hits without frame vectors (images, pages, texts; videos of another index) stand behind: search with
    ``kinds=["video"]``. Scores of several stages do not compare: with "min_max" ranks stand in for them, with "raw"
    the previous order stays; the record says so. Raises `UsageError` for settings that mean nothing.

    >>> from mmrank.rerank.vectors.source import GivenVectors
    >>> clip_rerank(GivenVectors(), alpha=0.3)
    clip_rerank(GivenVectors(), alpha=0.3)
    """
    return ClipRerank(source=source, alpha=alpha, depth=depth, normalise=normalise, compose=compose)
