"""The things that flow through mmrank: Item, Query, Hit, Ranking, Record, Cost.

All are frozen and made by keyword. Nothing heavy is imported here; the columnar `Run`
(many Rankings as arrays) lives in `mmrank.run` because it needs numpy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from mmrank.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

Kind: TypeAlias = Literal["text", "image", "page", "video"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MetaValue: TypeAlias = str | int | float | bool | date | datetime | tuple[str, ...] | tuple[float, float] | None
"""What metadata can hold; a pair of numbers is a place, (latitude, longitude) in degrees. None means unknown."""

ImageSource: TypeAlias = "str | Path | bytes | Image"
"""A picture that is not opened yet (path or bytes) or already is (PIL)."""

Status: TypeAlias = Literal["ok", "repaired", "partial", "fell_back", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)
"""From best to worst: repaired = an incomplete answer was mended; partial = a deadline cut it short;
fell_back = the previous order was kept; failed = the stage could not do its work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that can be found: a text, an image, a document page, a video or a span of one.

    `uri` names where it lies (a path or URL; ``#page=3`` a PDF page, ``#t=10,20`` a span in seconds,
    as in W3C media fragments). `image` holds bytes, a path or a PIL image where there is no uri.
    `text` is a caption, a page's text layer or subtitles; for kind "text" it is the content.

    >>> Item(id="a", kind="text", text="a note").kind
    'text'
    """

    id: str
    kind: Kind
    uri: str | None = None
    image: ImageSource | None = field(default=None, repr=False)
    text: str | None = None
    meta: Mapping[str, MetaValue] = field(default_factory=dict, hash=False)
    parent: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"Item kind is {self.kind!r}; it must be one of {', '.join(KINDS)}.")
        if not self.id or any(c.isspace() for c in self.id):
            raise UsageError(
                f"Item id is {self.id!r}; it must not be empty or hold white space (TREC files split on it). "
                "Percent-encode it, for example with mmrank.media.item_id(path)."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked: text and/or images and/or a video, dialogue turns, an optional instruction.

    *Composed* when it has a reference (image or video) and a modification text.
    `exclude` ids never appear in the answer; with `among` only those ids are ranked.
    `id` defaults to a hash of the content, so the same question has the same id everywhere.

    >>> Query(text="a red boat").composed
    False
    """

    text: str | None = None
    image: ImageSource | Sequence[ImageSource] | None = field(default=None, repr=False)
    video: str | Path | None = None
    id: str = ""
    instruction: str | None = None
    exclude: tuple[str, ...] = ()
    among: tuple[str, ...] | None = None
    turns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("exclude", "among", "turns"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise UsageError(f"Query {name} is the text {value!r}; give a tuple, such as {name}=({value!r},).")
        object.__setattr__(self, "exclude", tuple(self.exclude))
        object.__setattr__(self, "turns", tuple(self.turns))
        if self.among is not None:
            object.__setattr__(self, "among", tuple(self.among))
        if not self.id:
            object.__setattr__(self, "id", _content_id(self))

    @property
    def images(self) -> tuple[ImageSource, ...]:
        """The query's images as a tuple, empty when it has none."""
        if self.image is None:
            return ()
        if isinstance(self.image, Sequence) and not isinstance(self.image, str | bytes):
            return tuple(self.image)
        return (self.image,)  # type: ignore[return-value, unused-ignore]

    @property
    def composed(self) -> bool:
        """True when there is a reference (image or video) and a text that changes it."""
        return bool(self.text) and bool(self.images or self.video)

    @property
    def empty(self) -> bool:
        """True when there is nothing to search for."""
        return not (self.text and self.text.strip()) and not self.images and not self.video and not self.turns


def _content_id(query: Query) -> str:
    """Sixteen hex digits over everything that changes the answer; each part goes in with its length."""
    digest = hashlib.blake2b(digest_size=8)
    words = (query.text, query.instruction, query.video, query.turns, query.exclude, query.among)
    parts = [repr(part).encode("utf-8", "backslashreplace") for part in words]
    for part in (*parts, *(_image_bytes(image) for image in query.images)):
        digest.update(b"%d:" % len(part) + part)
    return digest.hexdigest()


def _image_bytes(image: ImageSource) -> bytes:
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | Path):
        return str(image).encode("utf-8", "surrogateescape")
    return image.mode.encode() + repr(image.size).encode() + image.tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """An earlier score of a hit: which stage gave it, and the rank it had there (from 1)."""

    stage: str
    score: float
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One list a hit came from: its name, the hit's rank there (from 1) and its score there."""

    name: str
    rank: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """A hit that stands behind a better one of its group, out of the Ranking (`mmrank.group_by`, `mmrank.distinct`).

    `by`: what the two share: "parent", a metadata column, or "distinct" for near-identical pictures. `hit.rank` is
    where it stood before it was folded. It may have hits folded behind itself.
    """

    hit: Hit
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """An Item in a Ranking. Order is the truth; scores compare only between hits scored by the same stage.

    `rank` counts from 1 and is set by the Ranking that holds the hit. `folded`: the hits that this one stands for,
    best first.
    """

    item: Item
    score: float
    stage: str = ""
    rank: int = 0
    sources: tuple[Source, ...] = ()
    trace: tuple[Trace, ...] = ()
    folded: tuple[Folded, ...] = ()

    @property
    def id(self) -> str:
        return self.item.id

    def rescored(self, score: float, stage: str, rank: int | None = None) -> Hit:
        """The same hit with a new score, at a new `rank` when one is given; the old score joins the trace."""
        old = Trace(stage=self.stage, score=self.score, rank=self.rank)
        # One call of the constructor: rerankers make hundreds of these a query, and `replace` costs three times that.
        return Hit(
            item=self.item,
            score=score,
            stage=stage,
            rank=self.rank if rank is None else rank,
            sources=self.sources,
            trace=(*self.trace, old),
            folded=self.folded,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What something took. Costs add.

    >>> (Cost(model_calls=1, seconds=0.5) + Cost(model_calls=2)).model_calls
    3
    """

    model_calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    images_encoded: int = 0
    cache_hits: int = 0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            model_calls=self.model_calls + other.model_calls,
            tokens_in=self.tokens_in + other.tokens_in,
            tokens_out=self.tokens_out + other.tokens_out,
            images_encoded=self.images_encoded + other.images_encoded,
            cache_hits=self.cache_hits + other.cache_hits,
            seconds=self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one stage did to one query."""

    stage: str
    status: Status = "ok"
    calls: int = 0
    dropped: int = 0
    appended: int = 0
    retries: int = 0
    error: str | None = None
    note: str | None = None
    """What a reader should know although nothing went wrong, such as how far two orders of asking agreed."""
    cost: Cost = Cost()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """One Query with its unique Hits in order, and what every stage did to it. This flows through everything.

    Raises `UsageError` when two hits hold the same item id.

    >>> r = Ranking(query=Query(text="q"), hits=[Hit(item=Item(id="a", kind="text"), score=1.0)])
    >>> [h.rank for h in r], r.outcome
    ([1], 'ok')
    """

    query: Query
    hits: Sequence[Hit] = ()
    records: tuple[Record, ...] = ()

    def __post_init__(self) -> None:
        ranked = tuple(h if h.rank == i else replace(h, rank=i) for i, h in enumerate(self.hits, 1))
        seen: set[str] = set()
        for hit in ranked:
            if hit.item.id in seen:
                raise UsageError(
                    f"Item {hit.item.id!r} is twice in the Ranking of query {self.query.id!r}; hits must be unique. "
                    "Use mmrank.merge to join lists that share items."
                )
            seen.add(hit.item.id)
        object.__setattr__(self, "hits", ranked)
        object.__setattr__(self, "records", tuple(self.records))

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    @property
    def ids(self) -> tuple[str, ...]:
        """Item ids, best first."""
        return tuple(h.item.id for h in self.hits)

    @property
    def outcome(self) -> Status:
        """The worst status among the records; "ok" when there are none."""
        return max((r.status for r in self.records), key=STATUSES.index, default="ok")

    @property
    def cost(self) -> Cost:
        """The sum of the records' costs; each record holds its own stage's."""
        return sum((r.cost for r in self.records), Cost())

    def with_hits(self, hits: Sequence[Hit], record: Record | None = None) -> Ranking:
        """The same query with other hits; `record` joins the records."""
        return Ranking(query=self.query, hits=hits, records=(*self.records, *([record] if record else [])))
