"""Score matrices from `.npy` files, brought into a Task's order, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from mmrank.errors import UsageError
from mmrank.evaluation.dataset import Task

Scores: TypeAlias = npt.NDArray[np.floating]

Order: TypeAlias = Literal["task", "sorted"]
"""What rows and columns stand for. "task": the queries and items in the task's order. "sorted": one query for each
item, both axes by the sorted ids of the videos or images (the matrices of ViC)."""

BLOCK_SCORES = 1 << 22


def load_matrix(path: str | Path, task: Task, *, transpose: bool | None = None, order: Order = "task") -> Scores:
    """A similarity matrix of shape (queries, items) in the task's order; higher is better.

    Args:
        path: a `.npy` file of float16, float32 or float64. It is mapped, not read, so that size costs no memory.
        task: what its rows and columns are.
        transpose: True: the file's rows are the items. None: it is turned when its shape says so without doubt; a
            square one is taken as it is, queries in rows.
        order: what rows and columns stand for.

    Raises `UsageError` when there is no such file, it is not a matrix of floating-point numbers, holds NaN or has the
    wrong shape.
    """
    path = Path(path)
    scores = _oriented(_read(path), (len(task.queries), len(task.gallery)), path, transpose)
    _no_nan(scores, path)
    if order not in get_args(Order):
        raise UsageError(f"order is {order!r}; it must be one of {', '.join(map(repr, get_args(Order)))}.")
    if order == "sorted":
        rows, columns = _sorted_places(task)
        scores = scores[rows][:, columns]
    return scores


def _read(path: Path) -> Scores:
    if not path.is_file():
        raise UsageError(f"There is no file {path}; give the path of a .npy matrix.")
    try:
        # Pickled objects can run code when they are read; a matrix of numbers has none.
        scores = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UsageError(f"{path} is no .npy file of numbers: {error}. Write it with numpy.save.") from None
    if not isinstance(scores, np.ndarray):
        raise UsageError(f"{path} holds several arrays; give a .npy file with one matrix.")
    if scores.ndim != 2 or scores.dtype not in (np.float16, np.float32, np.float64):
        raise UsageError(
            f"{path} holds {scores.dtype} of shape {scores.shape}; a matrix of float16, float32 or float64 with "
            "two axes is needed: queries, items."
        )
    return scores


def _oriented(scores: Scores, expected: tuple[int, int], path: Path, transpose: bool | None) -> Scores:
    turned = scores.shape != expected and scores.shape[::-1] == expected if transpose is None else transpose
    given = scores.T if turned else scores
    if given.shape != expected:
        raise UsageError(
            f"{path} has shape {scores.shape}{', transposed' if turned else ''}; the task has {expected[0]:,} queries "
            f"and {expected[1]:,} items, so it must be {expected}, or {expected[::-1]} with transpose=True "
            "(--transpose). Is it of another split?"
        )
    return given


def _no_nan(scores: Scores, path: Path) -> None:
    """In blocks, so that a mapped file is not read into memory as a whole."""
    stored = scores if scores.flags.c_contiguous else scores.T
    step = max(1, BLOCK_SCORES // max(stored.shape[1], 1))
    bad = sum(int(np.isnan(stored[at : at + step]).sum()) for at in range(0, len(stored), step))
    if bad:
        raise UsageError(
            f"{path} holds NaN in {bad:,} of {scores.size:,} places; a score must be a number. Mend what wrote it, or "
            "give -inf where there is none."
        )


def _sorted_places(task: Task) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each query its row in the file, for each item its column."""
    of_query = {query.id: list(task.relevant.get(query.id, {})) for query in task.queries}
    answered = [items[0] for items in of_query.values() if len(items) == 1]
    if len(answered) != len(task.queries) or sorted(answered) != sorted(item.id for item in task.gallery):
        raise UsageError(
            "order='sorted' is for matrices with one query for each item; this task has "
            f"{len(task.queries):,} queries and {len(task.gallery):,} items that do not pair. Use order='task'."
        )
    items = [item.id for item in task.gallery]
    asked_by = {answer: query for query, (answer,) in of_query.items()}
    if all(item.kind == "text" for item in task.gallery):  # the queries are the videos or images
        return _places([query.id for query in task.queries]), _places([asked_by[item] for item in items])
    return _places([of_query[query.id][0] for query in task.queries]), _places(items)


def _places(names: list[str]) -> npt.NDArray[np.int64]:
    """Where each name stands when they are sorted."""
    place = {name: number for number, name in enumerate(sorted(names))}
    return np.array([place[name] for name in names], dtype=np.int64)
