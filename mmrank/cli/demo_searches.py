"""What `mmrank demo` asks: a dozen searches of every sort, always the same ones, and the truth about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmrank.media.uri import item_id
from mmrank.toybox.manifest import Task, ToyQuery
from mmrank.types import KINDS, Query

MIXED = "mixed"
"""The index of everything; the others are called by their kind."""

INDEXES = (MIXED, *KINDS)

CUT = (0.1, 0.1, 0.9, 0.9)
"""The part of a photo (left, top, right, bottom) that the image to image search shows: as if cropped by someone."""

CUT_SIDE = 96
"""Pixels of the cropped picture, smaller than the photo it comes from, so that no pixel is the same."""

TASKS: dict[Task, tuple[str, dict[str, Any]]] = {
    "text_to_image": ("text to image", {}),
    "composed": ("image and change to image", {"compose": "sum"}),
    "text_to_page": ("text to page, by its look", {}),
    "page_question": ("question to page, hybrid", {"mode": "hybrid"}),
    "text_to_video": ("text to video", {}),
    "text_to_note": ("text to note", {}),
}
"""Each sort of query in the truth file: what it is called, and how it is searched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One search: which index, what is asked, with which options of `Index.search`, and the id of the right answer."""

    label: str
    index: str
    query: Query
    right: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def conditions(self) -> list[str]:
        """The options in words, for a title."""
        shown = [f"{key} {value}" for key, value in self.options.items() if key in ("mode", "where", "compose")]
        return [f"{self.index} index", *shown]


def truth_query(asked: ToyQuery, media: Path) -> Query:
    """A query of the truth file as a Query; a composed one does not find its own reference."""
    if asked.reference is None:
        return Query(text=asked.text, id=asked.id)
    reference = media / asked.reference
    return Query(text=asked.text, image=str(reference), id=asked.id, exclude=(item_id(reference),))


def answer_id(asked: ToyQuery, media: Path) -> str:
    """The id that the right answer has in an index of the media folder."""
    return item_id(str(media / asked.answer))


def dozen(queries: Sequence[ToyQuery], media: Path, folder: Path) -> list[Wanted]:
    """Twelve searches. They are the first queries of each sort in the truth file, not those that happen to succeed.

    `folder`: where the cropped picture of the image to image search is written.
    """
    by_task = {task: [asked for asked in queries if asked.task == task] for task in TASKS}

    def truth(task: Task, number: int, label: str, index: str, **options: Any) -> Wanted:
        asked = by_task[task][number]
        return Wanted(
            label=label,
            index=index,
            query=truth_query(asked, media),
            right=answer_id(asked, media),
            options={**TASKS[task][1], **options},
        )

    report = Path(by_task["text_to_page"][1].answer.partition("#")[0]).name
    photo = by_task["text_to_image"][2]
    return [
        truth("text_to_image", 0, "Text to image", "image"),
        truth("text_to_image", 1, "Text to image", "image"),
        Wanted(
            label="Image to image: a small crop finds its photo",
            index="image",
            query=Query(image=str(_crop(media / photo.answer, folder))),
            right=answer_id(photo, media),
        ),
        truth("composed", 0, "Image and a change, in one query", "image"),
        truth("text_to_page", 0, "Text to page, by its look", "page"),
        truth("page_question", 0, "Question to page, by look and words", "page"),
        truth("text_to_page", 1, "Text to page, in one report only", "page", where=f"name = '{report}'"),
        truth("text_to_video", 0, "Text to video", "video"),
        truth("text_to_note", 0, "Text to note", "text"),
        truth("text_to_image", 3, "Everything at once: a photo is meant", MIXED),
        truth("text_to_video", 1, "Everything at once: a clip is meant", MIXED),
        truth("text_to_note", 1, "Everything at once: a note is meant", MIXED),
    ]


def _crop(photo: Path, folder: Path) -> Path:
    from mmrank.media.image import open_image

    image = open_image(photo)
    left, top, right, bottom = CUT
    box = (left * image.width, top * image.height, right * image.width, bottom * image.height)
    path = folder / f"crop-of-{photo.name}"
    image.crop(tuple(round(edge) for edge in box)).resize((CUT_SIDE, CUT_SIDE)).save(path)  # type: ignore[arg-type]
    return path
