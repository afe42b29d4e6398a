"""The scores that hits came with, where a stage mixes them with its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmrank.aggregate import Floats, min_max
from mmrank.types import Hit


class First(NamedTuple):
    """The previous scores, float64 (hits,); or None and the stages they come from, when they do not compare."""

    scores: Floats | None
    stages: tuple[str, ...]


def first_scores(hits: Sequence[Hit]) -> First:
    """The hits' own scores, when one stage gave them all and all are finite."""
    stages = tuple(dict.fromkeys(hit.stage for hit in hits))
    scores = np.array([hit.score for hit in hits], dtype=np.float64)
    comparable = len(stages) == 1 and bool(np.isfinite(scores).all())
    return First(scores if comparable else None, stages)


def first_share(hits: Sequence[Hit]) -> tuple[Floats, str | None]:
    """The hits' own scores from 0 to 1, float64 (hits,); where they do not compare, their ranks instead, and a note.

    >>> from mmrank.types import Item
    >>> hits = [Hit(item=Item(id=i, kind="text"), score=s, stage="a") for i, s in (("x", 4.0), ("y", 2.0), ("z", 3.0))]
    >>> first_share(hits)[0].tolist()
    [1.0, 0.0, 0.5]
    """
    scores, stages = first_scores(hits)
    if scores is not None:
        share: Floats = min_max(scores[None])[0]
        return share, None
    ranks: Floats = np.linspace(1.0, 0.0, len(hits)) if len(hits) > 1 else np.ones(1)
    return ranks, f"The hits' scores do not compare (stages {', '.join(stages)}); their ranks stood in for them."


def incomparable(stages: Sequence[str]) -> str:
    """What a record says when scores that do not compare are needed as they are."""
    return (
        f"The hits' scores do not compare: they come from the stages {', '.join(stages)}, or are not finite. "
        "Use normalise='min_max', or a depth within which one stage scored all hits."
    )
