"""Chat-IR: one task a round, one text of all that was said, cumulative hits."""

from __future__ import annotations

import numpy as np
import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets import chat_ir

PATHS = [f"unlabeled2017/{number:012d}.jpg" for number in (5, 3, 9)]
ROWS = [
    {"img": PATHS[1], "dialog": ["a dog on a sofa", *[f"question {n}? answer, {n}" for n in range(10)]]},
    {"img": PATHS[2], "dialog": ["a boat", *["is it red? no"] * 10]},
]


@pytest.fixture
def root(tmp_path, write, draw):
    write(tmp_path / "ChatIR_Protocol/Search_Space_val_50k.json", PATHS)
    write(tmp_path / "dialogues/VisDial_v1.0_queries_val.json", ROWS)
    write(tmp_path / "dialogues/Human_BLIP2.json", [{"img": PATHS[0], "dialog": ["a cat", "is it black? yes"]}])
    for path in PATHS:
        draw(tmp_path / path)
    return tmp_path


def test_every_round_asks_with_all_that_was_said(root) -> None:
    dataset = chat_ir.read(root, "val", "required")
    assert [task.name for task in dataset.tasks] == [f"round {number}" for number in range(11)]
    assert dataset.task("round 0").queries[0].text == "a dog on a sofa"
    assert dataset.task("round 2").queries[0].text == "a dog on a sofa, question 0? answer, 0, question 1? answer, 1"
    assert dataset.task("round 10").queries[1].text.count("is it red? no") == 10
    assert [item.id for item in dataset.tasks[0].gallery] == PATHS
    assert dataset.tasks[3].relevant == {"0": {PATHS[1]: 1.0}, "1": {PATHS[2]: 1.0}}


def test_hits_are_cumulative(root) -> None:
    dataset = chat_ir.read(root, "val", "required")
    values = {task.name: {"Hits@10": np.array([100.0 if n == 1 else 0.0, 0.0])} for n, task in enumerate(dataset.tasks)}
    figures = dataset.combine_values(values)
    assert [figures[f"Hits@10 by round {n}"] for n in (0, 1, 10)] == [0.0, 50.0, 50.0]


def test_rounds_as_turns(root) -> None:
    query = chat_ir.read(root, "val", "required", turns=True).task("round 2").queries[0]
    assert query.text == "a dog on a sofa"
    assert query.turns == ("question 0? answer, 0", "question 1? answer, 1")


def test_other_dialogues_and_short_ones(root) -> None:
    dataset = chat_ir.read(root, "val", "required", dialogues="Human_BLIP2")
    assert "Human_BLIP2 dialogues" in dataset.protocol
    assert dataset.task("round 9").queries[0].text == "a cat, is it black? yes"
    assert dataset.notes[0].startswith("Dialogues of fewer than 11 rounds: 1;")


def test_images_elsewhere_and_missing(root, tmp_path_factory) -> None:
    other = tmp_path_factory.mktemp("coco")
    (root / "unlabeled2017").rename(other / "unlabeled2017")
    with pytest.raises(DatasetError, match="3 media files of Chat-IR"):
        chat_ir.read(root, "val", "required")
    for folder in (other, other / "unlabeled2017"):
        assert chat_ir.read(root, "val", "required", images=folder).missing == ()
    (other / PATHS[1]).unlink()
    dataset = chat_ir.read(root, "val", "allow_missing", images=other)
    assert dataset.dropped == ("0",)
    assert all(len(task.queries) == 1 for task in dataset.tasks)


def test_a_target_outside_the_search_space_is_refused(root, write) -> None:
    write(root / "dialogues/VisDial_v1.0_queries_val.json", [{"img": "unlabeled2017/1.jpg", "dialog": ["x"]}])
    with pytest.raises(DatasetError, match="not in the gallery"):
        chat_ir.read(root, "val", "required")
    write(root / "dialogues/VisDial_v1.0_queries_val.json", [{"img": PATHS[0], "dialog": "a text"}])
    with pytest.raises(DatasetError, match="no list of texts as dialog"):
        chat_ir.read(root, "val", "required")
