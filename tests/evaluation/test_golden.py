"""Figures that others got: of official evaluators on the real annotation files, and of published matrices.

The files are not part of this project. Give the folder that holds ``cirr/``, ``circo/``, ``msrvtt/`` ... as
MMRANK_DATA, or lay it beside the project as ``shared/data``; what is not there is skipped. What is made from a seed
always runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mmrank.evaluation.dataset import Dataset, Task
from mmrank.evaluation.datasets.registry import load_dataset
from mmrank.evaluation.judged import judge_matrix, judge_run
from mmrank.evaluation.matrices import load_matrix
from mmrank.evaluation.metrics import CutAveragePrecision, HitRate, MeanRank, Recall, Standard
from mmrank.evaluation.protocols import PAIRED, PAIRED_LOWER_MEDIAN, V2T_BEST, V2T_GROUPED
from mmrank.evaluation.ranks import Ties
from mmrank.evaluation.submissions.circo import read_circo, submit_circo
from mmrank.evaluation.submissions.cirr import MOST_BYTES, read_cirr, submit_cirr, write_cirr
from mmrank.run import Run
from mmrank.types import Item, Query

pytestmark = pytest.mark.compare

BESIDE = Path(__file__).parents[3] / "shared" / "data"


def real(path: str) -> Path:
    found = Path(os.environ.get("MMRANK_DATA", BESIDE)) / path
    if not found.exists():
        pytest.skip(f"no {path}: set MMRANK_DATA to the folder that holds {path.partition('/')[0]}/")
    return found


@cache
def dataset(name: str, split: str, **options: Any) -> Dataset:
    return load_dataset(name, real(name), split, media="none", **options)


def shown(figures: Mapping[str, float], names: str, digits: int = 4) -> list[float]:
    return [round(figures[name], digits) for name in names.split()]


# --- CIRR ------------------------------------------------------------------------------------------------------------

COLUMNS = "R@1 R@5 R@10 R@50 Rs@1 Rs@2 Rs@3"


def fixed_order(task: Task, head: Callable[[Query], Sequence[str]], names: Sequence[str] | None = None) -> Run:
    """A Run that ranks the whole gallery, in the order of `names`, with each query's own `head` before the rest."""
    gallery = tuple(names or (item.id for item in task.gallery))
    code = {name: at for at, name in enumerate(gallery)}
    codes = np.empty((len(task.queries), len(gallery)), dtype=np.int32)
    for row, query in zip(codes, task.queries, strict=True):
        own = [code[name] for name in head(query)]
        row[: len(own)] = own
        row[len(own) :] = np.delete(np.arange(len(gallery)), own)
    return Run(
        query_ids=tuple(query.id for query in task.queries),
        offsets=np.arange(len(codes) + 1, dtype=np.int64) * len(gallery),
        items=gallery,
        codes=codes.ravel(),
        scores=np.tile(np.arange(len(gallery), 0, -1.0), len(codes)),
    )


@cache
def cirr_run(order: str) -> Run:
    (task,) = dataset("cirr", "val").tasks
    if order == "members":  # in the order of the file, the reference among them
        rows = json.loads(real("cirr/cirr/captions/cap.rc2.val.json").read_text())
        members = {str(row["pairid"]): row["img_set"]["members"] for row in rows}
        return fixed_order(task, lambda query: members[query.id])
    names = sorted(item.id for item in task.gallery) if order == "sorted" else None
    return fixed_order(task, lambda _: (), names)


@pytest.mark.parametrize(
    ("order", "labels", "expected"),
    [
        ("key", "hard", [0.1196, 0.2631, 0.5023, 2.5831, 20.8323, 37.5987, 56.3023]),
        ("key", "soft", [0.1196, 0.2631, 0.5023, 2.5831, 21.0356, 37.8259, 56.3262]),
        ("sorted", "hard", [0.0478, 0.1196, 0.3109, 2.2004, 20.5932, 39.2011, 59.3160]),
        ("members", "hard", [20.1148, 100, 100, 100, 20.1148, 39.9187, 59.3877]),
        ("members", "soft", [20.1937, 99.5456, 99.5456, 99.5456, 20.1937, 39.9689, 59.4236]),
    ],
)
def test_cirr_val_of_the_same_ranking_for_every_query(order: str, labels: str, expected: list[float]) -> None:
    (task,) = dataset("cirr", "val", labels=labels).tasks
    figures = judge_run(task, cirr_run(order)).figures()
    assert shown(figures, COLUMNS) == expected
    assert figures["Avg"] == pytest.approx((figures["R@5"] + figures["Rs@1"]) / 2)


