"""Matrix files: what is taken, what is turned, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmrank.errors import UsageError
from mmrank.evaluation import matrices
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.judged import judge_matrix
from mmrank.evaluation.matrices import load_matrix
from mmrank.evaluation.metrics import HitRate
from mmrank.types import Item, Query


def task(queries: int = 3, items: int = 4) -> Task:
    return Task(
        queries=tuple(Query(id=f"q{n}", text="x") for n in range(queries)),
        gallery=tuple(Item(id=f"video{n}", kind="video") for n in range(items)),
        relevant={f"q{n}": {f"video{n}": 1.0} for n in range(min(queries, items))},
        metrics=(HitRate(1),),
    )


def saved(folder: Path, scores: Any, **how: Any) -> Path:
    np.save(folder / "m.npy", scores, **how)
    return folder / "m.npy"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_matrix_of_the_right_shape_is_taken_as_it_is(tmp_path: Path, dtype: Any, order: Any) -> None:
    scores = np.arange(12, dtype=dtype).reshape(3, 4)
    found = load_matrix(saved(tmp_path, np.asarray(scores, order=order)), task())
    assert found.dtype == dtype
    assert np.array_equal(found, scores)


def test_it_is_mapped_and_not_read(tmp_path: Path) -> None:
    assert isinstance(load_matrix(saved(tmp_path, np.eye(3, 4)), task()), np.memmap)


def test_items_in_rows_are_turned_when_the_shape_leaves_no_doubt(tmp_path: Path) -> None:
    scores = np.arange(12.0).reshape(3, 4)
    assert np.array_equal(load_matrix(saved(tmp_path, scores.T), task()), scores)


def test_a_square_one_is_turned_only_when_said(tmp_path: Path) -> None:
    scores = np.arange(9.0).reshape(3, 3)
    path = saved(tmp_path, scores)
    assert np.array_equal(load_matrix(path, task(3, 3)), scores)
    assert np.array_equal(load_matrix(path, task(3, 3), transpose=True), scores.T)


def test_what_is_said_about_the_orientation_holds(tmp_path: Path) -> None:
    path = saved(tmp_path, np.eye(4, 3))
    with pytest.raises(UsageError, match=r"shape \(4, 3\); the task has 3 queries and 4 items"):
        load_matrix(path, task(), transpose=False)
    with pytest.raises(UsageError, match=r"shape \(3, 4\), transposed"):
        load_matrix(saved(tmp_path, np.eye(3, 4)), task(), transpose=True)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (np.zeros((3, 5)), r"so it must be \(3, 4\), or \(4, 3\) with transpose=True"),
        (np.zeros(12), r"float64 of shape \(12,\)"),
        (np.zeros((3, 4), dtype=np.int64), "int64 of shape"),
        (np.zeros((3, 4), dtype=complex), "complex128"),
        (np.zeros((3, 4), dtype=bool), "bool"),
        (np.array([[0.0, 1, 2, np.nan]] * 3), "NaN in 3 of 12 places"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(tmp_path: Path, scores: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_matrix(saved(tmp_path, scores), task())


def test_nan_is_found_in_every_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "BLOCK_SCORES", 4)
    scores = np.zeros((3, 4))
    scores[2, 1] = np.nan
    with pytest.raises(UsageError, match="NaN in 1 of 12"):
        load_matrix(saved(tmp_path, scores), task())
    with pytest.raises(UsageError, match="NaN in 1 of 12"):
        load_matrix(saved(tmp_path, np.asfortranarray(scores)), task())


def test_pickled_objects_are_never_opened(tmp_path: Path) -> None:
    path = saved(tmp_path, np.array([[object()]]), allow_pickle=True)
    with pytest.raises(UsageError, match=r"no \.npy file of numbers"):
        load_matrix(path, task())


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        load_matrix(tmp_path / "absent.npy", task())
    (tmp_path / "text.npy").write_text("0.1 0.2\n")
    with pytest.raises(UsageError, match=r"no \.npy file of numbers"):
        load_matrix(tmp_path / "text.npy", task())
    np.savez(tmp_path / "several.npz", a=np.eye(3), b=np.eye(3))
    with pytest.raises(UsageError, match="several arrays"):
        load_matrix(tmp_path / "several.npz", task())
    whole = saved(tmp_path, np.eye(3, 4)).read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-8])
    with pytest.raises(UsageError, match=r"no \.npy file of numbers"):
        load_matrix(tmp_path / "cut.npy", task())


def paired(kind: str) -> Task:
    """Videos "c", "a", "b" with one caption each, in that order; text to video or back."""
    videos, captions = ("c", "a", "b"), ("ret0", "ret1", "ret2")
    if kind == "t2v":
        return Task(
            queries=tuple(Query(id=name, text="x") for name in captions),
            gallery=tuple(Item(id=name, kind="video") for name in videos),
            relevant={caption: {video: 1.0} for caption, video in zip(captions, videos, strict=True)},
            metrics=(HitRate(1),),
        )
    return Task(
        queries=tuple(Query(id=name, video=name) for name in videos),
        gallery=tuple(Item(id=name, kind="text") for name in captions),
        relevant={video: {caption: 1.0} for caption, video in zip(captions, videos, strict=True)},
        metrics=(HitRate(1),),
    )


@pytest.mark.parametrize("kind", ["t2v", "v2t"])
def test_sorted_means_both_axes_by_the_videos_ids(tmp_path: Path, kind: str) -> None:
    by_sorted_video = np.array([[11.0, 12, 13], [21, 22, 23], [31, 32, 33]])  # rows and columns: a, b, c
    found = load_matrix(saved(tmp_path, by_sorted_video), paired(kind), order="sorted")
    assert found.tolist() == [[33, 31, 32], [13, 11, 12], [23, 21, 22]]
    own = load_matrix(saved(tmp_path, np.eye(3)), paired(kind), order="sorted")
    assert judge_matrix(paired(kind), own).figures() == {"R@1": 100.0}


def test_sorted_needs_pairs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="3 queries and 4 items that do not pair"):
        load_matrix(saved(tmp_path, np.eye(3, 4)), task(), order="sorted")
    with pytest.raises(UsageError, match="'task', 'sorted'"):
        load_matrix(saved(tmp_path, np.eye(3, 4)), task(), order="ids")  # type: ignore[arg-type]
