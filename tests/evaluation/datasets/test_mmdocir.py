"""MMDocIR: pages of the question's own document, inclusive ranges, pages from the table or from their numbers."""

from __future__ import annotations

import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets import mmdocir

DOCUMENTS = [
    {
        "doc_name": "a report.pdf",
        "domain": "News",
        "page_indices": [0, 2],
        "layout_indices": [0, 9],
        "questions": [
            {"Q": "How many?\nAnd why?", "A": "3", "page_id": [0, 2], "type": "['Table']", "layout_mapping": []},
            {"Q": "Who?", "A": "Ann", "page_id": [1], "type": "Text", "layout_mapping": [], "evidence": "…"},
        ],
    },
    {
        "doc_name": "b.pdf",
        "domain": "Laws",
        "page_indices": [3, 3],
        "layout_indices": [10, 11],
        "questions": [{"Q": "When?", "A": "now", "page_id": [0], "type": "Text", "layout_mapping": []}],
    },
]


@pytest.fixture
def root(tmp_path, write, picture):
    write(tmp_path / "dataset/MMDocIR_annotations.jsonl", "\n\n".join(json.dumps(each) for each in DOCUMENTS) + "\n")
    names = ["a report.pdf"] * 3 + ["b.pdf"]
    table = pa.table(
        {
            "doc_name": names,
            "passage_id": ["0", "1", "2", "0"],
            "image_binary": pa.array([picture((n, 0, 0), "JPEG") for n in range(4)], pa.binary()),
            "ocr_text": ["one", "", "three", "four"],
            "vlm_text": ["I", "II", "III", "IV"],
        }
    )
    pq.write_table(table, tmp_path / "dataset/MMDocIR_pages.parquet")
    return tmp_path


def test_a_question_ranks_its_own_documents_pages(root) -> None:
    dataset = mmdocir.read(root, "test", "required")
    (task,) = dataset.tasks
    first = ("a%20report.pdf:0", "a%20report.pdf:1", "a%20report.pdf:2")
    assert [item.id for item in task.gallery] == [*first, "b.pdf:0"]
    assert [query.among for query in task.queries] == [first, first, ("b.pdf:0",)]
    assert task.relevant == {"0": {first[0]: 1.0, first[2]: 1.0}, "1": {first[1]: 1.0}, "2": {"b.pdf:0": 1.0}}
    assert task.labels == {"0": ("News",), "1": ("News",), "2": ("Laws",)}
    assert task.queries[0].text == "How many?\nAnd why?"
    assert [item.parent for item in task.gallery][::3] == ["a%20report.pdf", "b.pdf"]


def test_pages_are_the_pictures_of_their_rows(root, picture) -> None:
    task = mmdocir.read(root, "test", "required").tasks[0]
    for number, item in enumerate(task.gallery):
        with open(item.uri, "rb") as file:
            assert file.read() == picture((number, 0, 0), "JPEG")
        assert item.text is None


def test_texts_when_asked_for(root) -> None:
    dataset = mmdocir.read(root, "test", "required", text="ocr")
    assert [item.text for item in dataset.tasks[0].gallery] == ["one", None, "three", "four"]
    assert "with ocr text" in dataset.protocol


def test_the_table_need_not_be_there_without_media(root) -> None:
    (root / "dataset/MMDocIR_pages.parquet").unlink()
    assert len(mmdocir.read(root, "test", "none").tasks[0].gallery) == 4
    with pytest.raises(DatasetError, match=r"MMDocIR_pages\.parquet is not under"):
        mmdocir.read(root, "test", "required")


def test_nothing_is_unpacked_without_media(root) -> None:
    mmdocir.read(root, "test", "none")
    assert not (root / "mmrank-media").exists()


def test_pages_without_a_picture(root) -> None:
    path = root / "dataset/MMDocIR_pages.parquet"
    table = pq.read_table(path)
    data = table["image_binary"].to_pylist()
    data[1] = None
    pq.write_table(table.set_column(2, "image_binary", pa.array(data, pa.binary())), path)
    with pytest.raises(DatasetError, match="1 pages .* have no picture, such as a%20report.pdf:1"):
        mmdocir.read(root, "test", "required")
    dataset = mmdocir.read(root, "test", "allow_missing")
    assert (dataset.missing, dataset.dropped) == (("a%20report.pdf:1",), ("1",))
    assert dataset.tasks[0].queries[0].among == ("a%20report.pdf:0", "a%20report.pdf:2")


def test_another_table_is_refused(root) -> None:
    path = root / "dataset/MMDocIR_pages.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(DatasetError, match="should be page 2 of 'a report.pdf'"):
        mmdocir.read(root, "test", "required")


def test_a_page_outside_its_document_is_refused(root, write) -> None:
    other = json.loads(json.dumps(DOCUMENTS))
    other[1]["questions"][0]["page_id"] = [1]
    write(root / "dataset/MMDocIR_annotations.jsonl", "\n".join(json.dumps(each) for each in other))
    with pytest.raises(DatasetError, match="names page 1, and the document has pages 0 to 0"):
        mmdocir.read(root, "test", "none")


@pytest.mark.compare
def test_the_real_files(real) -> None:
    (task,) = mmdocir.read(real("mmdocir"), "test", "none").tasks
    assert (len(task.queries), len(task.gallery)) == (1658, 20395)
    assert sum(len(gains) for gains in task.relevant.values()) == 2107
    assert len({item.parent for item in task.gallery}) == 313
    assert len(Counter(label for labels in task.labels.values() for label in labels)) == 10
