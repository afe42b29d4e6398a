"""What data sets of captioned videos and images have in common: two tasks, one each way, from one list of captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mmrank.evaluation.dataset import Dataset, DatasetError, Figures, Task
from mmrank.evaluation.metrics import Metric
from mmrank.media.uri import item_id
from mmrank.types import Item, Query


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """One text about one video or image. `owner`: the id of what it tells about."""

    id: str
    owner: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Names and metrics of the two tasks: from text to media, and back."""

    names: tuple[str, str]
    metrics: tuple[tuple[Metric, ...], tuple[Metric, ...]]
    grouped: bool = False
    """The captions of one video count as one item in the second task."""


def numbered(texts: Mapping[str, Sequence[str]]) -> list[Caption]:
    """Captions without ids of their own, from owner to texts: ``OWNER#0``, ``OWNER#1`` ..., in order.

    >>> [caption.id for caption in numbered({"clip1": ["a dog", "a dog runs"]})]
    ['clip1#0', 'clip1#1']
    """
    return [
        Caption(id=f"{safe_id(owner)}#{number}", owner=owner, text=text)
        for owner, told in texts.items()
        for number, text in enumerate(told)
    ]


def safe_id(name: str) -> str:
    """A data set's own name; percent-encoded only where it holds white space, which no id can."""
    return item_id(name) if not name or any(c.isspace() for c in name) else name


def check_choice(option: str, value: object, allowed: Iterable[object]) -> None:
    """Raises `DatasetError` that lists what is allowed."""
    choices = tuple(allowed)
    if value not in choices:
        raise DatasetError(f"{option} is {value!r}; it must be one of {', '.join(repr(c) for c in choices)}.")


def has_several(captions: Sequence[Caption]) -> bool:
    """True when any video or image has more than one caption."""
    return len({caption.owner for caption in captions}) < len(captions)


def paired_dataset(
    items: Sequence[Item],
    captions: Sequence[Caption],
    pairing: Pairing,
    *,
    name: str,
    title: str,
    split: str,
    variant: str,
    missing: tuple[str, ...] = (),
    notes: Sequence[str] = (),
    combine: Callable[[Mapping[str, Figures]], Figures] | None = None,
) -> Dataset:
    """A Dataset of two tasks over the `items` that are there and the `captions` of the whole split.

    Captions of what is not among `items` are left out and their ids listed as dropped, with the ids of their owners.
    Raises `DatasetError` when nothing is left.
    """
    kept, dropped = split_by_owner(items, captions)
    if not kept:
        raise DatasetError(
            f"Nothing is left of {title} {split}: of {len({c.owner for c in captions}):,} captioned videos or images, "
            f"{len(items):,} were found. Check root= and the layout of the media below it."
        )
    return Dataset(
        name=name,
        title=title,
        split=split,
        variant=variant,
        tasks=paired_tasks(items, kept, pairing),
        combine=combine,
        missing=missing,
        dropped=dropped,
        notes=(*notes, *caption_notes(items, kept)),
    )


def split_by_owner(items: Sequence[Item], captions: Sequence[Caption]) -> tuple[list[Caption], tuple[str, ...]]:
    """The captions of `items`, and the query ids that go with the others: their own and their owners'."""
    there = {item.id for item in items}
    kept = [caption for caption in captions if safe_id(caption.owner) in there]
    others = [caption for caption in captions if safe_id(caption.owner) not in there]
    owners = dict.fromkeys(safe_id(caption.owner) for caption in others)
    return kept, (*(caption.id for caption in others), *owners)


def paired_tasks(items: Sequence[Item], captions: Sequence[Caption], pairing: Pairing) -> tuple[Task, Task]:
    """Text to media and media to text; both in the order of the lists. Media without captions stay in the gallery."""
    owned: dict[str, dict[str, float]] = {}
    for caption in captions:
        owned.setdefault(safe_id(caption.owner), {})[caption.id] = 1.0
    forward = Task(
        name=pairing.names[0],
        queries=tuple(Query(id=caption.id, text=caption.text) for caption in captions),
        gallery=tuple(items),
        relevant={caption.id: {safe_id(caption.owner): 1.0} for caption in captions},
        metrics=pairing.metrics[0],
    )
    back = Task(
        name=pairing.names[1],
        queries=tuple(_asking(item) for item in items if item.id in owned),
        gallery=tuple(Item(id=caption.id, kind="text", text=caption.text) for caption in captions),
        relevant=owned,
        metrics=pairing.metrics[1],
        groups={caption.id: safe_id(caption.owner) for caption in captions} if pairing.grouped else None,
    )
    return forward, back


def _asking(item: Item) -> Query:
    if item.kind == "video":
        return Query(id=item.id, video=item.uri)
    return Query(id=item.id, image=item.uri)


def caption_notes(items: Sequence[Item], captions: Sequence[Caption]) -> list[str]:
    """Oddities of captions, counted: equal texts, blank ones, line breaks, media that have none."""
    texts = Counter(caption.text for caption in captions)
    again = len(captions) - len(texts)
    blank = sum(not caption.text.strip() for caption in captions)
    broken = sum("\n" in caption.text or "\r" in caption.text for caption in captions)
    owners = {safe_id(caption.owner) for caption in captions}
    bare = sum(item.id not in owners for item in items)
    counted = [
        (again, "captions have exactly the text of an earlier one; a model scores them alike, so they tie"),
        (blank, "captions are blank; they are asked all the same"),
        (broken, "captions hold line breaks; they are kept as they are"),
        (bare, "items of the gallery have no caption; they can only be found wrongly"),
    ]
    return [f"{count:,} {what}." for count, what in counted if count]