def test_cirr_soft_labels_have_a_ceiling_below_a_hundred() -> None:
    (task,) = dataset("cirr", "val", labels="soft").tasks
    best = {query.id: sorted(gains, key=lambda name: -gains[name]) for query, gains in _gains(task)}
    assert judge_run(task, fixed_order(task, lambda query: best[query.id])).figures()["R@1"] == pytest.approx(
        99.904, abs=5e-4
    )


def _gains(task: Task) -> list[tuple[Query, Mapping[str, float]]]:
    return [(query, task.relevant[query.id]) for query in task.queries]


def test_cirr_demo_submissions_are_read_written_and_equal(tmp_path: Path) -> None:
    (task,) = dataset("cirr", "test1").tasks
    for name, metric in (("recall", "recall"), ("recall_subset", "recall_subset")):
        path = real(f"cirr/demo_submissions/test1_pred_ranks_{name}.json")
        made = write_cirr(task, read_cirr(path), metric, tmp_path / f"{name}.json")  # type: ignore[arg-type]
        assert json.loads(made.read_text()) == json.loads(path.read_text())
        assert made.stat().st_size < MOST_BYTES


def test_cirr_submission_of_all_queries_is_below_the_servers_limit(tmp_path: Path) -> None:
    (task,) = dataset("cirr", "test1").tasks
    recall, subset = submit_cirr(task, {"": fixed_order(task, lambda _: ())}, tmp_path)
    content = json.loads(recall.read_text())
    assert len(content) == 4148 + 2
    assert len(json.loads(subset.read_text())) == 4148 + 2
    assert "27098" in content  # its caption is blank
    assert all(query.exclude[0] not in content[query.id] for query in task.queries)
    assert recall.stat().st_size < MOST_BYTES


# --- CIRCO -----------------------------------------------------------------------------------------------------------


def circo() -> tuple[Task, Run]:
    return dataset("circo", "val").tasks[0], read_circo(real("circo/submission_examples/submission_val.json"))


def test_circo_example_has_the_official_evaluators_figures() -> None:
    task, run = circo()
    judged = judge_run(task, run)
    assert shown(judged.figures(), "mAP@5 mAP@10 mAP@25 mAP@50") == [0.4861, 0.5178, 0.5400, 0.6020]
    assert shown(judged.figures(), "Recall@5 Recall@10 Recall@25 Recall@50") == [0.9091, 0.9091, 1.3636, 3.6364]
    slices = judged.slices(CutAveragePrecision(10))
    expected = {
        "cardinality": 0,
        "addition": 0.0871,
        "negation": 0,
        "direct_addressing": 0.9197,
        "compare_change": 0.0242,
        "comparative_statement": 1.05,
        "statement_with_conjunction": 0.6183,
        "spatial_relations_background": 0.1808,
        "viewpoint": 0.6173,
    }
    assert {name: figure for name, (figure, _) in slices.items()} == pytest.approx(expected, abs=5e-3)


def test_circo_oracle_reaches_a_hundred_where_trec_evals_denominator_does_not() -> None:
    task, _ = circo()
    lists = [
        (query.id, sorted(gains, key=lambda name: -gains[name]), [0.0] * len(gains)) for query, gains in _gains(task)
    ]
    judged = judge_run(task, Run.from_lists(lists))
    assert [judged.figures()[f"mAP@{k}"] for k in (5, 10, 25, 50)] == [100, 100, 100, 100]
    trec = [Standard(f"AP@{k}") for k in (5, 10, 25, 50)]
    found = [round(metric.summary(metric.values(judged)), 4) for metric in trec]
    assert found == [90.5135, 99.4018, 100, 100]


def test_circo_example_is_read_written_and_equal(tmp_path: Path) -> None:
    task, run = circo()
    (made,) = submit_circo(task, {"": run}, tmp_path)
    assert json.loads(made.read_text()) == json.loads(real("circo/submission_examples/submission_val.json").read_text())


# --- MSR-VTT, from a seed --------------------------------------------------------------------------------------------


def paired(size: int) -> Task:
    names = [f"video{n:04d}" for n in range(size)]
    return Task(
        queries=tuple(Query(id=f"ret{n:04d}", text="x") for n in range(size)),
        gallery=tuple(Item(id=name, kind="video") for name in names),
        relevant={f"ret{n:04d}": {name: 1.0} for n, name in enumerate(names)},
        metrics=PAIRED,
    )


