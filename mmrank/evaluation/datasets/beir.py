"""Any collection of one's own: a BEIR folder of texts or media, or TREC judgements beside a folder of media."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmrank.evaluation.dataset import Dataset, DatasetError, Media
from mmrank.evaluation.datasets.files import MediaFiles, first_existing, read_jsonl, rows_of
from mmrank.evaluation.datasets.qrels import Gains, judged_only, read_qrels
from mmrank.evaluation.datasets.rows import make_task
from mmrank.evaluation.protocols import BEIR
from mmrank.media import item_id
from mmrank.media.kinds import kind_of
from mmrank.types import KINDS, Item, Kind, Query

IDS = ("_id", "id", "did", "qid", "docid", "query-id", "corpus-id")
TEXTS = ("text", "query", "txt", "query_txt", "caption", "contents")
PICTURES = ("image", "image_path", "img_path", "query_img_path", "file", "path")
VIDEOS = ("video", "video_path")

MEDIA_FOLDERS = ("media", "images", "videos", "pages", "documents", "corpus")


def read(root: Path, split: str, media: Media, *, title: str | None = None) -> Dataset:
    """Read a folder.

    Args:
        root: holds queries (`queries.jsonl`, or `queries.tsv` of id and text), judgements (`qrels/SPLIT.tsv`,
            `qrels.SPLIT.tsv` or `qrels.tsv`, also `.trec` and `.txt`; TREC's or BEIR's columns), and the gallery:
            `corpus.jsonl`, or a folder `media/`, `images/`, `videos/`, `pages/` or `documents/`.
        split: "test", "dev" or "train": which judgements.
        media: what to do about files that rows name and that are not there.
        title: the name to print; None: "BEIR folder" and its name (alone it could be that of a data set with
            another protocol).

    Rows of `corpus.jsonl` and `queries.jsonl` have an id (``_id``), a ``text`` (``title`` goes before it), a picture
    (``image``) or ``video`` by its path from the root or a media folder, and queries an ``instruction`` and ids to
    ``exclude``. In a folder of media every file is an item, every PDF page one too; judgements name it by its path from
    that folder, its file name or its name without suffix.

    Ids are kept; white space in them is percent-encoded, because run files split on it.
    """
    name = title or f"BEIR folder {root.resolve().name}"
    places = [path for start in ("queries", f"queries.{split}", f"queries/{split}") for path in _queries_named(start)]
    asked = first_existing(root, places, "A file of queries")
    graded = first_existing(root, _qrels_named(split), f"A file of judgements for {split}")
    files = MediaFiles(roots=[root, *(root / name for name in MEDIA_FOLDERS)], policy=media)
    gains = {_id(query): {_id(item): grade for item, grade in row.items()} for query, row in read_qrels(graded).items()}
    items, gains = _gallery(root, files, gains)
    queries, lacking = _queries(asked, files)
    missing = files.check(name)
    rows, notes = judged_only(queries, gains, set(items))
    rows = [replace(row, lacks_media=row.query.id in lacking) for row in rows]
    task, dropped = make_task(rows, items, BEIR)
    return Dataset(
        name="beir",
        title=name,
        split=split,
        tasks=(task,),
        missing=missing,
        dropped=dropped,
        notes=tuple(notes),
    )


def _queries_named(start: str) -> list[str]:
    return [f"{start}.{suffix}" for suffix in ("jsonl", "tsv", "txt")]


def _qrels_named(split: str) -> list[str]:
    starts = (f"qrels/{split}", f"qrels.{split}", "qrels")
    return [f"{start}.{suffix}" for start in starts for suffix in ("tsv", "trec", "txt", "qrels")]


def _id(value: object) -> str:
    text = str(value).strip()
    return item_id(text) if not text or any(c.isspace() for c in text) else text


def _queries(path: Path, files: MediaFiles) -> tuple[list[Query], set[str]]:
    """The queries, and the ids of those whose own media are missing."""
    queries: list[Query] = []
    lacking: set[str] = set()
    for row in _rows(path):
        name = _id(_first(row, IDS, path))
        picture, video = (_path(row, names, files) for names in (PICTURES, VIDEOS))
        if None in (picture, video):
            lacking.add(name)
        queries.append(
            Query(
                id=name,
                text=_text(row),
                image=picture or None,
                video=video or None,
                instruction=row.get("instruction") or None,
                exclude=tuple(_id(item) for item in row.get("exclude") or ()),
            )
        )
    return queries, lacking


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return rows_of(path, list(read_jsonl(path)), ())
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if line.strip():
            name, tab, text = line.rstrip("\r").partition("\t")
            if not tab:
                raise DatasetError(f"{path}:{number}: {line[:60]!r} has no tab; write an id, a tab and the text.")
            rows.append({"_id": name, "text": text})
    return rows


def _first(row: Mapping[str, Any], names: Sequence[str], path: Path) -> Any:
    for name in names:
        if row.get(name) not in (None, ""):
            return row[name]
    raise DatasetError(f"A row of {path} has no id ({', '.join(names)}); it has {', '.join(row)}.")


def _text(row: Mapping[str, Any]) -> str | None:
    text = next((row[name] for name in TEXTS if isinstance(row.get(name), str)), None)
    title = row.get("title")
    return f"{title} {text or ''}".strip() if isinstance(title, str) and title else text


def _path(row: Mapping[str, Any], names: Sequence[str], files: MediaFiles) -> str | None:
    """The file a row names: "" where it names none, None where it is missing."""
    named = next((row[name] for name in names if isinstance(row.get(name), str) and row[name]), "")
    return files.find([named]) if named else ""


def _gallery(root: Path, files: MediaFiles, gains: Gains) -> tuple[dict[str, Item | None], Gains]:
    corpus = root / "corpus.jsonl"
    if corpus.is_file():
        rows = rows_of(corpus, list(read_jsonl(corpus)), ())
        items = {}
        for row in rows:
            name = _id(_first(row, IDS, corpus))
            if name in items:
                raise DatasetError(f"{corpus} has the id {name!r} twice; every item needs its own.")
            items[name] = _item(name, row, files)
        return items, gains
    folder = next((root / name for name in MEDIA_FOLDERS if (root / name).is_dir()), None)
    if folder is None:
        raise DatasetError(
            f"There is no gallery under {root}. Looked for:\n  corpus.jsonl\n"
            + "\n".join(f"  {name}/" for name in MEDIA_FOLDERS)
        )
    return _scanned(folder, gains)


def _item(name: str, row: Mapping[str, Any], files: MediaFiles) -> Item | None:
    picture, video = (_path(row, names, files) for names in (PICTURES, VIDEOS))
    if None in (picture, video):
        return None
    uri = video or picture or None
    kind: Kind = "text" if uri is None else "video" if video else kind_of(uri) or "image"
    given = row.get("kind")
    return Item(id=name, kind=given if given in KINDS else kind, uri=uri, text=_text(row))


def _scanned(folder: Path, gains: Gains) -> tuple[dict[str, Item | None], Gains]:
    """All media of a folder, and the judgements with the ids that its items have."""
    from mmrank.media.scan import scan

    found = scan(folder, span_seconds=None, base=folder, sidecars=False)
    items: dict[str, Item | None] = {item.id: item for item in found}
    if found.failures:
        uri, why = found.failures[0]
        raise DatasetError(f"{len(found.failures):,} files of {folder} cannot be read, such as {uri}: {why}")
    if not items:
        raise DatasetError(f"{folder} holds no picture, PDF, video or text.")
    names: dict[str, set[str]] = {}
    for item in items:
        path, mark, part = item.partition("#")
        file = path.rpartition("/")[2]
        for name in (file + mark + part, file.rpartition(".")[0] + mark + part):
            names.setdefault(name, set()).add(item)
    renamed = {name: next(iter(owners)) for name, owners in names.items() if len(owners) == 1}
    return items, {
        query: {(item if item in items else renamed.get(item, item)): grade for item, grade in row.items()}
        for query, row in gains.items()
    }
