"""Folders of one's own: BEIR's files with texts and pictures, TREC's beside a folder of media."""

from __future__ import annotations

import json

import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets import beir


def lines(*rows: dict) -> str:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n"


@pytest.fixture
def texts(tmp_path, write):
    root = tmp_path / "my notes"
    corpus = [
        {"_id": "d1", "title": "Boats", "text": "They float.\u2028They sail."},
        {"_id": "d 2", "title": "", "text": "A dog", "metadata": {}},
        {"_id": 3, "text": ""},
    ]
    write(root / "corpus.jsonl", lines(*corpus))
    write(root / "queries.jsonl", lines({"_id": "q1", "text": "what floats?"}, {"_id": "q 2", "text": "a pet"}))
    write(root / "qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\nq 2\td 2\t2\nq 2\t3\t1\n")
    write(root / "qrels/dev.tsv", "query-id\tcorpus-id\tscore\nq1\t3\t1\n")
    return root


def test_texts(texts) -> None:
    dataset = beir.read(texts, "test", "required")
    (task,) = dataset.tasks
    assert [(item.id, item.kind, item.text) for item in task.gallery] == [
        ("d1", "text", "Boats They float.\u2028They sail."),
        ("d%202", "text", "A dog"),
        ("3", "text", ""),
    ]
    assert [query.id for query in task.queries] == ["q1", "q%202"]
    assert task.relevant == {"q1": {"d1": 1.0}, "q%202": {"d%202": 2.0, "3": 1.0}}
    assert dataset.protocol == "BEIR folder my notes test, 3 gallery"
    assert task.metrics[0].name == "nDCG@10"


def test_another_split_and_title(texts) -> None:
    dataset = beir.read(texts, "dev", "required", title="Notes")
    assert [query.id for query in dataset.tasks[0].queries] == ["q1"]
    assert dataset.notes == ("1 queries without a relevant item are left out.",)
    assert dataset.protocol.startswith("Notes dev")


def test_pictures_videos_and_composed_queries(tmp_path, write, draw) -> None:
    draw(tmp_path / "images/a.png")
    draw(tmp_path / "images/b.png")
    draw(tmp_path / "clips/c.mp4")
    rows = [
        {"_id": "a", "image": "a.png"},
        {"_id": "b", "image_path": "images/b.png", "text": "a caption"},
        {"_id": "c", "video": "clips/c.mp4"},
        {"_id": "p", "image": "images/b.png", "kind": "page"},
    ]
    write(tmp_path / "corpus.jsonl", lines(*rows))
    asked = {"_id": "q", "text": "at night", "image": "a.png", "instruction": "Find it.", "exclude": ["a"]}
    write(tmp_path / "queries.jsonl", lines(asked))
    write(tmp_path / "qrels.trec", "q 0 b 1\n")
    (task,) = beir.read(tmp_path, "test", "required").tasks
    assert [item.kind for item in task.gallery] == ["image", "image", "video", "page"]
    assert task.gallery[1].text == "a caption"
    (query,) = task.queries
    assert query.composed
    assert (query.exclude, query.instruction) == (("a",), "Find it.")


def test_missing_pictures(tmp_path, write, draw) -> None:
    draw(tmp_path / "a.png")
    write(tmp_path / "corpus.jsonl", lines({"_id": "a", "image": "a.png"}, {"_id": "b", "image": "b.png"}))
    write(tmp_path / "queries.jsonl", lines({"_id": "q", "text": "x"}, {"_id": "r", "text": "y", "image": "gone.png"}))
    write(tmp_path / "qrels.tsv", "q\ta\t1\nr\ta\t1\n")
    with pytest.raises(DatasetError, match=r"2 media files of .* are not there:\n  b.png\n  gone.png"):
        beir.read(tmp_path, "test", "required")
    dataset = beir.read(tmp_path, "test", "allow_missing")
    assert (dataset.missing, dataset.dropped) == (("b.png", "gone.png"), ("r",))
    assert [item.id for item in dataset.tasks[0].gallery] == ["a"]


def test_judgements_beside_a_folder_of_media(tmp_path, write, draw) -> None:
    draw(tmp_path / "media/photos/a dog.png")
    draw(tmp_path / "media/photos/b.png")
    draw(tmp_path / "media/other/b.png")
    write(tmp_path / "media/notes/n.md", "A note.")
    write(tmp_path / "queries.tsv", "1\ta dog\r\n2\ta note\n3\tthe other b\n")
    write(tmp_path / "qrels.trec", "1\t0\ta dog\t1\n2\t0\tn.md\t1\n3\t0\tother/b.png\t1\n")
    (task,) = beir.read(tmp_path, "test", "required").tasks
    assert {item.id for item in task.gallery} == {"photos/a%20dog.png", "photos/b.png", "other/b.png", "notes/n.md"}
    assert task.relevant == {"1": {"photos/a%20dog.png": 1.0}, "2": {"notes/n.md": 1.0}, "3": {"other/b.png": 1.0}}
    assert [query.text for query in task.queries] == ["a dog", "a note", "the other b"]


def test_a_name_that_fits_two_files_fits_none(tmp_path, write, draw) -> None:
    draw(tmp_path / "media/x/b.png")
    draw(tmp_path / "media/y/b.png")
    write(tmp_path / "queries.tsv", "1\tb\n")
    write(tmp_path / "qrels.trec", "1 0 b 1\n")
    with pytest.raises(DatasetError, match="such as 'b'"):
        beir.read(tmp_path, "test", "required")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("corpus.jsonl", '{"_id": "d1", "text": "x"}\n{"_id": "d1", "text": "y"}\n', "'d1' twice"),
        ("corpus.jsonl", '{"text": "x"}\n', "has no id"),
        ("corpus.jsonl", '{"_id": "d1"\n', "corpus.jsonl:1 is not valid JSON"),
        ("corpus.jsonl", '["d1"]\n', "Row 0 of .* is a list"),
        ("qrels/test.tsv", "q1\tnowhere\t1\n", "such as 'nowhere'"),
        ("qrels/test.tsv", "q9\td1\t1\n", "do the query ids agree"),
    ],
)
def test_bad_files(texts, write, name, content, words) -> None:
    write(texts / name, content)
    with pytest.raises(DatasetError, match=words):
        beir.read(texts, "test", "required")


def test_what_is_not_there_is_named(tmp_path, write) -> None:
    with pytest.raises(DatasetError, match=r"queries\.jsonl"):
        beir.read(tmp_path, "test", "required")
    write(tmp_path / "queries.jsonl", lines({"_id": "q", "text": "x"}))
    with pytest.raises(DatasetError, match="qrels/test.tsv"):
        beir.read(tmp_path, "test", "required")
    write(tmp_path / "qrels.tsv", "q\ta\t1\n")
    with pytest.raises(DatasetError, match="There is no gallery under"):
        beir.read(tmp_path, "test", "required")
