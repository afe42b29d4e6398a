"""ViDoRe: questions about document pages, in the Parquet layouts of the Hugging Face repositories of all its versions.

Faysse et al., "ColPali", ICLR 2025; github illuin-tech/vidore-benchmark; MTEB's tasks of the same names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmrank.evaluation.dataset import Dataset, DatasetError, Media, Task
from mmrank.evaluation.datasets.parquet import column_names, read_columns, safe_stem, unpack_pictures
from mmrank.evaluation.datasets.qrels import judged_only
from mmrank.evaluation.datasets.rows import QueryRow, make_task
from mmrank.evaluation.protocols import VIDORE, VIDORE_V3, mean_over_tasks
from mmrank.media import item_id
from mmrank.types import Item, Query

Version = Literal["auto", "v1", "v2", "v3"]

UNPACKED = "mmrank-media"
CORPUS_IDS = ("corpus-id", "corpus_id", "_id", "id")
QUERY_IDS = ("query-id", "query_id", "_id", "id")
QUERY_TEXTS = ("query", "text")
SCORES = ("score", "relevance")
PICTURES = ("image", "page_image")

CONFIGURATIONS = (("corpus",), ("queries", "query"), ("qrels", "default"))
"""Names that ViDoRe's repositories and those in MTEB's form give to the three tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """The tables of one task: three of the BEIR-like form, or one of the question-answer form."""

    name: str
    corpus: tuple[Path, ...]
    queries: tuple[Path, ...] = ()
    qrels: tuple[Path, ...] = ()


def read(
    root: Path,
    split: str,
    media: Media,
    *,
    version: Version = "auto",
    language: str | None = None,
    unpack: Path | None = None,
) -> Dataset:
    """Read one repository's download, or a folder of several (a task each).

    Args:
        root: a folder with `corpus/`, `queries/` and `qrels/` (v1 and v2 as BEIR, v3; ``en-corpus/`` and its like make
            a task for each language), with ``data/SPLIT-*.parquet`` of columns `query`, `image` and `image_filename`
            (v1's question-answer form), or with such folders in it.
        split: "test".
        media: what to do about pages without a picture; with "none" nothing is unpacked.
        version: v1 and v2 report nDCG@5, v3 nDCG@10; "auto" takes v3 where the folder's name says so.
        language: only queries whose `language` is this; None: all.
        unpack: where the pictures are unpacked to, once; None: `mmrank-media` in the folder of each repository.

    Of the question-answer form equal questions are one query and equal file names one page, as on the leaderboard of
    v1; rows without a question only add their page. Queries that nothing is judged relevant to are left out, as in
    MTEB, and counted in the notes.
    """
    found = _sources(root, split)
    tasks: list[Task] = []
    missing: list[str] = []
    dropped: list[str] = []
    notes: list[str] = []
    for folder, source in found:
        chosen = version if version != "auto" else "v3" if "v3" in folder.resolve().name.lower() else "v1"
        rows, items, said = _read(source, media, language, unpack or folder / UNPACKED)
        absent = [item for item, made in items.items() if made is None]
        if absent and media == "required":
            raise DatasetError(
                f"{len(absent):,} pages of {folder} have no picture, such as {absent[0]!r}; download it again, or "
                "allow missing files (--allow-missing, media='allow_missing')."
            )
        task, left_out = make_task(rows, items, VIDORE_V3 if chosen == "v3" else VIDORE, name=source.name)
        tasks.append(task)
        missing += absent
        dropped += left_out
        notes += [f"{source.name}: {words}" if source.name else words for words in said]
    return Dataset(
        name="vidore",
        title=f"ViDoRe {root.resolve().name}",
        split=split,
        variant=_variant(found, language),
        tasks=tuple(tasks),
        combine=mean_over_tasks if len(tasks) > 1 else None,
        missing=tuple(missing),
        dropped=tuple(dropped),
        notes=tuple(notes),
    )


def _variant(found: Sequence[tuple[Path, _Source]], language: str | None) -> str:
    forms = {"BEIR form" if source.qrels else "question-answer form" for _, source in found}
    return ", ".join([*sorted(forms), *([f"queries in {language}"] if language else [])])


def _sources(root: Path, split: str) -> list[tuple[Path, _Source]]:
    if not root.is_dir():
        raise DatasetError(f"There is no folder {str(root)!r}; give the root of the download (--root, or root=).")
    for folders in ([root], sorted(path for path in root.iterdir() if path.is_dir())):
        several = len(folders) > 1
        found = [(folder, source) for folder in folders for source in _in_folder(folder, split, several)]
        if found:
            return found
    raise DatasetError(
        f"No ViDoRe repository is in {root} or in the folders right below it. Looked for:\n"
        f"  corpus/{split}-*.parquet with queries/ and qrels/ beside it (also LANGUAGE-corpus/)\n"
        f"  data/{split}-*.parquet with the columns query, image and image_filename"
    )


