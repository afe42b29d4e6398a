"""Scores that compare across kinds: a cosine less what its channel gives any query, the modality gap.

CLIP puts texts nearer to texts than to pictures, whatever they say (Liang et al., "Mind the Gap", NeurIPS 2022), so
that a plain search over mixed kinds lists notes before photographs. The gap between a query side (text or picture)
and a channel is one number: the mean cosine of queries of that side that mean nothing in the channel. Taken off, it
leaves what the query itself has to do with the Item::

    score(q, v) = q.v - gap(side of q, channel of v)

Who stands in for text queries that mean nothing in a channel? Sentences of *other kinds* in the index: of notes and
pages for pictures and clips, of pages for notes. They are short, as queries are, and in words that the model and the
collection share. A kind's own are left out, for reports resemble reports, and what "a report page about..." says of
its own accord would be taken off with the gap; where no other kind has sentences, half the kind's own and half
everyday sentences stand in (these are queries, but may speak of things the model never saw). An index without
sentences has the everyday ones and the texts' own vectors. For picture queries the vectors of other kinds' pictures
stand in. A page belongs to its best layer, picture or text.

How this rule was chosen: share of queries whose right Item comes first in the mixed index, of those where it does
among its kind alone, on one toybox collection (seed 11) with toybox-clip, text queries of every kind. The table was
reckoned from its vectors outside the package; ``scripts/bench_index.py toybox`` measures the first and the last row
through the index (0.833 and 0.969 on this collection, 0.837 and 0.972 on another, seed 77). It is the fourth rule
tried, and in two of the three mixes of two kinds plain cosine keeps more. Offsets fitted to the very queries with
their answers known would reach 0.977 in the first column.

==========================================  ==============  ==============  ==============  ==============
method                                      300 images,     images, notes   images, pages   images, clips
                                            3 x 120 others
==========================================  ==============  ==============  ==============  ==============
plain cosine                                0.850           0.895           1.000           0.978
gap by other kinds' vectors                 0.936           not run         not run         not run
gap by everyday sentences                   0.342           0.411           1.000           0.950
gap by other kinds and everyday sentences   0.860           not run         not run         not run
gap by sentences (this)                     0.972           0.910           0.969           0.950
==========================================  ==============  ==============  ==============  ==============

On "cones" that imitate CLIP (cosines of unrelated pairs 0.70 text-text, 0.20 text-picture), which toybox-clip, trained
on all kinds at once, does not, plain cosine keeps 0.333 and every constant gap about 0.890. Centring each query on its
own mean over a channel, or dividing by its deviation there (z-scores), kept less than plain cosine on the toybox
(0.76 and 0.73 against 0.84): it fails where queries name a kind ("a note by Anna about ..."), whose mean over that
kind is high because it is meant. Rank lists per kind put every kind's first on a par and leave all to the tie rule.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from mmrank.index.exact import Matrix
from mmrank.index.schema import VECTOR
from mmrank.index.snapshot import Channel
from mmrank.types import Kind, Query

Vector: TypeAlias = npt.NDArray[np.float32]
Side: TypeAlias = Literal["text", "picture"]

SAMPLE_SETTING = "mean:queries"
"""Key in the settings table of the mean vector of `EVERYDAY`."""

EVERYDAY: tuple[str, ...] = (
    "a dog in the grass",
    "a red car on a street",
    "two people at a table",
    "a cat asleep on a sofa",
    "a plate of food",
    "a city at night",
    "a mountain and a lake",
    "a child with a ball",
    "a boat on the sea",
    "flowers in a vase",
    "a train at a station",
    "a woman reading a book",
    "a birthday cake with candles",
    "an airplane in the sky",
    "a computer on a desk",
    "snow on the trees",
    "a chart of the sales by year",
    "a table of measured values",
    "the first page of a report",
    "a letter about a contract",
    "the minutes of a meeting",
    "notes from a journey",
    "how to repair a tap",
    "a recipe for soup",
    "what was decided in spring",
    "someone opens a door and walks in",
    "a ball rolls from left to right",
    "a man gets out of a car",
    "children run across a yard",
    "a cook cuts vegetables",
    "rain falls on a window",
    "a dancer on a stage",
)
"""Text queries of no collection in particular, of all kinds of Item. Their mean tells where a model puts texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """Where a set of unit vectors lies: how many (`rows`) and their mean, float32 (d,), not renormalised."""

    rows: int
    vector: Vector

    def to_json(self) -> dict[str, Any]:
        """As JSON values; the vector as base64 of little-endian float32."""
        return {"rows": self.rows, "vector": base64.b64encode(self.vector.astype("<f4").tobytes()).decode("ascii")}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Mean:
        """What `to_json` gave."""
        vector = np.frombuffer(base64.b64decode(value["vector"]), dtype="<f4").astype(np.float32)
        return cls(rows=int(value["rows"]), vector=vector)

    @classmethod
    def of(cls, pieces: Iterable[Matrix], dimension: int) -> Mean:
        """The mean of vectors that come in pieces (m, d); memory is one piece. No vectors: the zero vector.

        >>> Mean.of([np.eye(2, dtype=np.float32)], 2).vector.tolist()
        [0.5, 0.5]
        """
        rows, total = 0, np.zeros(dimension)
        for piece in pieces:
            rows += len(piece)
            total += piece.sum(axis=0, dtype=np.float64)
        return cls(rows=rows, vector=(total / max(rows, 1)).astype(np.float32))


