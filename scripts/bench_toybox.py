"""Bench toybox-clip: held-out scenes by caption, and a mixed index against one index per kind.

    python scripts/bench_toybox.py --work /somewhere

Prints tables and, with --json FILE, writes the figures with the versions and the machine behind them.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch are loaded: one thread for everything

import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Annotated, Any

import typer
from _bench import Row, TableText, environment, save, show

app = typer.Typer(add_completion=False, help=__doc__, rich_markup_mode=None)

Work = Annotated[Path, typer.Option(help="Folder for made files; they are kept and used again.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")]

RECALL_1_GOAL, RECALL_10_GOAL = 0.80, 0.98
MIXED_GOAL = 0.90
"""What is to be reached; see docs/results.md."""

SCENES, SCENES_SEED = 500, 2026

KIND_OF_TASK = {
    "text_to_image": "image",
    "text_to_page": "page",
    "page_question": "page",
    "text_to_video": "video",
    "text_to_note": "text",
}


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


@app.command()
def toybox(
    *,
    work: Work,
    images: Annotated[int, typer.Option(help="Photos of the mixed collection.")] = 300,
    videos: Annotated[int, typer.Option(help="Clips of the mixed collection.")] = 120,
    pages: Annotated[int, typer.Option(help="PDF pages of the mixed collection.")] = 120,
    notes: Annotated[int, typer.Option(help="Notes of the mixed collection.")] = 120,
    seed: Annotated[int, typer.Option(help="Seed of the mixed collection.")] = 11,
    to: Json = None,
) -> None:
    """toybox-clip on held-out scenes, and on a mixed index against one index per kind."""
    import mmrank as mm

    facts = environment()
    embedder = mm.load_embedder("toybox", device="cpu", threads=1)
    scenes = _heldout_scenes(embedder, work)
    rows = [
        Row(
            f"{name} wordings",
            (f"{found['R@1']:.3f}", f"{found['R@10']:.3f}"),
            found["R@1"] >= RECALL_1_GOAL and found["R@10"] >= RECALL_10_GOAL,
        )
        for name, found in scenes.items()
    ]
    title = f"{SCENES} held-out scenes by caption (goal: {RECALL_1_GOAL}, {RECALL_10_GOAL})"
    tables = [show(title, ("R@1", "R@10"), rows, facts)]
    counts = {"images": images, "videos": videos, "pages": pages, "notes": notes}
    mixed = _mixed_collection(embedder, work, counts, seed)
    tables.append(_show_mixed(mixed, counts, facts))
    save(to, "toybox", facts, {"heldout_scenes": scenes, "mixed": mixed}, tables)


def _heldout_scenes(embedder: Any, work: Path) -> dict[str, dict[str, float]]:
    """R@1 and R@10 through a real index, with wordings seen and not seen in training."""
    import mmrank as mm
    from mmrank.toybox.captions import caption
    from mmrank.toybox.drawing import draw
    from mmrank.toybox.grammar import sample_scenes

    scenes = list(sample_scenes(SCENES, SCENES_SEED, "heldout"))
    folder = _fresh(work / "heldout-scenes")
    folder.mkdir(parents=True)
    for number, scene in enumerate(scenes):
        draw(scene).save(folder / f"scene-{number:03d}.png")
    index = mm.Index.create(str(_fresh(work / "index-heldout")), embedder)
    index.add(mm.scan(str(folder)))
    found = {}
    for wording in ("seen", "unseen"):
        rng = Random(f"queries/{wording}/{SCENES_SEED}")
        rankings = index.search_many([caption(scene, rng, wording) for scene in scenes], k=10)
        ranks = [_rank(ranking.hits, f"scene-{number:03d}.png") for number, ranking in enumerate(rankings)]
        found[wording] = {f"R@{k}": sum(rank <= k for rank in ranks) / len(ranks) for k in (1, 10)}
    return found


def _rank(hits: Iterable[Any], answer: str) -> int:
    """The rank of the item whose uri is `answer`, relative to its collection; far behind when it is not there."""
    return next((hit.rank for hit in hits if _is(hit.item, answer)), sys.maxsize)


def _is(item: Any, answer: str) -> bool:
    uri = item.uri if "#" in answer else item.uri.partition("#")[0]
    return bool(uri.endswith(f"/{answer}"))


def _mixed_collection(embedder: Any, work: Path, counts: dict[str, int], seed: int) -> dict[str, dict[str, int]]:
    """Per task: queries, and how many have the right item first in its kind's own index, in the mixed one, and in
    the mixed one by plain cosine."""
    import mmrank as mm
    from mmrank.toybox.layouts import write_toybox

    made = write_toybox(_fresh(work / "mixed"), **counts, seed=seed, layouts=["media"])
    mixed = mm.Index.create(str(_fresh(work / "index-mixed")), embedder)
    report = mixed.add(mm.scan(str(made.media)))
    if report.failed or report.added < len(made.items):
        raise SystemExit(f"the mixed collection was not indexed whole: {report}")
    out = {}
    for task, kind in KIND_OF_TASK.items():
        asked = [query for query in made.queries if query.task == task]
        alone = mm.Index.create(str(_fresh(work / f"index-{kind}")), embedder)
        alone.add(mm.scan(str(made.media), kinds=(kind,)))
        texts = [query.text for query in asked]
        everything = mixed.search_many(texts, k=report.added)
        right = {
            "alone": _firsts(alone.search_many(texts, k=1), asked),
            "mixed": _firsts(everything, asked),
            "cosine": [_is(_nearest(r), q.answer) for r, q in zip(everything, asked, strict=True)],
        }
        out[task] = {
            "queries": len(asked),
            **{name: sum(firsts) for name, firsts in right.items()},
            "kept": sum(a and m for a, m in zip(right["alone"], right["mixed"], strict=True)),
            "kept_by_cosine": sum(a and c for a, c in zip(right["alone"], right["cosine"], strict=True)),
        }
    return out


def _firsts(rankings: Sequence[Any], asked: Sequence[Any]) -> list[bool]:
    """Whether each query has its answer first."""
    return [_rank(ranking.hits[:1], query.answer) == 1 for ranking, query in zip(rankings, asked, strict=True)]


def _nearest(ranking: Any) -> Any:
    """The item that plain cosine would put first: the highest raw cosine of any of its vectors."""
    return max(ranking.hits, key=lambda hit: max(source.score for source in hit.sources)).item


def _show_mixed(mixed: dict[str, dict[str, int]], counts: dict[str, int], facts: dict[str, Any]) -> TableText:
    total = {key: sum(found[key] for found in mixed.values()) for key in next(iter(mixed.values()))}
    rows = []
    for task, found in {**mixed, "all": total}.items():
        share = found["kept"] / max(found["alone"], 1)
        plain = found["kept_by_cosine"] / max(found["alone"], 1)
        cells = (f"{found['queries']}", f"{found['alone']}", f"{found['mixed']}", f"{share:.3f}", f"{plain:.3f}")
        rows.append(Row(task, cells, share >= MIXED_GOAL))
    columns = ("queries", "first alone", "first mixed", "kept first", "kept by plain cosine")
    listed = ", ".join(f"{count} {name}" for name, count in counts.items())
    return show(f"One index with {listed} (goal: {MIXED_GOAL} kept)", columns, rows, facts)


if __name__ == "__main__":
    app()