def seeded() -> npt.NDArray[np.float64]:
    scores = np.random.RandomState(0).rand(1000, 1000)
    scores[np.arange(1000), np.arange(1000)] += 0.5
    return scores


def five(figures: Mapping[str, float]) -> list[float]:
    return [figures[name] for name in ("R@1", "R@5", "R@10", "MdR", "MnR")]


@pytest.mark.parametrize(
    ("back", "expected"), [(False, [53.5, 53.8, 54.2, 1.0, 121.655]), (True, [53.6, 54.2, 54.4, 1.0, 121.704])]
)
def test_without_ties_all_official_codes_and_rules_agree(back: bool, expected: list[float]) -> None:
    scores = seeded().T if back else seeded()
    for rule in ("averaging", "pessimistic", "optimistic"):
        judged = judge_matrix(paired(1000), scores, rule)  # type: ignore[arg-type]
        assert five(judged.figures()) == pytest.approx(expected)
        assert judged.notes == ()


@pytest.mark.parametrize(
    ("rule", "back", "expected"),
    [
        ("optimistic", False, [57.7, 57.7, 57.7, 1.0, 100.365]),  # Frozen in Time
        ("averaging", False, [47.4, 47.4, 47.4, 24.5, 124.1875]),  # collaborative-experts
        ("averaging", True, [47.4, 47.4, 47.4, 23.5, 124.3055]),
        ("pessimistic", False, [47.4, 47.4, 47.4, 48.0, 148.01]),
    ],
)
def test_with_ties_each_rule_is_one_of_the_official_codes(rule: Ties, back: bool, expected: list[float]) -> None:
    rounded = np.round(seeded(), 1)
    assert five(judge_matrix(paired(1000), rounded.T if back else rounded, rule).figures()) == pytest.approx(expected)


def test_a_constant_matrix_is_no_perfect_one() -> None:
    figures = judge_matrix(paired(4), np.zeros((4, 4))).figures()
    assert five(figures) == [0, 100, 100, 2.5, 2.5]
    assert judge_matrix(paired(4), np.zeros((4, 4)), "optimistic").figures()["R@1"] == 100


# --- MSVD: many captions ---------------------------------------------------------------------------------------------


