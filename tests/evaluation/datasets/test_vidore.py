"""ViDoRe: BEIR-like and question-answer tables, languages, several repositories in one folder."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets import vidore

HYPHENS = {"corpus_id": "corpus-id", "query_id": "query-id"}
"""Column names that no Python name can be."""


@pytest.fixture
def table(picture):
    """Write columns to a Parquet file; a column `image` of colours becomes pictures as Hugging Face stores them."""

    def to(path, **columns):
        path.parent.mkdir(parents=True, exist_ok=True)
        if "image" in columns:
            columns["image"] = [None if c is None else {"bytes": picture(c), "path": None} for c in columns["image"]]
        pq.write_table(pa.table({HYPHENS.get(name, name): values for name, values in columns.items()}), path)

    return to


COLOURS = [(1, 0, 0), (2, 0, 0), (3, 0, 0)]


@pytest.fixture
def v2(tmp_path, table):
    root = tmp_path / "esg_v2"
    table(root / "corpus/test-00000-of-00002.parquet", corpus_id=[0, 1], image=COLOURS[:2])
    table(root / "corpus/test-00001-of-00002.parquet", corpus_id=[2], image=COLOURS[2:])
    table(
        root / "queries/test-00000-of-00001.parquet",
        query_id=[0, 1, 2, 3],
        query=["how much?", "combien ?", "nothing about it", None],
        language=["english", "french", "english", "english"],
    )
    table(
        root / "qrels/test-00000-of-00001.parquet",
        query_id=[0, 0, 1, 2, 9],
        corpus_id=[0, 2, 1, 1, 1],
        score=[2.0, 1.0, 1.0, 0.0, 1.0],
    )
    return root


def test_beir_tables(v2, picture) -> None:
    dataset = vidore.read(v2, "test", "required")
    (task,) = dataset.tasks
    assert [item.id for item in task.gallery] == ["0", "1", "2"]
    assert all(item.kind == "page" for item in task.gallery)
    with open(task.gallery[2].uri, "rb") as file:
        assert file.read() == picture(COLOURS[2])
    assert [(query.id, query.text) for query in task.queries] == [("0", "how much?"), ("1", "combien ?")]
    assert task.relevant == {"0": {"0": 2.0, "2": 1.0}, "1": {"1": 1.0}}
    assert task.metrics[0].name == "nDCG@5"
    assert dataset.notes == (
        "1 queries without a relevant item are left out.",
        "1 judged queries are not among the queries read, and are passed over.",
    )
    assert dataset.protocol == "ViDoRe esg_v2 test, BEIR form, 3 gallery"


def test_one_language(v2) -> None:
    dataset = vidore.read(v2, "test", "none", language="French")
    assert [query.id for query in dataset.tasks[0].queries] == ["1"]
    assert "queries in French" in dataset.protocol
    with pytest.raises(DatasetError, match="the languages there are english, french"):
        vidore.read(v2, "test", "none", language="german")


def test_question_answer_tables(tmp_path, table, picture) -> None:
    table(
        tmp_path / "docvqa_test_subsampled/data/test-00000-of-00001.parquet",
        query=["a?", "b?", "a?", None, "c?"],
        image=[*COLOURS, (4, 0, 0), COLOURS[0]],
        image_filename=["p 1.jpg", "p2.jpg", "p3.jpg", "p4.jpg", "p 1.jpg"],
        answer=["x"] * 5,
    )
    dataset = vidore.read(tmp_path / "docvqa_test_subsampled", "test", "required")
    (task,) = dataset.tasks
    assert [item.id for item in task.gallery] == ["p%201.jpg", "p2.jpg", "p3.jpg", "p4.jpg"]
    assert [query.text for query in task.queries] == ["a?", "b?", "c?"]
    assert task.relevant == {
        "q0": {"p%201.jpg": 1.0, "p3.jpg": 1.0},
        "q1": {"p2.jpg": 1.0},
        "q2": {"p%201.jpg": 1.0},
    }
    with open(task.gallery[0].uri, "rb") as file:
        assert file.read() == picture(COLOURS[0])
    assert "question-answer form" in dataset.protocol
    assert dataset.notes == ("Rows with the question of an earlier row: 1.",)


@pytest.fixture
def v3(tmp_path, table):
    root = tmp_path / "vidore_v3_energy_mteb_format"
    for language, text in (("english", "why?"), ("french", "pourquoi ?")):
        table(root / f"{language}-corpus/test-0.parquet", id=["d1", "d2"], image=COLOURS[:2], markdown=["x", "y"])
        table(root / f"{language}-queries/test-0.parquet", id=[f"{language}-1"], text=[text])
        # The judgements of every language are in each file.
        table(
            root / f"{language}-qrels/test-0.parquet",
            query_id=["english-1", "french-1"],
            corpus_id=["d1", "d2"],
            score=[1, 2],
        )
    return root


def test_languages_as_tasks_and_v3s_metric(v3) -> None:
    dataset = vidore.read(v3, "test", "required")
    assert [task.name for task in dataset.tasks] == ["english", "french"]
    assert dataset.task("french").relevant == {"french-1": {"d2": 2.0}}
    assert dataset.tasks[0].metrics[0].name == "nDCG@10"
    assert vidore.read(v3, "test", "none", version="v2").tasks[0].metrics[0].name == "nDCG@5"
    assert dataset.combine({"english": {"nDCG@10": 10.0}, "french": {"nDCG@10": 20.0}}) == {"nDCG@10": 15.0}


def test_a_folder_of_several_repositories(v2, v3, tmp_path) -> None:
    dataset = vidore.read(tmp_path, "test", "none")
    assert [task.name for task in dataset.tasks] == [
        "esg_v2",
        "vidore_v3_energy_mteb_format/english",
        "vidore_v3_energy_mteb_format/french",
    ]
    assert [task.metrics[0].name for task in dataset.tasks] == ["nDCG@5", "nDCG@10", "nDCG@10"]


@pytest.mark.parametrize("above", ["", "data/"])
def test_names_of_mtebs_form(tmp_path, table, above) -> None:
    table(tmp_path / f"{above}corpus/test-0.parquet", _id=["d1"], text=["words"])
    table(tmp_path / f"{above}query/test-0.parquet", _id=["q1"], text=["?"])
    table(tmp_path / f"{above}default/test-0.parquet", query_id=["q1"], corpus_id=["d1"], score=[1])
    assert vidore.read(tmp_path, "test", "required").tasks[0].relevant == {"q1": {"d1": 1.0}}


def test_a_corpus_of_texts(tmp_path, table) -> None:
    table(tmp_path / "corpus/test-0.parquet", id=["d1"], text=["words"])
    table(tmp_path / "queries/test-0.parquet", id=["q1"], text=["?"])
    table(tmp_path / "qrels/test-0.parquet", query_id=["q1"], corpus_id=["d1"], score=[1])
    item = vidore.read(tmp_path, "test", "required").tasks[0].gallery[0]
    assert (item.kind, item.text) == ("text", "words")


def test_pages_without_a_picture(v2, table) -> None:
    table(v2 / "corpus/test-00001-of-00002.parquet", corpus_id=[2], image=[None])
    path = v2 / "corpus/test-00001-of-00002.parquet"
    empty = pa.array([None], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    pq.write_table(pa.table({"corpus-id": [2], "image": empty}), path)
    with pytest.raises(DatasetError, match="1 pages of .* have no picture, such as '2'"):
        vidore.read(v2, "test", "required")
    dataset = vidore.read(v2, "test", "allow_missing")
    assert dataset.missing == ("2",)
    assert dataset.tasks[0].relevant["0"] == {"0": 2.0}


def test_a_wrong_root(tmp_path) -> None:
    with pytest.raises(DatasetError, match="corpus/test-"):
        vidore.read(tmp_path, "test", "none")


def test_judgements_of_another_corpus(v2, table) -> None:
    table(v2 / "qrels/test-00000-of-00001.parquet", query_id=[0], corpus_id=[77], score=[1])
    with pytest.raises(
        DatasetError, match="1 items that are judged relevant are not in the gallery of 3, such as '77'"
    ):
        vidore.read(v2, "test", "none")
