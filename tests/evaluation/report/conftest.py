"""Small evaluations over the toybox's own media: real pictures, clips, pages; figures judged from real lists."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Sequence

import numpy as np
import pytest

from mmrank.evaluation.dataset import Dataset, Task
from mmrank.evaluation.judged import judge_matrix, judge_run
from mmrank.evaluation.protocols import CIRR, PAIRED
from mmrank.evaluation.results import Comparison, Evaluation, Published, SystemTask
from mmrank.run import Run
from mmrank.toybox import ToyboxManifest, write_toybox
from mmrank.types import STATUSES, Cost, Item, Query, Record, Status

EVIL = "</script><script>alert(1)</script> \"quoted\" 'and' <img src=x onerror=alert(2)> \u202e\ud800 & done"


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> ToyboxManifest:
    return write_toybox(tmp_path_factory.mktemp("toys"), images=24, videos=6, pages=3, notes=3, seed=5)


@pytest.fixture(scope="session")
def cirr(toys: ToyboxManifest) -> Dataset:
    """The toybox's CIRR layout as a data set."""
    assert toys.cirr is not None
    rows = json.loads((toys.cirr / "captions" / "cap.rc2.val.json").read_text())
    paths = json.loads((toys.cirr / "image_splits" / "split.rc2.val.json").read_text())
    files = {name: toys.cirr / "img_raw" / path for name, path in paths.items()}
    task = Task(
        queries=tuple(
            Query(
                id=str(row["pairid"]),
                text=row["caption"],
                image=str(files[row["reference"]]),
                exclude=(row["reference"],),
            )
            for row in rows
        ),
        gallery=tuple(Item(id=name, kind="image", uri=str(file)) for name, file in files.items()),
        relevant={str(row["pairid"]): {row["target_hard"]: 1.0} for row in rows},
        metrics=CIRR,
        members={
            str(row["pairid"]): tuple(name for name in row["img_set"]["members"] if name != row["reference"])
            for row in rows
        },
        labels={str(row["pairid"]): (f"set {row['img_set']['id']}",) for row in rows},
    )
    return Dataset(name="cirr", title="CIRR", split="val", variant="hard targets, toybox pictures", tasks=(task,))


