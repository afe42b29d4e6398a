from random import Random

import pypdfium2

from mmrank.toybox.grammar import place
from mmrank.toybox.pages import page_about, page_captions, page_question, pdf_bytes, sample_page, write_pdf


def text_of(document, index: int) -> str:
    return " ".join(document[index].get_textpage().get_text_range().split())


def test_text_layer_holds_title_and_every_sentence(tmp_path) -> None:
    rng = Random(0)
    pages = [sample_page(rng, "heldout") for _ in range(4)]
    write_pdf(pages, tmp_path / "report.pdf", "report")
    document = pypdfium2.PdfDocument(tmp_path / "report.pdf")
    assert len(document) == 4
    for index, page in enumerate(pages):
        text = text_of(document, index)
        assert page.title in text
        assert all(sentence in text for sentence in page.sentences)
        assert all(month in text for month in page.months)
        assert all(str(value) in text for value in page.values)
    document.close()


def test_same_pages_same_bytes() -> None:
    assert pdf_bytes([sample_page(Random(1))], "a") == pdf_bytes([sample_page(Random(1))], "a")


def test_figure_is_on_the_page_in_its_colours() -> None:
    page = page_about(place("red", ("dog", "cat"), "left of", Random(0)), Random(0))
    document = pypdfium2.PdfDocument(pdf_bytes([page], "a"))
    picture = document[0].render(scale=0.5).to_pil().convert("RGB")
    red = sum(count for count, (r, g, b) in picture.getcolors(1 << 16) if r > 150 and g < 90 and b < 90)
    assert 0.1 < red / (picture.width * picture.height) < 0.5
    document.close()


def test_long_titles_and_captions_wrap_inside_the_page() -> None:
    scene = place("white", ("soccer ball", "helicopter", "strawberry"), "above", Random(0))
    for seed in range(12):
        document = pypdfium2.PdfDocument(pdf_bytes([page_about(scene, Random(seed))], "a"))
        text_page = document[0].get_textpage()
        boxes = [text_page.get_charbox(index) for index in range(text_page.count_chars())]
        assert max(box[2] for box in boxes) < document[0].get_width() - 20
        assert min(box[1] for box in boxes) > 5
        document.close()


def test_questions_and_captions_are_about_the_page() -> None:
    page = page_about(place("green", ("dog", "cat"), "above", Random(0)), Random(3))
    assert page.place in page_question(page)
    assert "dog" in page_question(page)
    assert all("green" in text for text in page_captions(page)[1:])
    assert sum(page.values) == int(page.sentences[1].split(" seen ")[1].split()[0])