def _in_folder(folder: Path, split: str, several: bool) -> list[_Source]:
    named = [*folder.glob("*corpus"), *folder.glob("*corpus.parquet"), *folder.glob("data/*corpus")]
    prefixes = sorted({path.name.removesuffix(".parquet").removesuffix("corpus") for path in named})
    sources = []
    for prefix in prefixes:
        corpus, queries, qrels = (_tables(folder, prefix, parts, split) for parts in CONFIGURATIONS)
        if corpus and queries and qrels:
            name = "/".join(part for part in (folder.name if several else "", prefix.strip("-_")) if part)
            sources.append(_Source(name=name, corpus=corpus, queries=queries, qrels=qrels))
    if sources:
        return sources
    tables = tuple(sorted(folder.glob(f"data/{split}-*.parquet")) or sorted(folder.glob(f"{split}-*.parquet")))
    if tables and {"query", "image", "image_filename"} <= set(column_names(tables[0])):
        return [_Source(name=folder.name if several else "", corpus=tables)]
    return []


def _tables(folder: Path, prefix: str, names: Sequence[str], split: str) -> tuple[Path, ...]:
    """The Parquet files of one configuration of a repository: of its split, else all there are."""
    for config in (prefix + name for name in names):
        for place in (
            f"{config}/{split}*.parquet",
            f"data/{config}/{split}*.parquet",
            f"{config}/*.parquet",
            f"data/{config}/*.parquet",
            f"{config}.parquet",
        ):
            found = sorted(folder.glob(place))
            if found:
                return tuple(found)
    return ()


def _read(
    source: _Source, media: Media, language: str | None, place: Path
) -> tuple[list[QueryRow], dict[str, Item | None], list[str]]:
    if not source.qrels:
        return _read_questions(source, media, language, place)
    key = _column(source.corpus, CORPUS_IDS)
    ids = [item_id(str(row[key])) for row in read_columns(source.corpus, [key])]
    items = _pages(source, ids, media, place)
    asked = _queries(source, language)
    names = [_column(source.qrels, columns) for columns in (QUERY_IDS[:2], CORPUS_IDS[:2], SCORES)]
    gains: dict[str, dict[str, float]] = {}
    for query, item, score in ([row[name] for name in names] for row in read_columns(source.qrels, names)):
        gains.setdefault(item_id(str(query)), {})[item_id(str(item))] = float(score)
    rows, notes = judged_only(asked, gains, set(items))
    return rows, items, notes


def _queries(source: _Source, language: str | None) -> list[Query]:
    key, text = _column(source.queries, QUERY_IDS), _column(source.queries, QUERY_TEXTS)
    spoken = "language" in column_names(source.queries[0])
    rows = read_columns(source.queries, [key, text, *(["language"] if spoken else [])])
    if language is not None:
        known = sorted({str(row["language"]) for row in rows}) if spoken else []
        rows = [row for row in rows if spoken and str(row["language"]).casefold() == language.casefold()]
        if not rows:
            raise DatasetError(
                f"No query of {source.queries[0].parent} is in {language!r}; the languages there are "
                f"{', '.join(known) or 'not written in the files'}."
            )
    return [Query(id=item_id(str(row[key])), text=row[text]) for row in rows if row[text] is not None]


def _read_questions(
    source: _Source, media: Media, language: str | None, place: Path
) -> tuple[list[QueryRow], dict[str, Item | None], list[str]]:
    if language is not None:
        raise DatasetError("The question-answer form of ViDoRe v1 names no languages; leave language out.")
    rows = read_columns(source.corpus, ["query", "image_filename"])
    ids = [item_id(row["image_filename"]) for row in rows]
    items = _pages(source, ids, media, place)
    relevant: dict[str, dict[str, float]] = {}
    for item, row in zip(ids, rows, strict=True):
        if row["query"] is not None:
            relevant.setdefault(row["query"], {})[item] = 1.0
    made = [
        QueryRow(query=Query(id=f"q{number}", text=text), relevant=gains)
        for number, (text, gains) in enumerate(relevant.items())
    ]
    asked = sum(row["query"] is not None for row in rows)
    notes = [f"Rows with the question of an earlier row: {asked - len(made)}."] if asked > len(made) else []
    return made, items, notes


def _pages(source: _Source, ids: Sequence[str], media: Media, place: Path) -> dict[str, Item | None]:
    """The gallery; None for pages without a picture. Texts where a corpus has no pictures at all."""
    column = next((name for name in PICTURES if name in column_names(source.corpus[0])), None)
    if column is None:
        texts = read_columns(source.corpus, [_column(source.corpus, ("text", "markdown"))])
        return {i: Item(id=i, kind="text", text=str(*row.values())) for i, row in zip(ids, texts, strict=True)}
    if media == "none":
        return {item: Item(id=item, kind="page") for item in ids}
    paths = unpack_pictures(source.corpus, column, [safe_stem(item) for item in ids], place)
    found: dict[str, Item | None] = {}
    for item, path in zip(ids, paths, strict=True):
        if found.get(item) is None:
            found[item] = None if path is None else Item(id=item, kind="page", uri=path)
    return found


def _column(paths: Sequence[Path], names: Sequence[str]) -> str:
    has = column_names(paths[0])
    for name in names:
        if name in has:
            return name
    raise DatasetError(f"{paths[0]} has none of the columns {', '.join(names)}; it has {', '.join(has)}.")
