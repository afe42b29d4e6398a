import pypdfium2
import pytest

from mmrank.toybox import ToyboxError, media_layout
from mmrank.toybox.media_layout import PAGES_PER_REPORT, write_media


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    return folder, write_media(folder, images=40, videos=3, pages=8, notes=5, seed=3)


def test_counts_and_files(written) -> None:
    folder, made = written
    kinds = [item.kind for item in made.items]
    assert [kinds.count(kind) for kind in ("image", "video", "page", "text")] == [40, 3, 8, 5]
    assert len(list((folder / "photos").glob("*.jpg"))) == 40
    assert len(list((folder / "clips").glob("*.mp4"))) == 3
    reports = sorted((folder / "reports").glob("*.pdf"))
    assert [len(pypdfium2.PdfDocument(path)) for path in reports] == [2, PAGES_PER_REPORT]
    assert len(list((folder / "notes").glob("*.md"))) == 5
    assert len({item.path for item in made.items}) == len(made.items)


def test_every_item_is_asked_for_and_every_answer_is_an_item(written) -> None:
    _, made = written
    items = {item.path: item.kind for item in made.items}
    assert {query.answer for query in made.queries} == set(items)
    assert all(items[query.answer] == query.kind for query in made.queries)


def test_captions_tell_what_the_facts_say(written) -> None:
    _, made = written
    for item in made.items:
        assert all(name in item.caption for name in item.objects)
        assert item.ground in item.caption


def test_queries_are_distinct_across_kinds(written) -> None:
    _, made = written
    asked = [(query.text, query.reference) for query in made.queries]
    assert len(set(asked)) == len(asked)
    texts = [item.caption for item in made.items]
    assert len(set(texts)) == len(texts)


def test_composed_queries_lead_to_another_photo(written) -> None:
    _, made = written
    composed = [query for query in made.queries if query.task == "composed"]
    assert composed
    assert all(query.reference and query.reference != query.answer for query in composed)


def test_writing_again_leaves_nothing_of_the_old(tmp_path) -> None:
    write_media(tmp_path, images=8, videos=0, pages=0, notes=0, seed=1)
    write_media(tmp_path, images=2, videos=0, pages=0, notes=0, seed=1)
    assert len(list((tmp_path / "photos").iterdir())) == 2


def test_a_full_world_is_said(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(media_layout, "MAX_TRIES", 3)
    for module in ("grammar", "edits"):
        monkeypatch.setattr(f"mmrank.toybox.{module}.object_names", lambda: ("dog", "fish", "cat", "pig"))
    with pytest.raises(ToyboxError, match="ask for fewer"):
        write_media(tmp_path, images=60, videos=0, pages=0, notes=0, seed=0)
