"""GeneCIS: own candidates in drawn order, object and attribute tasks, rows of unusual length."""

from __future__ import annotations

from collections import Counter

import pytest
from PIL import Image

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets import genecis


def coco(number: int) -> dict:
    return {"val_image_id": number}


def boxed(number: int, left: int = 2) -> dict:
    return {"image_id": number, "instance_bbox": [left, 1, 4, 2]}


def rows(make, count: int = 3) -> list[dict]:
    return [
        {
            "reference": make(100 + number),
            "target": make(1 + number),
            "gallery": [make(10 + number), make(20 + number)],
            "condition": f"word {number}",
        }
        for number in range(count)
    ]


@pytest.fixture
def root(tmp_path, write, draw):
    for name in genecis.TASKS:
        make = coco if name.endswith("object") else boxed
        write(tmp_path / f"genecis/{name}.json", rows(make))
    for number in (n + shift for shift in (1, 10, 20, 100) for n in range(3)):
        draw(tmp_path / f"val2017/{number:012d}.jpg")
        draw(tmp_path / f"VG_All/{number}.jpg")
    return tmp_path


def test_four_tasks_and_their_mean(root) -> None:
    dataset = genecis.read(root, "test", "required")
    assert [task.name for task in dataset.tasks] == list(genecis.TASKS)
    figures = {name: {"R@1": 10.0 * number} for number, name in enumerate(genecis.TASKS)}
    assert dataset.combine(figures) == {"R@1": 15.0}


def test_each_query_has_its_own_candidates_and_no_other(root) -> None:
    task = genecis.read(root, "test", "required").task("change_object")
    for number, query in enumerate(task.queries):
        assert set(query.among) == {str(1 + number), str(10 + number), str(20 + number)}
        assert task.relevant[query.id] == {str(1 + number): 1.0}
        assert query.text == f"word {number}"
        assert query.image.endswith(f"{100 + number:012d}.jpg")
    assert "100" not in {item.id for item in task.gallery}


def test_the_target_is_at_every_place_alike(tmp_path, write) -> None:
    write(tmp_path / "focus_object.json", rows(coco, 1) * 600)
    task = genecis.read(tmp_path, "test", "none").tasks[0]
    places = Counter(query.among.index("1") for query in task.queries)
    assert all(150 < places[place] < 250 for place in range(3))
    again = genecis.read(tmp_path, "test", "none").tasks[0]
    assert [query.among for query in task.queries] == [query.among for query in again.queries]


def test_attributes_are_square_crops_cut_once(root) -> None:
    task = genecis.read(root, "test", "required").task("focus_attribute")
    item = next(item for item in task.gallery if item.id == "1@2,1,4,2")
    with Image.open(item.uri) as crop:
        assert crop.size[0] == crop.size[1] == 7  # 1.7 times 4 pixels, from 0 on
    before = {path: path.stat().st_mtime_ns for path in (root / "mmrank-crops").iterdir()}
    genecis.read(root, "test", "required")
    assert before == {path: path.stat().st_mtime_ns for path in (root / "mmrank-crops").iterdir()}


def test_nothing_is_cut_where_nothing_is_looked_at(root) -> None:
    genecis.read(root, "test", "none")
    assert not (root / "mmrank-crops").exists()


def test_folders_elsewhere(root, tmp_path_factory) -> None:
    other = tmp_path_factory.mktemp("elsewhere")
    (root / "val2017").rename(other / "coco")
    (root / "VG_All").rename(other / "genome")
    with pytest.raises(DatasetError, match="12 media files of GeneCIS focus_attribute"):
        genecis.read(root, "test", "required")
    dataset = genecis.read(
        root, "test", "required", coco=other / "coco", visual_genome=other / "genome", crops=other / "crops"
    )
    assert dataset.missing == ()
    assert any((other / "crops").iterdir())


def test_missing_candidates_leave_their_queries(root) -> None:
    (root / "val2017/000000000010.jpg").unlink()
    (root / "val2017/000000000002.jpg").unlink()
    dataset = genecis.read(root, "test", "allow_missing", tasks="change_object")
    (task,) = dataset.tasks
    assert set(task.queries[0].among) == {"1", "20"}
    assert dataset.dropped == ("1",)
    assert dataset.combine is None


def test_rows_of_unusual_length_are_left_out_as_in_the_authors_code(root, write) -> None:
    made = rows(coco)
    made[1]["gallery"].append(coco(30))
    made[2]["gallery"][1] = made[2]["gallery"][0]
    write(root / "genecis/change_object.json", made)
    dataset = genecis.read(root, "test", "required", tasks="change_object")
    assert [query.id for query in dataset.tasks[0].queries] == ["0", "2"]
    assert len(dataset.tasks[0].queries[1].among) == 2
    assert any("having other than 3 candidates: 1." in note for note in dataset.notes)
    assert any("named twice and counts once: 1." in note for note in dataset.notes)


def test_a_picture_named_in_another_way_is_refused(root, write) -> None:
    write(root / "genecis/change_object.json", [{**rows(coco)[0], "reference": {"file": "a.jpg"}}])
    with pytest.raises(DatasetError, match="it takes val_image_id"):
        genecis.read(root, "test", "none")


@pytest.mark.compare
def test_the_real_files(real) -> None:
    dataset = genecis.read(real("genecis"), "test", "none", tasks="change_object")
    (task,) = dataset.tasks
    assert len(task.queries) == 1960
    sizes = Counter(len(query.among) for query in task.queries)
    assert sizes == {15: 1959, 14: 1}
