"""What a written toy collection holds, and the truth about it: queries with their one right answer."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mmrank.toybox.errors import ToyboxError

ItemKind = Literal["image", "page", "video", "text"]
Task = Literal["text_to_image", "composed", "text_to_page", "page_question", "text_to_video", "text_to_note"]


@dataclass(frozen=True, slots=True)
class ToyItem:
    """One thing of a collection, and what is true of it. Nothing of that is in the file's name or metadata.

    Attributes:
        path: relative to the media folder; pages as `reports/a.pdf#page=3`.
        kind: image, page, video or text.
        caption: a true sentence about it; for pages and notes their own text.
        ground: the colour behind the objects.
        objects: their names: left to right or top to bottom, in clips the moving one first.
        relation: `alone`, `left of` or `above`; in clips `crosses`, `enters` or `leaves`.
    """

    path: str
    kind: ItemKind
    caption: str
    ground: str
    objects: tuple[str, ...]
    relation: str


@dataclass(frozen=True, slots=True)
class ToyQuery:
    """A query with exactly one right answer in the whole mixed collection.

    Attributes:
        id: `q0001`, ...
        task: what sort of search it is.
        kind: the kind of its answer.
        text: what is asked.
        answer: path of the one right item, relative to the media folder.
        reference: for composed queries, path of the reference image, relative to the media folder.
    """

    id: str
    task: Task
    kind: ItemKind
    text: str
    answer: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class ToyboxManifest:
    """What `write_toybox` wrote.

    Attributes:
        folder: the collection's root.
        items: everything under `folder/media`.
        queries: the truth, also written to `folder/queries.jsonl`.
        cirr: root of the CIRR layout, where it was written.
        msrvtt: root of the MSR-VTT layout, where it was written.
    """

    folder: Path
    items: tuple[ToyItem, ...]
    queries: tuple[ToyQuery, ...]
    cirr: Path | None = None
    msrvtt: Path | None = None

    @property
    def media(self) -> Path:
        """The folder with nothing but media in it: the one to index."""
        return self.folder / "media"


def write_jsonl(rows: Iterable[ToyItem | ToyQuery], path: Path) -> None:
    """Write rows as JSON lines, leaving out what is not set."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            filled = {key: value for key, value in asdict(row).items() if value is not None}
            file.write(json.dumps(filled, ensure_ascii=False) + "\n")


def read_queries(path: Path) -> tuple[ToyQuery, ...]:
    """Read `queries.jsonl`.

    Raises:
        ToyboxError: a line is not a toybox query.

    Example:
        >>> from mmrank.toybox.assets import sample_queries_file
        >>> read_queries(sample_queries_file())[0].id
        'q0001'
    """
    queries: list[ToyQuery] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row: dict[str, Any] = json.loads(line)
            queries.append(ToyQuery(**row))
        except (json.JSONDecodeError, TypeError) as error:
            raise ToyboxError(
                f"line {number} of {path} is no toybox query ({error}); write the collection again"
            ) from error
    return tuple(queries)