def setting_key(channel: Channel) -> str:
    """Where a channel's `Mean` is kept in the settings table.

    >>> setting_key(Channel("page", "text_vector"))
    'mean:page.text_vector'
    """
    return f"mean:{channel.name}"


def side_of(channel: Channel) -> Side:
    """Whether a channel's vectors come from a text or a picture."""
    return "text" if channel.kind == "text" or channel.column != VECTOR else "picture"


def gaps(
    means: Mapping[Channel, Mean], sample: Mean | None, sentences: Mapping[Kind, Mean] | None = None
) -> dict[Side, dict[Channel, float]]:
    """For each side of a query, the gap of each channel: what a query that means nothing there scores.

    `means` are those of all channels of the index with rows, searched or not. `sample`: that of `EVERYDAY`.
    `sentences`: those of each kind's own sentences (`mmrank.index.sentences`).
    """
    return {
        "text": {c: _text_gap(c, means, sample, sentences or {}) for c in means},
        "picture": {c: _gap("picture", c, means, None) for c in means},
    }


def _text_gap(
    channel: Channel, means: Mapping[Channel, Mean], sample: Mean | None, sentences: Mapping[Kind, Mean]
) -> float:
    """From the sentences of other kinds; else from the kind's own and the everyday ones, half and half."""
    here = means[channel]
    foreign = [_dot(mean, here) for kind, mean in sentences.items() if kind != channel.kind]
    if foreign:
        return float(np.mean(foreign))
    if channel.kind in sentences and sample is not None:
        return (_dot(sentences[channel.kind], here) + _dot(sample, here)) / 2
    return _gap("text", channel, means, sample)


def _gap(side: Side, channel: Channel, means: Mapping[Channel, Mean], sample: Mean | None) -> float:
    here = means[channel]
    others = [_dot(m, here) for c, m in means.items() if side_of(c) == side and c.kind != channel.kind]
    estimates = [float(np.mean(others))] if others else []
    if sample is not None:
        estimates.append(_dot(sample, here))
    if estimates:
        return float(np.mean(estimates))
    if side_of(channel) == side:
        # Mean cosine of two different rows: the mean's square holds each row's cosine of 1 with itself.
        n = here.rows
        return (n * _dot(here, here) - 1.0) / (n - 1) if n > 1 else 0.0
    own = [m for c, m in means.items() if side_of(c) == side]
    return float(np.mean([_dot(m, here) for m in own])) if own else 0.0


def _dot(a: Mean, b: Mean) -> float:
    return float(a.vector.astype(np.float64) @ b.vector.astype(np.float64))


def gap_of(
    query: Query, by_side: Mapping[Side, Mapping[Channel, float]], form: str | None = None
) -> Mapping[Channel, float]:
    """The gaps that hold for a query: those of its side, the mean of both for a text with pictures.

    `form` is how it was composed (`mmrank.compose.FORMS`): of "image" and "text" one side counts, whatever else the
    query has. The mean of a sum is a little small: the sum of two unit vectors t and p is brought back to unit
    length, so the true gap is the mean over ``|t + p| / 2`` (0.79 at a cosine of 0.25), which the vector alone does
    not tell. A query that has neither side (bare vectors) counts as text.
    """
    pictures = bool(query.images or query.video) and form != "text"
    texts = bool(query.text or query.turns) and form != "image"
    if pictures and texts:
        return {c: (gap + by_side["picture"][c]) / 2 for c, gap in by_side["text"].items()}
    return by_side["picture" if pictures else "text"]