@cache
def msvd() -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Videos in order of the test list, the video of each caption in order of the file, seeded scores."""
    videos = [line.strip() for line in real("msvd/test_list.txt").read_text().splitlines() if line.strip()]
    captions = json.loads(real("msvd/captions_msvd.json").read_text())
    own = np.repeat(np.arange(len(videos)), [len(captions[video]) for video in videos])
    scores = np.random.RandomState(0).standard_normal((len(own), len(videos)))
    scores[np.arange(len(own)), own] += 2.0
    return videos, own, scores


@cache
def msvd_task(back: bool, metrics: Any) -> Task:
    videos, own, _ = msvd()
    captions = [f"c{n}" for n in range(len(own))]
    owner = {caption: videos[video] for caption, video in zip(captions, own, strict=True)}
    if not back:
        return Task(
            queries=tuple(Query(id=caption, text="x") for caption in captions),
            gallery=tuple(Item(id=video, kind="video") for video in videos),
            relevant={caption: {video: 1.0} for caption, video in owner.items()},
            metrics=metrics,
        )
    relevant: dict[str, dict[str, float]] = {video: {} for video in videos}
    for caption, video in owner.items():
        relevant[video][caption] = 1.0
    return Task(
        queries=tuple(Query(id=video, video=video) for video in videos),
        gallery=tuple(Item(id=caption, kind="text") for caption in captions),
        relevant=relevant,
        metrics=metrics,
        groups=owner,
    )


def test_msvd_text_to_video() -> None:
    figures = judge_matrix(msvd_task(False, PAIRED), msvd()[2]).figures()
    assert shown(figures, "R@1 R@5 R@10 MdR MnR") == [14.7679, 32.2119, 42.4486, 16, 53.7012]
    assert judge_matrix(msvd_task(False, PAIRED_LOWER_MEDIAN), msvd()[2]).figures()["MdR"] == 16


@pytest.mark.parametrize(("metrics", "mean_rank"), [(V2T_GROUPED, 2.6970), (V2T_BEST, 2.7119)])
def test_msvd_video_to_text_in_both_definitions_from_matrix_and_run(metrics: Any, mean_rank: float) -> None:
    task, scores = msvd_task(True, metrics), msvd()[2].T
    expected = [53.1343, 90.2985, 97.0149, 1, mean_rank]
    assert shown(judge_matrix(task, scores).figures(), "R@1 R@5 R@10 MdR MnR") == expected
    run = Run.from_matrix(scores, [query.id for query in task.queries], [item.id for item in task.gallery])
    assert shown(judge_run(task, run).figures(), "R@1 R@5 R@10 MdR MnR") == expected


# --- Published matrices (ViC) ----------------------------------------------------------------------------------------


def matrix_task(data: str, direction: str) -> Task:
    if data == "msrvtt":
        return dataset("msrvtt", "1k-A").task(direction)
    return paired(len(np.load(real(f"{data}/InternVideo2_{data}.npy"), mmap_mode="r")))


def published(model: str, data: str, direction: str, task: Task) -> npt.NDArray[np.floating]:
    """MSR-VTT's matrices are sorted by video id, unlike the data set; others are taken in an order of their own."""
    order = "sorted" if data == "msrvtt" else "task"
    return load_matrix(real(f"{data}/{model}_{data}.npy"), task, transpose=direction == "v2t", order=order)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "data", "there", "back"),
    [
        ("clip4clip", "msrvtt", [34.4, 55.1, 65.0], [30.2, 53.5, 65.2]),
        ("VAST", "msrvtt", [49.4, 68.0, 74.0], [46.1, 67.7, 73.5]),
        ("GRAM", "msrvtt", [53.1, 74.3, 82.4], [51.5, 74.8, 82.7]),
        ("InternVideo2", "msrvtt", [54.6, 76.3, 82.7], [56.5, 78.4, 85.3]),
        ("clip4clip", "didemo", [27.2, 51.8, 63.6], [20.3, 46.0, 56.4]),
        ("VAST", "didemo", [51.0, 70.3, 76.6], [47.9, 71.4, 77.5]),
        ("GRAM", "didemo", [51.7, 72.7, 77.7], [50.2, 72.1, 77.6]),
        ("InternVideo2", "didemo", [59.2, 80.1, 86.4], [65.7, 85.2, 90.0]),
    ],
)
def test_single_retrievers(model: str, data: str, there: list[float], back: list[float]) -> None:
    """The published figures give equal scores to the earlier column of the file."""
    for direction, expected in (("t2v", there), ("v2t", back)):
        raw = np.load(real(f"{data}/{model}_{data}.npy"))
        plain, raw = paired(len(raw)), raw if direction == "t2v" else raw.T
        run = Run.from_matrix(raw, [query.id for query in plain.queries], [item.id for item in plain.gallery])
        found = judge_run(plain, run).figures()
        assert shown(found, "R@1 R@5 R@10", 1) == expected
        task = matrix_task(data, direction)
        scores = published(model, data, direction, task)
        worst, best = (judge_matrix(task, scores, rule).figures() for rule in ("pessimistic", "optimistic"))  # type: ignore[arg-type]
        assert all(worst[name] <= found[name] <= best[name] for name in ("R@1", "R@5", "R@10"))
        assert worst == pytest.approx(judge_matrix(plain, raw, "pessimistic").figures())


def fused(data: str, direction: str, *, times_lists: bool) -> npt.NDArray[np.float64]:
    """CombSUM of the two best after min-max of each row; CombMNZ times the number of lists that have the item."""
    scaled = []
    for model in ("InternVideo2", "GRAM"):
        scores = published(model, data, direction, matrix_task(data, direction)).astype(np.float64)
        low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
        scaled.append((scores - low) / (high - low))
    total = np.sum(scaled, axis=0)
    return total * np.sum([part > 1e-6 for part in scaled], axis=0) if times_lists else total


@pytest.mark.parametrize(
    ("data", "direction", "times_lists", "low", "high", "expected"),
    [
        ("msrvtt", "t2v", False, 81.6, 86.8, 84.2),
        ("msrvtt", "v2t", False, 81.9, 87.5, 84.7),
        ("msrvtt", "t2v", True, 83.2, 84.5, 83.9),
        ("msrvtt", "v2t", True, 84.0, 86.4, 85.2),
        ("didemo", "t2v", False, 74.0, 84.5, 79.2),
        ("didemo", "v2t", False, 75.4, 87.1, 81.3),
        ("didemo", "t2v", True, 75.8, 77.7, 76.7),
        ("didemo", "v2t", True, 76.4, 81.1, 78.7),
    ],
)
def test_ties_of_two_lists_span_what_was_published(
    data: str, direction: str, times_lists: bool, low: float, high: float, expected: float
) -> None:
    task, scores = matrix_task(data, direction), fused(data, direction, times_lists=times_lists)
    worst, best = (judge_matrix(task, scores, rule) for rule in ("pessimistic", "optimistic"))  # type: ignore[arg-type]
    # One query in a thousand is tied or not by the last bit of its sum.
    assert worst.figures()["R@1"] == pytest.approx(low, abs=0.1)
    assert best.figures()["R@1"] == pytest.approx(high, abs=0.1)
    places = worst.ranks.first - best.ranks.first + 1
    assert 100 * np.mean((best.ranks.first == 1) / places) == pytest.approx(expected, abs=0.1)
    if not times_lists and (data, direction) == ("msrvtt", "t2v"):
        assert shown(judge_matrix(task, scores).figures(), "R@5 R@10", 1) == [92.3, 94.1]


