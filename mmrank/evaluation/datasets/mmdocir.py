"""MMDocIR: questions about long documents; which of the document's pages answer it?

Dong et al., "MMDocIR: Benchmarking Multi-Modal Retrieval for Long Documents", EMNLP 2025; github MMDocRAG/MMDocIR.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from mmrank.evaluation.dataset import Dataset, DatasetError, Media
from mmrank.evaluation.datasets.files import first_existing, read_jsonl, rows_of
from mmrank.evaluation.datasets.parquet import column_names, read_columns, safe_stem, unpack_pictures
from mmrank.evaluation.datasets.rows import QueryRow, make_task
from mmrank.evaluation.protocols import MMDOCIR_PAGE
from mmrank.media import item_id
from mmrank.types import Item, Query

Text = Literal["none", "ocr", "vlm"]

ANNOTATIONS = ("dataset/MMDocIR_annotations.jsonl", "MMDocIR_annotations.jsonl")
PAGES = ("dataset/MMDocIR_pages.parquet", "MMDocIR_pages.parquet", "dataset/MMDocIR_pages*.parquet")
UNPACKED = "mmrank-media"


def read(root: Path, split: str, media: Media, *, text: Text = "none", unpack: Path | None = None) -> Dataset:
    """Read the page task. Every question ranks the pages of its own document (`Query.among`).

    Args:
        root: holds `MMDocIR_annotations.jsonl` and `MMDocIR_pages.parquet`, in `dataset/` or not.
        split: "test".
        media: what to do about pages without a picture. With "none" the Parquet file need not be there: the
            annotations say how many pages each document has.
        text: what goes with each page as its text: nothing, `ocr_text` or `vlm_text`.
        unpack: where the pictures are unpacked to, once; None: `mmrank-media` under the root.

    Page ids are ``DOCUMENT:N`` with N from 0, as the annotations count; query ids number the questions from 0 in the
    order of the file; the label of a query is its document's domain.
    """
    path = first_existing(root, ANNOTATIONS, "MMDocIR's MMDocIR_annotations.jsonl")
    documents = rows_of(path, list(read_jsonl(path)), ["doc_name", "domain", "page_indices", "questions"])
    items, missing = _pages(root, documents, media, text, unpack)
    rows: list[QueryRow] = []
    for document in documents:
        pages = tuple(_page_id(document, page) for page in range(_count(document, path)))
        rows += [_query(question, len(rows) + n, pages, document) for n, question in enumerate(document["questions"])]
    task, dropped = make_task(rows, items, MMDOCIR_PAGE)
    return Dataset(
        name="mmdocir",
        title="MMDocIR",
        split=split,
        variant="pages within the question's document" + ("" if text == "none" else f", with {text} text"),
        tasks=(task,),
        missing=missing,
        dropped=dropped,
        notes=_notes(rows),
    )


def _page_id(document: dict[str, Any], page: int) -> str:
    return f"{item_id(document['doc_name'])}:{page}"


def _count(document: dict[str, Any], path: Path) -> int:
    """How many pages a document has: its first and last row in the table of pages are both its own."""
    first, last = document["page_indices"]
    if last < first:
        raise DatasetError(f"{path}: {document['doc_name']!r} has the page_indices {[first, last]}; download it again.")
    return int(last - first + 1)


def _pages(
    root: Path, documents: list[dict[str, Any]], media: Media, text: Text, unpack: Path | None
) -> tuple[dict[str, Item | None], tuple[str, ...]]:
    """Page id to page, in order of the documents, and the ids of those without a picture."""
    numbered = [
        (document, page, int(document["page_indices"][0]) + page)
        for document in documents
        for page in range(_count(document, root))
    ]
    if media == "none" and not any(sorted(root.glob(name)) for name in PAGES):
        return {_page_id(d, page): _page(d, page, None, None) for d, page, _ in numbered}, ()
    table = first_existing(root, PAGES, "MMDocIR's MMDocIR_pages.parquet")
    columns = ["doc_name", *([f"{text}_text"] if text != "none" else [])]
    rows = read_columns([table], columns)
    _check(numbered, rows, table)
    pictures: Sequence[str | None] = [None] * len(rows)
    if media != "none":
        stems = [safe_stem(f"{number:06d}") for number in range(len(rows))]
        pictures = unpack_pictures([table], _picture_column(table), stems, unpack or root / UNPACKED)
    items: dict[str, Item | None] = {}
    missing = []
    for document, page, row in numbered:
        key = _page_id(document, page)
        absent = media != "none" and pictures[row] is None
        missing += [key] if absent else []
        said = rows[row].get(f"{text}_text")
        items[key] = None if absent else _page(document, page, pictures[row], said)
    if missing and media == "required":
        raise DatasetError(
            f"{len(missing):,} pages of {table} have no picture, such as {missing[0]}; download it again, or allow "
            "missing files (--allow-missing, media='allow_missing')."
        )
    return items, tuple(missing)


def _picture_column(table: Path) -> str:
    return next((name for name in column_names(table) if name in ("image_binary", "image")), "image_binary")


def _check(numbered: list[tuple[dict[str, Any], int, int]], rows: list[dict[str, Any]], table: Path) -> None:
    for document, page, row in numbered:
        came = rows[row]["doc_name"] if row < len(rows) else "nothing"
        if came != document["doc_name"]:
            raise DatasetError(
                f"Row {row} of {table} should be page {page} of {document['doc_name']!r} and holds {came!r}; "
                "annotations and pages do not belong together."
            )


def _page(document: dict[str, Any], page: int, picture: str | None, text: str | None) -> Item:
    return Item(
        id=_page_id(document, page),
        kind="page",
        uri=picture,
        text=text or None,
        parent=item_id(document["doc_name"]),
    )


def _query(question: dict[str, Any], number: int, pages: tuple[str, ...], document: dict[str, Any]) -> QueryRow:
    outside = [page for page in question["page_id"] if not 0 <= page < len(pages)]
    if outside:
        raise DatasetError(
            f"A question about {document['doc_name']!r} names page {outside[0]}, and the document has pages 0 to "
            f"{len(pages) - 1}; download the annotations again."
        )
    return QueryRow(
        query=Query(id=str(number), text=question["Q"], among=pages),
        relevant={pages[page]: 1.0 for page in question["page_id"]},
        labels=(document["domain"],),
    )


def _notes(rows: list[QueryRow]) -> tuple[str, ...]:
    bare = sum(not row.relevant for row in rows)
    return (f"Questions without a page that answers them: {bare}; they count as misses.",) if bare else ()
