"""``mmrank rerank``: order some files for a query, without an index."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmrank.cli.command import COULD_NOT
from mmrank.cli.judging import DryRun, FormName, ReplayFile, Set, Transcript, announce, load_judge, settings, told
from mmrank.cli.options import Debug, Device, Json, Precision, Threads
from mmrank.cli.output import complain, count, duration, err, out, print_json, say, stdout_for_json
from mmrank.errors import UsageError
from mmrank.types import Query, Ranking

if TYPE_CHECKING:
    from mmrank.rerank.judge import MllmReranker


def rerank(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="What to look for, in words; '' with --image or --video alone.")
    ],
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Images, PDFs (their pages), videos, texts.")],
    *,
    judge: Annotated[
        str, typer.Option("--with", metavar="RECIPE@MODEL", help="The judge; see mmrank recipes and mmrank models.")
    ],
    image: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A reference picture that QUERY changes, or to compare with. Repeatable."),
    ] = None,
    video: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A reference video, such as one to find the caption of.")
    ] = None,
    depth: Annotated[int | None, typer.Option(min=1, metavar="N", help="How many of the files it looks at.")] = None,
    set_: Set = None,
    form: FormName = None,
    transcript: Transcript = None,
    replay: ReplayFile = None,
    dry_run: DryRun = False,
    json: Json = False,
    device: Device = None,
    precision: Precision = None,
    threads: Threads = None,
    debug: Debug = False,
) -> None:
    """Put files in order for a query with a multimodal language model; no index needed.

    \b
    mmrank rerank "a red boat" *.jpg --with yes_no@Qwen/Qwen3-VL-Reranker-8B
    mmrank rerank "at night" a.jpg b.jpg --image ref.jpg --with cotrr@openai:http://localhost:8000/v1#Qwen3-VL-8B
    mmrank rerank "" captions/*.txt --video clip.mp4 --with vic@openai:http://localhost:8000/v1#InternVL3_5-38B
    """
    from mmrank.cli.hits import hits_table, ranking_json
    from mmrank.rerank.base import given_ranking

    asked = _query(query, image or (), video)
    given = given_ranking(asked, files)  # a file that is not there is said before gigabytes are loaded
    with stdout_for_json(json):
        stage = load_judge(
            judge,
            depth=depth,
            form=form,
            transcript=transcript,
            replay=replay,
            device=device,
            precision=precision,
            threads=threads,
            **settings(set_),
        )
        estimate = announce(stage, [given], always=dry_run)
        started = time.perf_counter()
        ranking = given if dry_run else _judged(stage, given)
        seconds = time.perf_counter() - started
    if json:
        print_json({"estimate": estimate} if dry_run else ranking_json(ranking))
    elif not dry_run:
        out().print(hits_table(ranking, width=out().width))
        told(ranking)
        say(f"{count(len(ranking), 'hit')} from {count(len(files), 'file')} in {duration(seconds)}")
    if ranking.outcome in ("fell_back", "failed"):
        complain("The judge could not put them in order; they stand as they were given.")
        raise typer.Exit(COULD_NOT)


def _query(text: str, images: Sequence[Path], video: Path | None) -> Query:
    for path in (*images, *([video] if video else ())):
        if not path.is_file():
            raise UsageError(f"There is no file {path} to judge by.")
    query = Query(text=text or None, image=[str(path) for path in images] or None, video=str(video) if video else None)
    if query.empty:
        raise UsageError("Nothing to judge by: give a QUERY in words, an --image or a --video.")
    return query


def _judged(stage: MllmReranker, given: Ranking) -> Ranking:
    with err().status("Judging ..."):
        return stage.process([given])[0]
