"""The Items of one file: its parts, with what the file and the files beside it say."""

# ruff: noqa: PTH118, PTH119, PTH120, PTH122
# Strings and os.path: a walk over two million files makes no Path objects.

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from mmrank.errors import MediaError
from mmrank.media.beside import Sidecars
from mmrank.media.exif import picture_meta
from mmrank.media.file_meta import FileMeta
from mmrank.media.frame_index import VideoInfo, video_info
from mmrank.media.kinds import PDF_SUFFIXES
from mmrank.media.page import document_info
from mmrank.media.sidecars import SidecarData, read_caption, read_data
from mmrank.media.subtitles import Subtitles, read_subtitles
from mmrank.media.texts import chunk_text, read_text
from mmrank.media.uri import cause, path_uri, printable
from mmrank.media.video_meta import video_meta
from mmrank.types import Item, Kind, MetaValue

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the files beside one file say of it."""

    caption: str | None = None
    data: SidecarData = field(default_factory=SidecarData)
    subtitles: Subtitles | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileItems:
    """Makes the Items of files, as `scan` describes them.

    `id_of`: the id of a whole file. `warn`: takes the uri of a file and what of it was left out.
    """

    id_of: Callable[[str], str]
    warn: Callable[[str, str], None]
    span_seconds: float | None
    chunk_characters: int
    metadata: bool = True

    def of(self, path: str, kind: Kind, size: int, sidecars: Sidecars) -> Iterator[Item]:
        """The Items of the file at `path` of `size` bytes. Raises `MediaError` when it cannot be read."""
        said = self._said(path, sidecars) if any(sidecars) else Said()
        meta: dict[str, MetaValue] = {"name": printable(os.path.basename(path))}
        if self.metadata:
            meta["bytes"] = size
        if kind == "page" and os.path.splitext(path)[1].lower() in PDF_SUFFIXES:
            yield from self._pages(path, meta, said)
        elif kind == "video":
            yield from self._spans(path, meta, said)
        elif kind == "text":
            yield from self._chunks(path, meta)
        else:
            given = {**meta, **said.data.given}
            read = partial(picture_meta, path) if self.metadata else dict
            yield self._item(path, kind, FileMeta(given, read, said.data.spare), text=said.caption)

    def _pages(self, path: str, meta: dict[str, MetaValue], said: Said) -> Iterator[Item]:
        info = document_info(path)
        if self.metadata:
            told = {"title": info.title, "author": info.author, "pages": info.pages}
            meta |= {key: value for key, value in told.items() if value is not None}
        meta = {**said.data.spare, **meta, **said.data.given}
        if said.caption:  # a page's text is its text layer
            meta["caption"] = said.caption
        for page in range(1, info.pages + 1):
            yield self._item(path, "page", {**meta, "page": page}, f"page={page}")

    def _spans(self, path: str, meta: dict[str, MetaValue], said: Said) -> Iterator[Item]:
        info = video_info(path)
        whole = {**meta, **said.data.spare, **(video_meta(info) if self.metadata else {}), **said.data.given}
        spans = spans_of(info.duration, self.span_seconds)
        if said.subtitles is not None:
            self._note_late_cues(path, info, said.subtitles)
        for start, end in spans:
            text = _words(said, start + info.start, end + info.start)
            yield self._item(
                path, "video", {**whole, "start": start, "end": end}, f"t={start:.10g},{end:.10g}", text=text
            )
        if not spans:
            yield self._item(path, "video", whole, text=_words(said, 0.0, math.inf))

    def _chunks(self, path: str, meta: dict[str, MetaValue]) -> Iterator[Item]:
        chunks = chunk_text(read_text(path), self.chunk_characters)
        if len(chunks) == 1:
            yield self._item(path, "text", meta, text=chunks[0])
            return
        for number, text in enumerate(chunks, 1):
            yield self._item(path, "text", {**meta, "chunk": number}, f"chunk={number}", text=text)

    def _item(
        self, path: str, kind: Kind, meta: Mapping[str, MetaValue], fragment: str = "", *, text: str | None = None
    ) -> Item:
        whole = self.id_of(path)
        return Item(
            id=f"{whole}#{fragment}" if fragment else whole,
            kind=kind,
            uri=path_uri(path, fragment),
            text=text,
            meta=meta,
            parent=whole if fragment else None,
        )

    def _said(self, path: str, sidecars: Sidecars) -> Said:
        """What the sidecars say; one that cannot be read is left out, and named."""
        caption = self._beside(path, sidecars.caption, read_caption)
        data = self._beside(path, sidecars.data, read_data) or SidecarData()
        if caption and data.text:  # the caption file goes first; the other one is not lost
            data = SidecarData(given={"caption": data.text, **data.given}, spare=data.spare)
        subtitles = self._beside(path, sidecars.subtitles, read_subtitles)
        return Said(caption=caption or data.text, data=data, subtitles=subtitles)

    def _beside(self, path: str, name: str | None, read: Callable[[str], T]) -> T | None:
        """The sidecar of that name, read."""
        if name is None:
            return None
        beside = os.path.join(os.path.dirname(path), name)
        try:
            found = read(beside)
        except (MediaError, OSError) as error:
            why = (
                f"{error}" if isinstance(error, MediaError) else f"{printable(beside)} cannot be read: {cause(error)}."
            )
            self.warn(path_uri(beside), f"{why} {printable(os.path.basename(path))} goes in without it.")
            return None
        for what in getattr(found, "warnings", ()):
            self.warn(path_uri(beside), what)
        return found

    def _note_late_cues(self, path: str, info: VideoInfo, subtitles: Subtitles) -> None:
        late = sum(cue.start >= info.start + info.duration for cue in subtitles.cues)
        if late:
            self.warn(
                path_uri(path),
                f"{late:,} of {len(subtitles.cues):,} subtitles begin behind its end ({info.duration:.1f} s); "
                "they may be those of another cut",
            )


def _words(said: Said, start: float, end: float) -> str | None:
    """The text of a video or a span: its caption, then what is said in it."""
    spoken = said.subtitles.said(start, end) if said.subtitles else ""
    return "\n\n".join(part for part in (said.caption, spoken) if part) or None


def spans_of(duration: float, length: float | None) -> list[tuple[float, float]]:
    """Equal spans; what is left at the end makes a span of its own from half a length on, else joins the last."""
    duration = round(duration, 3)
    if length is None or duration <= 1.5 * length:
        return []
    count = int(duration / length + 0.5)
    starts = [round(i * length, 3) for i in range(count)]
    return list(zip(starts, [*starts[1:], duration], strict=True))
