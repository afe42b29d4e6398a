"""WebDataset shards: tar files in which neighbours that share a key make a sample.

The key of ``dir/000017.seg.png`` is ``dir/000017``: the name up to the first dot behind the last slash. Of a sample
every picture, video and PDF is an Item (a PDF every page, a long video every span), with the sample's ``.txt`` as its
text and the keys of its ``.json`` as metadata, ``.cls`` among them; a sample of texts alone is a text. Their uris,
``shard.tar#member=000017.jpg``, open again later.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mmrank.errors import MediaError
from mmrank.media.archive import MEMBER_BYTES, Archive, Member, open_archive
from mmrank.media.file_items import spans_of
from mmrank.media.frame_index import video_info
from mmrank.media.kinds import TEXT_SUFFIXES, kind_of
from mmrank.media.page import page_count
from mmrank.media.row_items import meta_value
from mmrank.media.rows import Note
from mmrank.media.texts import MAX_TEXT_BYTES
from mmrank.media.uri import member_fragment, path_uri, printable
from mmrank.media.video_meta import video_meta
from mmrank.types import Item, Kind, MetaValue

CAPTIONS = ("caption", "text")
"""Keys of a sample's JSON that hold its text when it has no ``.txt``; the first that is there."""

MAX_MEMBERS = 1_000
"""More members than this under one key are no sample."""

Found = Item | Note | tuple[str, str]


@dataclass(slots=True)
class _Sample:
    """Members that share a key, as they come; `texts` by suffix. Of a compressed shard the media are held in memory."""

    key: str
    media: list[tuple[Member, Kind, bytes | None]] = field(default_factory=list)
    texts: dict[str, tuple[Member, bytes]] = field(default_factory=dict)
    bytes: int = 0


def read_shard(path: str, base_id: str, span_seconds: float | None) -> Iterator[Found]:
    """The Items of a shard in order; for a member that is none, (uri, why).

    `base_id`: the shard's id; an Item's is ``BASE#member=NAME``. `span_seconds`: as of `scan`.
    Raises `MediaError` when the shard cannot be read, or breaks off: what came before has been given then.
    """
    with open_archive(path) as archive:
        reader = _Reader(path, base_id, span_seconds, archive)
        sample: _Sample | None = None
        for member in archive.members():
            if member.trouble is not None:
                yield reader.uri(member), member.trouble
                continue
            key, suffix = split_key(member.name)
            if sample is None or key != sample.key or len(sample.media) >= MAX_MEMBERS:
                yield from reader.items(sample) if sample else ()
                sample = _Sample(key)
            if problem := reader.take(sample, member, suffix):
                yield problem
        yield from reader.items(sample) if sample else ()


def split_key(name: str) -> tuple[str, str]:
    """The key of a member and its suffix, as WebDataset cuts them.

    >>> split_key("train/000017.seg.png")
    ('train/000017', '.seg.png')
    """
    folder, slash, base = name.rpartition("/")
    stem, dot, suffix = base.partition(".")
    return folder + slash + stem, (dot + suffix).lower()


