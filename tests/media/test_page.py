from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from reportlab.pdfgen.canvas import Canvas

from mmrank.errors import MediaError, UsageError
from mmrank.media import page as page_module
from mmrank.media.page import MAX_OPEN_DOCUMENTS, MAX_PAGE_PIXELS, _clean, open_page, page_count

CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"


def one_page(box: bytes) -> tuple[bytes, bytes, bytes]:
    return (CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 1>>", b"<</Type/Page/Parent 2 0 R/MediaBox " + box + b">>")


def test_a_page_is_rendered_to_the_wanted_size_with_its_text(tmp_path: Path, pdf: Callable[..., Path]) -> None:
    file = pdf(tmp_path / "report.pdf", [["First page", "naïve café"], ["Second"]])
    assert page_count(file) == 2
    page = open_page(file, 1, size=448)
    assert (page.image.mode, page.image.size) == ("RGB", (448, 598))
    assert (page.width, page.height) == (300, 400)
    assert page.text == "First page\nnaïve café"
    assert open_page(file, 2, size=448).text == "Second"
    pixels = np.asarray(page.image)
    assert tuple(pixels[590, 5]) == (255, 0, 0)  # red below on the left: the channels and the rows are in order
    assert tuple(pixels[5, 440]) == (255, 255, 255)


@pytest.mark.parametrize("size", [1, 100, 223, 1000])
def test_the_shorter_side_is_what_was_asked(size: int, tmp_path: Path, pdf: Callable[..., Path]) -> None:
    wide = pdf(tmp_path / "wide.pdf", size=(411, 297))
    assert min(open_page(wide, 1, size=size).image.size) == size


def test_text_can_be_left_out(tmp_path: Path, pdf: Callable[..., Path]) -> None:
    assert open_page(pdf(tmp_path / "a.pdf"), 1, size=64, with_text=False).text == ""


def test_bytes_and_uris_work_like_paths(tmp_path: Path, pdf: Callable[..., Path]) -> None:
    file = pdf(tmp_path / "a b.pdf", [["words"]])
    for source in (file.read_bytes(), str(file), "file://" + str(file).replace(" ", "%20")):
        assert page_count(source) == 1
        assert open_page(source, 1, size=64).text == "words"


def test_words_broken_at_a_line_end_are_joined(tmp_path: Path, pdf: Callable[..., Path]) -> None:
    assert open_page(pdf(tmp_path / "a.pdf", [["one exam-", "ple here"]]), 1, size=64).text == "one example here"


def test_control_characters_are_removed_from_text() -> None:
    assert _clean("a\x00b\r\nc\x07\ufffe\nd\x9f\uffff\r\n\r\n\r\n\r\ne\ttab\x0c ") == "ab\ncd\n\ne\ttab"


def test_a_password_is_asked_for_by_name(tmp_path: Path, pdf: Callable[..., Path]) -> None:
    locked = pdf(tmp_path / "locked.pdf", password="secret")
    for call in (lambda: page_count(locked), lambda: open_page(locked, 1, size=64)):
        with pytest.raises(MediaError, match=r"locked\.pdf is encrypted and needs a password"):
            call()


def test_a_pdf_that_only_restricts_printing_opens(tmp_path: Path, pdf: Callable[..., Path]) -> None:
    assert open_page(pdf(tmp_path / "owner.pdf", [["free"]], password=""), 1, size=64).text == "free"


def test_a_pdf_of_no_pages_is_called_that(
    tmp_path: Path, raw_pdf: Callable[..., bytes], pdf: Callable[..., Path]
) -> None:
    with pytest.raises(MediaError, match="password"):
        page_count(pdf(tmp_path / "locked.pdf", password="x"))  # PDFium remembers this error
    data = raw_pdf(CATALOG, b"<</Type/Pages/Kids[]/Count 0>>")
    (tmp_path / "none.pdf").write_bytes(data)
    for source in (data, tmp_path / "none.pdf"):
        with pytest.raises(MediaError, match="a PDF of 0 pages"):
            page_count(source)


@pytest.mark.parametrize("data", [b"text", b"%PDF-1.7\n", bytes(500)])
def test_what_is_no_pdf_is_named(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "bad.pdf"
    file.write_bytes(data)
    with pytest.raises(MediaError, match=r"bad\.pdf is not a PDF, or is broken"):
        page_count(file)


def test_empty_missing_and_truncated_files_are_named(tmp_path: Path, pdf: Callable[..., Path]) -> None:
    (tmp_path / "empty.pdf").touch()
    whole = pdf(tmp_path / "whole.pdf").read_bytes()
    (tmp_path / "half.pdf").write_bytes(whole[: len(whole) // 2])
    for name, why in [("empty.pdf", "empty"), ("missing.pdf", "No such file"), ("half.pdf", "broken or truncated")]:
        with pytest.raises(MediaError, match=why):
            page_count(tmp_path / name)


@pytest.mark.parametrize("number", [0, -1, 3])
def test_a_page_out_of_range_is_named(number: int, tmp_path: Path, pdf: Callable[..., Path]) -> None:
    file = pdf(tmp_path / "two.pdf", [["a"], ["b"]])
    with pytest.raises(MediaError, match=f"has 2 pages; page {number} does not exist"):
        open_page(file, number, size=64)


def test_a_size_that_cannot_be_meant_is_refused(tmp_path: Path, pdf: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="size is 0"):
        open_page(pdf(tmp_path / "a.pdf"), 1, size=0)


@pytest.mark.parametrize("box", [b"[0 0 14400 1]", b"[0 0 1 14400]", b"[0 0 14400 14400]", b"[0 0 1e9 1e9]"])
def test_hostile_page_sizes_are_bounded(box: bytes, raw_pdf: Callable[..., bytes]) -> None:
    image = open_page(raw_pdf(*one_page(box)), 1, size=20_000).image
    assert 0 < image.width * image.height <= MAX_PAGE_PIXELS * 1.01 + 20_000


def test_a_file_written_again_is_read_again(tmp_path: Path, pdf: Callable[..., Path]) -> None:
    file = pdf(tmp_path / "a.pdf", [["old"]])
    assert open_page(file, 1, size=64).text == "old"
    pdf(file, [["new"], ["more"]])
    assert page_count(file) == 2
    assert open_page(file, 1, size=64).text == "new"


def test_few_documents_stay_open(tmp_path: Path, pdf: Callable[..., Path]) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for i in range(3 * MAX_OPEN_DOCUMENTS):
        page_count(pdf(tmp_path / f"{i}.pdf"))
    assert len(page_module._open_documents) == MAX_OPEN_DOCUMENTS
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + MAX_OPEN_DOCUMENTS


def test_threads_wait_for_each_other(tmp_path: Path, pdf: Callable[..., Path]) -> None:
    files = [pdf(tmp_path / f"{i}.pdf", [[f"{i}-{p}"] for p in range(3)]) for i in range(6)]
    wrong: list[str] = []

    def work(seed: int) -> None:
        for step in range(18):
            number, page = (seed + step) % 6, (seed * 5 + step) % 3
            text = open_page(files[number], page + 1, size=50).text
            if text != f"{number}-{page}":
                wrong.append(text)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_a_name_that_is_not_utf8_opens(tmp_path: Path, pdf: Callable[..., Path]) -> None:
    odd = os.path.join(str(tmp_path), os.fsdecode(b"caf\xe9.pdf"))
    os.rename(pdf(tmp_path / "a.pdf", [["words"]]), odd)
    assert open_page(odd, 1, size=64).text == "words"


def test_nothing_is_said_at_exit_about_documents_kept_open(tmp_path: Path) -> None:
    path = tmp_path / "one.pdf"
    canvas = Canvas(str(path))
    canvas.drawString(72, 720, "text")
    canvas.showPage()
    canvas.save()
    code = f"from mmrank.media.page import open_page; print(open_page({str(path)!r}, 1, size=32).text)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("text\n", "")
