"""What the judge knows: the items of a written toy collection, the texts that tell of them, the queries' answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from mmrank.media import open_page
from mmrank.toybox.assets import sample_queries_file
from mmrank.toybox.cirr_layout import IMAGE_FOLDERS
from mmrank.toybox.errors import ToyboxError
from mmrank.toybox.grammar import GROUNDS
from mmrank.toybox.manifest import ItemKind, ToyItem, read_queries
from mmrank.toybox.sprites import object_names

Words: TypeAlias = tuple[str, ...]
"""A text as the judge compares it: its words and numbers in lower case, whatever stands between them."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
"""A capital letter inside begins a new word: prompts that models were trained on run texts together, as in
"... on red groundCandidate:"."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What an item shows: ground colour, objects in their order, relation ("" where no caption tells it)."""

    ground: str
    objects: tuple[str, ...]
    relation: str


@dataclass(frozen=True, slots=True)
class KnownItem:
    """One item. `key`: its path relative to the media folder, or `cirr/...`, `msrvtt/...` in those layouts.

    `page`: from 1, in the PDF `file`. `kin`: the image set of a CIRR picture, whose members are near-duplicates.
    """

    key: str
    kind: ItemKind
    file: Path
    page: int | None = None
    facts: Facts | None = None
    kin: str | None = None


@dataclass(slots=True)
class Knowledge:
    """A collection's truth.

    Attributes:
        items: by key.
        tells: a text's words -> keys of the items it tells of (captions, notes, page texts).
        asks: a query's words -> reference key (None: no reference) -> keys of its right answers.
    """

    items: dict[str, KnownItem] = field(default_factory=dict)
    tells: dict[Words, set[str]] = field(default_factory=dict)
    asks: dict[Words, dict[str | None, set[str]]] = field(default_factory=dict)

    def tell(self, text: str, key: str) -> None:
        """Note that a text tells of an item."""
        self.tells.setdefault(words_of(text), set()).add(key)

    def ask(self, text: str, reference: str | None, answer: str) -> None:
        """Note a query and its answer."""
        self.asks.setdefault(words_of(text), {}).setdefault(reference, set()).add(answer)


def words_of(text: str) -> Words:
    """The words of a text.

    Example:
        >>> words_of("<text>A dog, on RED ground.</text>")
        ('text', 'a', 'dog', 'on', 'red', 'ground', 'text')
    """
    return tuple(word.lower() for word in _WORD.findall(text))


def word_spans(text: str) -> list[tuple[str, int, int]]:
    """The words of a text with where each begins and ends, in characters."""
    return [(match.group().lower(), match.start(), match.end()) for match in _WORD.finditer(text)]


def read_knowledge(folder: str | Path | None = None) -> Knowledge:
    """Read what `write_toybox` wrote into `folder` (any of its three layouts); None: the bundled sample.

    Raises:
        ToyboxError: none of the layouts is there, or one of their files does not hold what it should.

    Example:
        >>> len(read_knowledge().items)
        164
    """
    root = sample_queries_file().parent if folder is None else Path(folder)
    known = Knowledge()
    try:
        if (root / "captions.jsonl").is_file() and (root / "queries.jsonl").is_file():
            _read_media(root, known)
        if (root / "cirr").is_dir():
            _read_cirr(root / "cirr", known)
        if (root / "msrvtt").is_dir():
            _read_msrvtt(root / "msrvtt", known)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ToyboxError(f"{root} holds no whole toy collection ({error}); write it again") from error
    if not known.items:
        raise ToyboxError(
            f"{root} holds no toy collection: neither captions.jsonl and queries.jsonl, nor cirr/, nor msrvtt/. "
            "Give the folder that write_toybox wrote (the one that holds media/)."
        )
    return known


def _read_media(root: Path, known: Knowledge) -> None:
    for row in _json_lines(root / "captions.jsonl"):
        item = ToyItem(**row | {"objects": tuple(row["objects"])})
        name, _, page = item.path.partition("#page=")
        file = root / "media" / name
        facts = Facts(item.ground, item.objects, item.relation)
        known.items[item.path] = KnownItem(item.path, item.kind, file, int(page) if page else None, facts)
        known.tell(item.caption, item.path)
        if item.kind == "text":
            known.tell(file.read_text(encoding="utf-8"), item.path)
        if item.kind == "page":
            known.tell(open_page(file, int(page), size=1).text, item.path)
    for query in read_queries(root / "queries.jsonl"):
        known.ask(query.text, query.reference, query.answer)
        if query.reference is None and query.task in {"text_to_image", "text_to_video"}:
            known.tell(query.text, query.answer)


def _read_cirr(base: Path, known: Knowledge) -> None:
    for split, folder in IMAGE_FOLDERS.items():
        prefix = f"cirr/img_raw/{folder}"
        for file in sorted((base / "img_raw" / folder).glob("*.png")):
            key = f"{prefix}/{file.name}"
            known.items[key] = KnownItem(key, "image", file, kin=f"{folder}-{file.name.split('-')[1]}")
        captions = base / "captions" / f"cap.rc2.{split}.json"
        for row in json.loads(captions.read_text(encoding="utf-8")) if captions.is_file() else []:
            if "target_hard" in row:  # the test split keeps its answers to itself
                reference, target = (f"{prefix}/{row[name]}.png" for name in ("reference", "target_hard"))
                known.ask(row["caption"], reference, target)


def _read_msrvtt(base: Path, known: Knowledge) -> None:
    data = json.loads((base / "MSRVTT_data.json").read_text(encoding="utf-8"))
    for row in data["sentences"]:
        key = f"msrvtt/videos/all/{row['video_id']}.mp4"
        if key not in known.items:
            file = base / "videos" / "all" / f"{row['video_id']}.mp4"
            known.items[key] = KnownItem(key, "video", file, facts=facts_told(row["caption"]))
        known.tell(row["caption"], key)
        known.ask(row["caption"], None, key)


def facts_told(text: str) -> Facts | None:
    """Ground and objects that a caption names, in the order it names them; None when it names no ground or object.

    Example:
        >>> facts_told("on red ground, a cow is joined by a fire truck from the left")
        Facts(ground='red', objects=('cow', 'fire truck'), relation='')
    """
    names = sorted((*object_names(), *GROUNDS), key=len, reverse=True)  # "fire truck" before "truck"
    found = re.findall(rf"\b({'|'.join(map(re.escape, names))})\b", text.lower())
    grounds = [name for name in found if name in GROUNDS]
    objects = tuple(dict.fromkeys(name for name in found if name not in GROUNDS))
    return Facts(grounds[0], objects, "") if grounds and objects else None


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield json.loads(line)