@pytest.fixture(scope="session")
def msrvtt(toys: ToyboxManifest) -> Dataset:
    """The toybox's MSR-VTT layout, both directions."""
    assert toys.msrvtt is not None
    with (toys.msrvtt / "MSRVTT_JSFUSION_test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    clips = {row["video_id"]: str(toys.msrvtt / "videos" / "all" / f"{row['video_id']}.mp4") for row in rows}
    t2v = Task(
        name="t2v",
        queries=tuple(Query(id=row["key"], text=row["sentence"]) for row in rows),
        gallery=tuple(Item(id=name, kind="video", uri=file) for name, file in clips.items()),
        relevant={row["key"]: {row["video_id"]: 1.0} for row in rows},
        metrics=PAIRED,
    )
    v2t = Task(
        name="v2t",
        queries=tuple(Query(id=name, video=file) for name, file in clips.items()),
        gallery=tuple(Item(id=row["key"], kind="text", text=row["sentence"]) for row in rows),
        relevant={row["video_id"]: {row["key"]: 1.0} for row in rows},
        metrics=PAIRED,
    )
    return Dataset(name="msrvtt", title="MSR-VTT", split="1k-A", variant="toybox clips", tasks=(t2v, v2t))


@pytest.fixture(scope="session")
def mixed(toys: ToyboxManifest) -> Dataset:
    """Every kind of item in one gallery."""
    gallery = tuple(
        Item(id=item.path, kind=item.kind, uri=str(toys.media / item.path), text=item.caption) for item in toys.items
    )
    queries = tuple(
        Query(id=q.id, text=q.text, image=str(toys.media / q.reference) if q.reference else None) for q in toys.queries
    )
    relevant = {q.id: {q.answer: 1.0} for q in toys.queries}
    task = Task(queries=queries, gallery=gallery, relevant=relevant, metrics=PAIRED)
    return Dataset(name="toybox", title="Toybox", split="test", tasks=(task,))


Lists = dict[str, list[str]]


def shuffled(task: Task, seed: int, *, skill: float, depth: int = 100) -> Lists:
    """Lists in which the answer comes up the more often the more `skill`, from 0 to 1."""
    rng = random.Random(seed)
    lists: Lists = {}
    for query in task.queries:
        names = [item.id for item in task.gallery if item.id not in query.exclude]
        answer = next(iter(task.relevant[query.id]))
        names.remove(answer)
        rng.shuffle(names)
        names.insert(int(rng.random() ** (1 + 6 * skill) * len(names)), answer)
        lists[query.id] = names[:depth]
    return lists


def reranked(task: Task, lists: Lists, seed: int, *, depth: int) -> Lists:
    """The same lists with their heads in another order: mostly the answer first, sometimes last."""
    rng = random.Random(seed)
    result: Lists = {}
    for query in task.queries:
        seen, tail = list(lists[query.id][:depth]), lists[query.id][depth:]
        rng.shuffle(seen)
        answer = next(iter(task.relevant[query.id]))
        if answer in seen:
            seen.remove(answer)
            seen.insert(0 if rng.random() < 0.7 else len(seen), answer)
        result[query.id] = seen + tail
    return result


def run_of(lists: Lists, name: str) -> Run:
    items = list(dict.fromkeys(item for names in lists.values() for item in names))
    code = {item: number for number, item in enumerate(items)}
    return Run(
        query_ids=tuple(lists),
        offsets=np.cumsum([0, *(len(names) for names in lists.values())], dtype=np.int64),
        items=tuple(items),
        codes=np.array([code[item] for names in lists.values() for item in names], dtype=np.int32),
        scores=np.array([-float(n) for names in lists.values() for n in range(len(names))], dtype=np.float64),
        name=name,
    )


def statuses(number: int) -> Status:
    return STATUSES[(number // 4) % len(STATUSES)] if number % 4 == 3 else "ok"


def pipeline(task: Task, name: str, first: Lists, seed: int, *, depth: int = 10) -> SystemTask:
    """What evaluating a first stage and a reranker gives."""
    start, run = run_of(first, "clip"), run_of(reranked(task, first, seed, depth=depth), name)
    before, after = judge_run(task, start), judge_run(task, run)
    ended = {query.id: statuses(number) for number, query in enumerate(task.queries)}
    return SystemTask(
        system=name,
        task=task.name,
        run=run,
        figures=after.figures(),
        values=after.values(),
        first=start,
        first_figures=before.figures(),
        ceiling=(float(100 * np.mean(before.ranks.first <= depth)), depth),
        outcomes={status: list(ended.values()).count(status) for status in STATUSES},
        records={
            query: (
                Record(stage="clip"),
                Record(
                    stage=name,
                    status=status,
                    calls=1,
                    appended=2 if status == "repaired" else 0,
                    error=None if status in ("ok", "repaired") else f"no answer in '{EVIL}'",
                ),
            )
            for query, status in ended.items()
        },
        cost=Cost(model_calls=3 * len(ended), tokens_in=900 * len(ended), tokens_out=40 * len(ended), seconds=12.5),
        notes=tuple(after.notes),
        published=(Published(recipe="vic", text="R@1 87.1 on MSR-VTT", paper="Vote-in-Context", fidelity="code"),),
    )


def scored(task: Task, name: str, lists: Lists) -> SystemTask:
    """What evaluating a run gives."""
    run = run_of(lists, name)
    judged = judge_run(task, run)
    return SystemTask(system=name, task=task.name, run=run, figures=judged.figures(), values=judged.values())


def compared(task: Task, metric: str, systems: Sequence[SystemTask]) -> Comparison:
    first, second = systems
    return Comparison(
        task=task.name,
        metric=metric,
        first=first.system,
        second=second.system,
        difference=second.figures[metric] - first.figures[metric],
        p=0.0004,
        p_corrected=0.0012,
    )


@pytest.fixture(scope="session")
def reranking(cirr: Dataset) -> Evaluation:
    """Two rerankers on one first stage."""
    (task,) = cirr.tasks
    first = shuffled(task, 1, skill=0.5)
    systems = (pipeline(task, "yes_no", first, 2), pipeline(task, "square", first, 3, depth=20))
    comparisons = tuple(compared(task, metric, systems) for metric in ("R@1", "R@5"))
    return Evaluation(dataset=cirr, systems=systems, comparisons=comparisons)


@pytest.fixture(scope="session")
def directions(msrvtt: Dataset) -> Evaluation:
    """A matrix with ties, and a run, on two tasks."""
    systems = []
    for task in msrvtt.tasks:
        size = len(task.queries)
        scores = np.round(np.random.default_rng(0).random((size, size)) + np.eye(size) / 2, 1)
        judged, lost = judge_matrix(task, scores, "averaging"), judge_matrix(task, scores, "pessimistic")
        systems.append(
            SystemTask(
                system="clip",
                task=task.name,
                run=judged.run,
                figures=judged.figures(),
                values=judged.values(),
                pessimistic=lost.figures(),
            )
        )
        systems.append(scored(task, "other", shuffled(task, 4, skill=0.9)))
    order = [systems[0], systems[2], systems[1], systems[3]]
    mean = {name: {"mean R@1": 50.0} for name in ("clip", "other")}
    return Evaluation(dataset=msrvtt, systems=tuple(order), combined=mean, post=("dual softmax",))


@pytest.fixture(scope="session")
def kinds(mixed: Dataset) -> Evaluation:
    (task,) = mixed.tasks
    return Evaluation(dataset=mixed, systems=(pipeline(task, "toybox-vl", shuffled(task, 6, skill=0.4), 7),))


@pytest.fixture(scope="session")
def evil() -> Evaluation:
    """Strangers' texts that would break out of every context, and media that are not there."""
    queries = tuple(Query(id=f"q{n}", text=f"{n} {EVIL}", image="gone/nowhere.png", turns=(EVIL,)) for n in range(6))
    gallery = (
        Item(id="text", kind="text", text=EVIL),
        Item(id="gone", kind="image", uri=f"gone/{EVIL}.png", text=EVIL),
        Item(id="bytes", kind="image", image=b"no picture at all"),
    )
    task = Task(
        name=EVIL,
        queries=queries,
        gallery=gallery,
        relevant={query.id: {gallery[n % 3].id: 1.0} for n, query in enumerate(queries)},
        metrics=PAIRED,
        labels={"q0": (EVIL,)},
    )
    dataset = Dataset(
        name="evil", title=EVIL, split=EVIL, variant=EVIL, tasks=(task,), missing=(EVIL,), notes=(EVIL,), sample=6
    )
    each = pipeline(task, EVIL, shuffled(task, 8, skill=0.2), 9, depth=3)
    return Evaluation(dataset=dataset, systems=(each,), post=(EVIL,))