class _Reader:
    def __init__(self, path: str, base_id: str, span_seconds: float | None, archive: Archive) -> None:
        self._path = path
        self._base_id = base_id
        self._span_seconds = span_seconds
        self._archive = archive

    def uri(self, member: Member, part: str = "") -> str:
        return path_uri(self._path, member_fragment(member.name) + (f"&{part}" if part else ""))

    def take(self, sample: _Sample, member: Member, suffix: str) -> tuple[str, str] | None:
        """Put a member to its sample, or say why not."""
        kind = kind_of(member.name)
        is_text = kind == "text" or suffix in (".json", ".cls")
        if not is_text and kind is None:
            return None  # other modalities of a sample: audio, arrays, boxes
        if is_text:
            if member.place.size > MAX_TEXT_BYTES:
                return self.uri(member), f"it has {member.place.size:,} bytes; at most {MAX_TEXT_BYTES:,} are read"
            sample.texts[suffix] = (member, self._archive.read(member.place))
            return None
        content: bytes | None = None
        if self._archive.compressed:  # there is no coming back to it
            if sample.bytes + member.place.size > MEMBER_BYTES:
                return self.uri(member), f"the sample has more than {MEMBER_BYTES:,} bytes, which are held in memory"
            sample.bytes += member.place.size
            content = self._archive.read(member.place)
        assert kind is not None
        sample.media.append((member, kind, content))
        return None

    def items(self, sample: _Sample) -> Iterator[Found]:
        said = _Said()
        # the JSON last: its caption is the text only where no .txt is, wherever that stands in the shard
        for suffix, (member, words) in sorted(sample.texts.items(), key=lambda text: text[0] == ".json"):
            try:
                said.read(suffix, words)
            except MediaError as error:
                yield self.uri(member), str(error)
        meta = {"name": printable(sample.key), **said.meta}
        if not sample.media and said.text is not None:
            member = next(m for suffix, (m, _) in sample.texts.items() if suffix == said.source)
            yield self._item(member, "text", content=None, text=said.text, meta=meta)
        for member, kind, content in sample.media:
            try:
                for part, more in self._parts(member, kind, content):
                    yield self._item(member, kind, content=content, text=said.text, meta={**meta, **more}, part=part)
            except MediaError as error:
                yield self.uri(member), str(error)

    def _parts(self, member: Member, kind: Kind, content: bytes | None) -> Iterator[tuple[str, dict[str, MetaValue]]]:
        """The fragments of a member's Items, and what each has besides: one empty one for a whole."""
        if kind == "page":
            for page in range(1, page_count(self._content(member, content)) + 1):
                yield f"page={page}", {"page": page}
        elif kind == "video":
            info = video_info(self._content(member, content))
            whole = video_meta(info)
            spans = spans_of(info.duration, self._span_seconds)
            for start, end in spans:
                yield f"t={start:.10g},{end:.10g}", {**whole, "start": start, "end": end}
            if not spans:
                yield "", whole
        else:
            yield "", {}

    def _content(self, member: Member, content: bytes | None) -> bytes:
        return self._archive.read(member.place) if content is None else content

    def _item(
        self,
        member: Member,
        kind: Kind,
        *,
        content: bytes | None,
        text: str | None,
        meta: Mapping[str, MetaValue],
        part: str = "",
    ) -> Item:
        whole = f"{self._base_id}#{member_fragment(member.name)}"
        return Item(
            id=f"{whole}&{part}" if part else whole,
            kind=kind,
            uri=self.uri(member, part),
            image=content,
            text=text,
            meta=meta,
            parent=whole if part else None,
        )


@dataclass(slots=True)
class _Said:
    """What the texts of a sample say. `source`: the suffix the text came from."""

    text: str | None = None
    source: str = ""
    meta: dict[str, MetaValue] = field(default_factory=dict)

    def read(self, suffix: str, content: bytes) -> None:
        """Take one of them in. Raises `MediaError` for one that is not what its suffix says."""
        try:
            words = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise MediaError("it is not UTF-8; the sample comes without it") from error
        if suffix == ".json":
            self._read_json(words)
        elif suffix == ".cls":
            number = words.strip()
            self.meta["cls"] = int(number) if number.lstrip("-").isdigit() and len(number) < 19 else number
        elif suffix in TEXT_SUFFIXES and self.text is None:
            self.text, self.source = words.strip(), suffix
        else:  # a second text under the key, such as .en.txt
            self.meta[suffix[1:].replace(".", "_")] = words.strip()

    def _read_json(self, words: str) -> None:
        try:
            value: Any = json.loads(words)
        except (ValueError, RecursionError) as error:
            raise MediaError("it is not JSON; the sample comes without it") from error
        if not isinstance(value, dict):
            self.meta["json"] = meta_value(value)
            return
        rest = dict(value)
        name = next((key for key in CAPTIONS if isinstance(rest.get(key), str) and rest[key].strip()), None)
        if name is not None and self.text is None:
            self.text, self.source = rest.pop(name).strip(), ".json"
        self.meta |= {key: meta_value(one) for key, one in rest.items()}