# --- Others ----------------------------------------------------------------------------------------------------------


def test_genecis_gives_a_constant_score_no_credit_for_the_place_of_the_target() -> None:
    (task,) = dataset("genecis", "test", tasks="change_object").tasks
    figures = judge_matrix(task, np.zeros((len(task.queries), len(task.gallery)), dtype=np.float32)).figures()
    assert figures["R@1"] == 0
    ranks = judge_matrix(task, np.zeros((len(task.queries), len(task.gallery)), dtype=np.float32)).ranks.first
    assert set(ranks) <= {8.0, 7.5}  # the middle of fifteen candidates, of fourteen where one is named twice


def in_document(task: Task) -> Run:
    return Run.from_lists([(query.id, pages := query.among or (), [0.0] * len(pages)) for query in task.queries])


def test_mmdocir_ranks_pages_within_the_questions_document() -> None:
    (task,) = dataset("mmdocir", "test").tasks
    judged = judge_run(task, in_document(task))
    for k in (1, 3, 5):
        loop = [
            len(set((query.among or ())[:k]) & set(task.relevant[query.id])) / len(task.relevant[query.id])
            for query in task.queries
        ]
        assert judged.figures()[f"Recall@{k}"] == pytest.approx(100 * np.mean(loop))
    domains = judged.slices(Recall(1))
    assert len(domains) == 10
    assert sum(count for _, count in domains.values()) == 1658
    assert judged.macro(Recall(1)) == pytest.approx(np.mean([figure for figure, _ in domains.values()]))


def test_fashion_iq_keeps_the_reference_in_the_gallery() -> None:
    task = dataset("fashioniq", "val").task("dress")
    references = json.loads(real("fashioniq/captions/cap.dress.val.json").read_text())
    first = {query.id: row["candidate"] for query, row in zip(task.queries, references, strict=True)}
    run = Run.from_lists(
        [(q.id, list(dict.fromkeys([first[q.id], *task.relevant[q.id]])), [2.0, 1.0]) for q in task.queries]
    )
    judged = judge_run(task, run)
    assert HitRate(1).values(judged).mean() == 0
    assert MeanRank().values(judged).mean() == 2


def sparse(seed: int, size: int = 300, kept: int = 20) -> npt.NDArray[np.float64]:
    """A list of a few scores a row and exact zeros elsewhere, as the published ones are; its best is exactly 1."""
    rng = np.random.default_rng(seed)
    scores = np.zeros((size, size))
    for row in range(size):
        others = rng.choice(size, kept, replace=False)
        scores[row, others] = rng.random(kept)
        if rng.random() < 0.7:
            scores[row, row] = scores[row].max() + 0.1 if rng.random() < 0.8 else 0.5
    return scores / scores.max(axis=1, keepdims=True)


def test_two_sparse_lists_tie_at_the_top_and_each_rule_says_what_a_loop_does() -> None:
    total = sparse(1) + sparse(2)
    task = paired(len(total))
    found = {rule: judge_matrix(task, total, rule) for rule in ("optimistic", "averaging", "pessimistic")}  # type: ignore[arg-type]
    best = np.array([1 + sum(other > row[at] for other in row) for at, row in enumerate(total)], dtype=float)
    worst = np.array([sum(other >= row[at] for other in row) for at, row in enumerate(total)], dtype=float)
    assert found["optimistic"].ranks.first.tolist() == best.tolist()
    assert found["pessimistic"].ranks.first.tolist() == worst.tolist()
    assert found["averaging"].ranks.first.tolist() == ((best + worst) / 2).tolist()
    low, high = (found[rule].figures()["R@1"] for rule in ("pessimistic", "optimistic"))
    assert high - low > 5  # the spread that makes a rule necessary
