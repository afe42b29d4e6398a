"""Opening PDF pages: pixels and text layer, through PDFium.

PDFium is not thread-safe, so every call into it happens under one lock, closing included: an object left to
the garbage collector would be closed by whichever thread happens to run it.
"""

from __future__ import annotations

import atexit
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from mmrank.errors import MediaError, UsageError
from mmrank.media.once import FileKey, file_key
from mmrank.media.uri import cause, describe, is_utf8, regular_file, split_uri
from mmrank.media.when_where import words

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

MAX_PAGE_PIXELS = 40_000_000
"""Largest rendering, 160 MB: an A0 poster at 150 dpi has 35 million pixels. A page of extreme proportions is
rendered at the scale that fits, and its shorter side may then be below what was asked."""

MAX_OPEN_DOCUMENTS = 4
"""Documents kept open, so that 500 pages of one PDF parse it once; a few, for interleaved builds."""

_EDGE = 1e-9
"""Taken off the scale, so that a side meant to be 1000 pixels does not become 1001 by rounding up 1000.0000000001."""

_SOFT_HYPHEN = re.compile("[\x02\ufffe\u00ad]\n?")
"""How PDFium marks a word broken over two lines: ``exam\\x02ple``."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\uffff\ud800-\udfff]")
_BLANK_LINES = re.compile(r"\n[ \t]*\n\s*\n")

_pdfium_lock = threading.RLock()
_open_documents: OrderedDict[FileKey, PdfDocument] = OrderedDict()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page: `image` RGB, `text` its text layer ("" when it has none, as in scans), size in points (1/72 inch)."""

    image: Image.Image = field(repr=False)
    text: str
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentInfo:
    """What a PDF says of itself: its number of `pages`, at least 1, and its `title` and `author` where it has them."""

    pages: int
    title: str | None = None
    author: str | None = None


def document_info(source: str | Path | bytes) -> DocumentInfo:
    """Pages, title and author of a PDF, from its document information.

    Raises `MediaError` when it is missing, encrypted, broken or without pages.
    """
    with _pdfium_lock, _document(source) as document:
        told = document.get_metadata_dict()
        return DocumentInfo(pages=len(document), title=words(told.get("Title")), author=words(told.get("Author")))


def page_count(source: str | Path | bytes) -> int:
    """How many pages a PDF has, at least 1.

    Raises `MediaError` when it is missing, encrypted, broken or without pages.
    """
    with _pdfium_lock, _document(source) as document:
        return len(document)


def open_page(source: str | Path | bytes, page: int, *, size: int, with_text: bool = True) -> Page:
    """Render one page and read its text layer.

    `page` counts from 1. `size`: the shorter side in pixels; the rendering has exactly that (rounded up)
    unless MAX_PAGE_PIXELS bounds it. Text comes in PDFium's reading order, lines separated by ``\\n``, words
    broken at a line end joined, NUL and other control characters removed.

    Thread-safe (calls wait for each other). Raises `MediaError` when the PDF needs a password, is broken, or has
    no such page.

    >>> page = open_page("report.pdf", 3, size=448)        # doctest: +SKIP
    """
    if size < 1:
        raise UsageError(f"size is {size}; the shorter side of a page must be at least 1 pixel.")
    with _pdfium_lock, _document(source) as document:
        count = len(document)
        if not 1 <= page <= count:
            raise MediaError(f"{describe(source)} has {count} page{'s'[: count > 1]}; page {page} does not exist.")
        try:
            return _render(document[page - 1], size, with_text)
        except Exception as error:  # PdfiumError, but also MemoryError or ValueError on hostile sizes
            raise MediaError(f"{describe(source)}, page {page}, cannot be rendered: {cause(error)}.") from error


def _render(page: PdfPage, size: int, with_text: bool) -> Page:
    try:
        width, height = page.get_size()
        if min(width, height) <= 0:
            raise ValueError(f"its size is {width} x {height} points")
        scale = min(size / min(width, height), (MAX_PAGE_PIXELS / (width * height)) ** 0.5) * (1 - _EDGE)
        bitmap = page.render(scale=scale, rev_byteorder=True)  # RGB order: no swap afterwards
        try:
            image = bitmap.to_pil().convert("RGB").copy()  # the copy outlives the bitmap's buffer
        finally:
            bitmap.close()
        return Page(image=image, text=_text(page) if with_text else "", width=width, height=height)
    finally:
        page.close()


def _text(page: PdfPage) -> str:
    layer = page.get_textpage()
    try:
        return _clean(layer.get_text_bounded())
    finally:
        layer.close()


def _clean(text: str) -> str:
    text = _SOFT_HYPHEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _BLANK_LINES.sub("\n\n", _CONTROL.sub("", text)).strip()


@contextmanager
def _document(source: str | Path | bytes) -> Iterator[PdfDocument]:
    """An open document; those from files stay open for the next page. The lock is held by the caller."""
    if isinstance(source, bytes):
        document = _open(source, describe(source))
        try:
            yield document
        finally:
            document.close()
        return
    path = split_uri(source).path
    key = file_key(path, regular_file(path))
    cached = _open_documents.get(key)
    if cached is None:
        cached = _open_documents[key] = _open(path, describe(path))
        _close_at_exit()
    _open_documents.move_to_end(key)
    while len(_open_documents) > MAX_OPEN_DOCUMENTS:
        _open_documents.popitem(last=False)[1].close()
    yield cached


@cache
def _close_at_exit() -> None:
    """Close what is kept open before PDFium's own exit hook finds it and complains; hooks run last in, first out."""
    atexit.register(_close_documents)


def _close_documents() -> None:
    with _pdfium_lock:
        while _open_documents:
            _open_documents.popitem()[1].close()


def _open(source: str | bytes, name: str) -> PdfDocument:
    import pypdfium2

    file = None
    try:
        if isinstance(source, str) and not is_utf8(source):  # PDFium takes UTF-8 names only; an open file works
            file = Path(source).open("rb")  # noqa: SIM115 - the document closes it
        return pypdfium2.PdfDocument(file or source, autoclose=file is not None)
    except pypdfium2.PdfiumError as error:
        if file is not None:
            file.close()
        raise MediaError(f"{name} {_why_refused(source)}.") from error
    except OSError as error:
        raise MediaError(f"{name} cannot be opened: {cause(error)}.") from error


def _why_refused(source: str | bytes) -> str:
    """Asked of PDFium once more: pypdfium2 reports a document of 0 pages with the error of whatever failed before."""
    from pypdfium2 import raw

    if isinstance(source, bytes):
        handle = raw.FPDF_LoadMemDocument64(source, len(source), None)
    else:
        handle = raw.FPDF_LoadDocument(os.fsencode(source) + b"\0", None)
    if handle:
        raw.FPDF_CloseDocument(handle)
        return "is a PDF of 0 pages"
    if raw.FPDF_GetLastError() == raw.FPDF_ERR_PASSWORD:
        return "is encrypted and needs a password; save a copy without one"
    return "is not a PDF, or is broken or truncated"
