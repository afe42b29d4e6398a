import pytest

from mmrank.toybox import ToyboxError, ToyQuery
from mmrank.toybox.assets import sample_media_folder, sample_queries_file
from mmrank.toybox.manifest import read_queries, write_jsonl


def test_queries_come_back_as_they_were_written(tmp_path) -> None:
    queries = (
        ToyQuery("q0001", "text_to_image", "image", "a dog", "photos/a.jpg"),
        ToyQuery("q0002", "composed", "image", "remove the dog", "photos/b.jpg", "photos/a.jpg"),
    )
    write_jsonl(queries, tmp_path / "queries.jsonl")
    assert read_queries(tmp_path / "queries.jsonl") == queries


def test_a_broken_line_is_named(tmp_path) -> None:
    (tmp_path / "queries.jsonl").write_text('{"id": "q1"}\n')
    with pytest.raises(ToyboxError, match="line 1"):
        read_queries(tmp_path / "queries.jsonl")


def test_bundled_queries_point_at_bundled_files() -> None:
    media = sample_media_folder()
    queries = read_queries(sample_queries_file())
    assert {query.kind for query in queries} == {"image", "page", "video", "text"}
    for query in queries:
        assert (media / query.answer.split("#")[0]).is_file()
        assert query.reference is None or (media / query.reference).is_file()
