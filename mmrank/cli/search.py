"""``mmrank search``: one question to an index."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmrank.cli.command import COULD_NOT
from mmrank.cli.judging import DryRun, FormName, Set, Transcript, announce, load_judge, settings, told
from mmrank.cli.options import Debug, Device, Json, Kinds, Precision, Threads, kinds_named
from mmrank.cli.output import complain, count, duration, err, out, print_json, say, stdout_for_json
from mmrank.errors import UsageError
from mmrank.index.options import Mode
from mmrank.types import Query, Ranking

if TYPE_CHECKING:
    from mmrank.index.index import Index
    from mmrank.rerank.judge import MllmReranker


def search(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="The index: what --to named when it was built.")],
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="What to look for, in words.")] = None,
    *,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="A picture to look for; with TEXT, the picture that TEXT changes. Repeatable."
        ),
    ] = None,
    video: Annotated[Path | None, typer.Option(metavar="FILE", help="A video to look for.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="How many hits.")] = 10,
    where: Annotated[str | None, typer.Option(metavar="SQL", help="Only items for which this holds.")] = None,
    mode: Annotated[Mode, typer.Option(help="By meaning, by words (BM25), or both, fused.")] = "vector",
    kind: Kinds = None,
    compose: Annotated[
        str | None,
        typer.Option(
            metavar="FORM",
            help="How a picture and a text become one query: sum, slerp, image, text, intersection, sqaf@MODEL, "
            "caption@MODEL; weighted reads 'beach -people'.",
        ),
    ] = None,
    rerank: Annotated[
        str | None, typer.Option(metavar="RECIPE@MODEL", help="Let a judge order the best hits; see mmrank recipes.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many hits the judge looks at. Default: the recipe's.")
    ] = None,
    set_: Set = None,
    form: FormName = None,
    transcript: Transcript = None,
    dry_run: DryRun = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the hits to a page with thumbnails too.")
    ] = None,
    json: Json = False,
    device: Device = None,
    precision: Precision = None,
    threads: Threads = None,
    debug: Debug = False,
) -> None:
    """Search an index by words, by pictures, or by a picture that words change.

    \b
    mmrank search photos.index "a dog on a skateboard"
    mmrank search photos.index --image ref.jpg
    mmrank search photos.index "the same place at night" --image ref.jpg
    mmrank search photos.index "invoice" --kind page --where "uri LIKE '%2024%'"
    mmrank search photos.index "two red boats" --rerank yes_no@Qwen/Qwen3-VL-Reranker-8B --depth 50
    """
    from mmrank.cli.hits import asked, ranking_json
    from mmrank.cli.html import results_page
    from mmrank.cli.show import show

    query = _query(text, image or (), video)
    if dry_run and rerank is None:
        raise UsageError("--dry-run says what a judge would take; name one with --rerank RECIPE@MODEL.")
    if html is not None:
        check_page_path(html)
    with stdout_for_json(json):
        index = _open(directory, mode, device=device, precision=precision, threads=threads)
        judge = None
        if rerank is not None:
            judge = load_judge(
                rerank,
                depth=depth,
                form=form,
                transcript=transcript,
                device=device,
                precision=precision,
                threads=threads,
                **settings(set_),
            )
        started = time.perf_counter()
        wanted = k if judge is None else max(k, judge.depth or k)
        ranking = index.search(query, k=wanted, where=where, mode=mode, kinds=kinds_named(kind), compose=compose)
        expected = {} if judge is None else announce(judge, [ranking], always=dry_run)
        if judge is not None and not dry_run:
            ranking = _judged(judge, ranking, k)
        seconds = time.perf_counter() - started
        if ranking.outcome == "failed":
            complain(next((record.error for record in ranking.records if record.error), None) or "The search failed.")
            raise typer.Exit(COULD_NOT)
        if html is not None and not dry_run:
            conditions = [*([f"only {', '.join(kind)}"] if kind else []), *([f"where {where}"] if where else []), mode]
            shown = show(index, ranking, conditions=conditions, seconds=seconds)
            html.write_text(results_page([shown], title=f"{asked(query)}: mmrank"), encoding="utf-8")
    if dry_run:
        if json:
            print_json({"estimate": expected})
        return
    if json:
        print_json(ranking_json(ranking))
    else:
        _print(ranking, seconds)
    if html is not None:
        say(f"Wrote {html}")


def _judged(judge: MllmReranker, ranking: Ranking, k: int) -> Ranking:
    """The ranking with its head in the judge's order, cut to what was asked for."""
    with err().status("Judging ..."):
        judged = judge.process([ranking])[0]
    return judged.with_hits(judged.hits[:k])


def check_page_path(path: Path) -> None:
    """Say that a page cannot be written before the work is done, not after it."""
    if path.is_dir():
        raise UsageError(f"--html {path} is a folder; name a file, such as {path / 'hits.html'}.")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--html {path}: the folder {path.absolute().parent} does not exist.")


def _query(text: str | None, images: list[Path] | tuple[Path, ...], video: Path | None) -> Query:
    for path in (*images, *([video] if video else ())):
        if not path.is_file():
            raise UsageError(f"There is no file {path} to search with.")
    query = Query(text=text, image=[str(path) for path in images] or None, video=str(video) if video else None)
    if query.empty:
        raise UsageError("Nothing to search for: give a TEXT, an --image or a --video.")
    return query


def _open(directory: str, mode: Mode, *, device: str | None, precision: str | None, threads: int | None) -> Index:
    """The index with its own model, loaded before the search is timed; a search by words alone needs none."""
    from mmrank.index.index import Index
    from mmrank.index.store import Store

    if mode == "text":
        return Index.open(directory)
    spec = Store.open(directory).manifest.embedder
    with err().status("Loading the model ..."):
        from mmrank.embed.registry import load_embedder

        embedder = load_embedder(spec, device=device, precision=precision, threads=threads)
    return Index.open(directory, embedder)


def _print(ranking: Ranking, seconds: float) -> None:
    from mmrank.cli.hits import hits_table

    console = out()
    if ranking.hits:
        console.print(hits_table(ranking, width=console.width))
    else:
        console.print("Nothing was found. A filter, a kind or rare words may leave nothing to search.")
    told(ranking)
    say(f"{count(len(ranking), 'hit')} in {duration(seconds)}")
