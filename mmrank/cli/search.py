"""``mmrank search``: one question to an index."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mmrank.cli.command import COULD_NOT
from mmrank.cli.judging import DryRun, FormName, Set, Transcript, announce, load_judge, settings, told
from mmrank.cli.options import Debug, Device, Json, Kinds, Precision, Threads, kinds_named
from mmrank.cli.output import complain, count, duration, err, out, print_json, say, stdout_for_json
from mmrank.cli.search_options import (
    Compose,
    Depth,
    Directory,
    DistinctFrom,
    DistinctOnly,
    ExcludeReference,
    GroupByName,
    HowMany,
    Images,
    Page,
    Rerank,
    SearchMode,
    Text,
    Video,
    Where,
)
from mmrank.errors import UsageError
from mmrank.group import GroupBy
from mmrank.index.options import Mode, SearchOptions
from mmrank.types import Query

if TYPE_CHECKING:
    from mmrank.cli.forms import InForm
    from mmrank.cli.html import Search
    from mmrank.index.index import Index
    from mmrank.rerank.judge import MllmReranker


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question: the query, in which forms, for how many hits, with which `SearchOptions`."""

    query: Query
    forms: Sequence[str | None]
    k: int
    options: dict[str, Any]

    @property
    def group_by(self) -> str | None:
        name: str | None = self.options["group_by"]
        return name

    @property
    def conditions(self) -> list[str]:
        """The options in words, for the page."""
        kinds, where = self.options["kinds"], self.options["where"]
        return [
            *([f"only {', '.join(kinds)}"] if kinds else []),
            *([f"where {where}"] if where else []),
            *([f"one hit per {self.group_by}"] if self.group_by else []),
            *(["near-identical ones folded"] if self.options["distinct"] is not None else []),
            self.options["mode"],
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came: for each form a ranking; what the judge was expected to take; whether it failed to order one."""

    found: Sequence[InForm]
    seconds: float
    expected: dict[str, Any] = field(default_factory=dict)
    fell_back: bool = False


def search(
    directory: Directory,
    text: Text = None,
    *,
    image: Images = None,
    video: Video = None,
    exclude_reference: ExcludeReference = False,
    k: HowMany = 10,
    where: Where = None,
    mode: SearchMode = "vector",
    kind: Kinds = None,
    group_by: GroupByName = None,
    distinct: DistinctOnly = False,
    distinct_from: DistinctFrom = None,
    compose: Compose = None,
    rerank: Rerank = None,
    depth: Depth = None,
    set_: Set = None,
    form: FormName = None,
    transcript: Transcript = None,
    dry_run: DryRun = False,
    html: Page = None,
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
    mmrank search photos.index "at night" --image ref.jpg --compose image,text,sum
    mmrank search photos.index "invoice" --kind page --where "uri LIKE '%2024%'"
    mmrank search clips.index "a goal" --group-by parent --distinct
    mmrank search photos.index "two red boats" --rerank yes_no@Qwen/Qwen3-VL-Reranker-8B --depth 50
    """
    from mmrank.cli.forms import forms_named

    if distinct and distinct_from is not None:
        raise UsageError("--distinct compares pictures and --distinct-from vectors alone; give one of them.")
    options: dict[str, Any] = {"where": where, "mode": mode, "kinds": kinds_named(kind), "group_by": group_by}
    options["distinct"] = True if distinct else distinct_from
    query = _query(text, image or (), video, excluded=exclude_reference)
    asked = Asked(query=query, forms=forms_named(compose), k=k, options=options)
    if dry_run and rerank is None:
        raise UsageError("--dry-run says what a judge would take; name one with --rerank RECIPE@MODEL.")
    if html is not None:
        check_page_path(html)
    machine: dict[str, Any] = {"device": device, "precision": precision, "threads": threads}
    with stdout_for_json(json):
        index = _open(directory, mode, machine)
        judge = None
        if rerank is not None:
            judge = load_judge(rerank, depth=depth, form=form, transcript=transcript, **machine, **settings(set_))
        answered = _answered(index, asked, judge, dry_run=dry_run)
        if html is not None and not dry_run:
            _write_page(html, index, asked, answered)
    if not dry_run:
        _print(asked.query, answered, json=json)
    elif json:
        print_json({"estimate": answered.expected})
    if html is not None and not dry_run:
        say(f"Wrote {html}")
    if answered.fell_back:
        complain("The judge could not put the hits in order; they stand as the search found them.")
        raise typer.Exit(COULD_NOT)


def _answered(index: Index, asked: Asked, judge: MllmReranker | None, *, dry_run: bool) -> Answered:
    """Search in each form, and judge. A search that failed in every form ends the command."""
    from mmrank.cli.forms import InForm

    started = time.perf_counter()
    k = asked.k if judge is None else max(asked.k, judge.depth or asked.k)
    if judge is not None and judge.depth is None:
        judge = judge.with_depth(k)  # the parts of k groups may be many more
    # A judge looks at parts, near-identical ones left out, and the groups are made of what it found best.
    options = SearchOptions(**asked.options, parts=judge is not None and asked.group_by is not None)
    found = [
        InForm(compose=form, ranking=index.searcher.search([asked.query], k, in_form, strict=True)[0])
        for form in asked.forms
        for in_form in [replace(options, compose=form)]
    ]
    if all(one.ranking.outcome == "failed" for one in found):
        _complain(found)
        raise typer.Exit(COULD_NOT)
    if judge is None:
        return Answered(found=found, seconds=time.perf_counter() - started)
    expected = announce(judge, [one.ranking for one in found], always=dry_run)
    fell_back = False
    if not dry_run:
        found, fell_back = _judged(judge, found, asked)
    return Answered(found=found, seconds=time.perf_counter() - started, expected=expected, fell_back=fell_back)


def _judged(judge: MllmReranker, found: Sequence[InForm], asked: Asked) -> tuple[list[InForm], bool]:
    """The heads in the judge's order, grouped where that is wanted, cut to what was asked for; and whether the judge
    could not order one of them at all."""
    with err().status("Judging ..."):
        judged = judge.process([one.ranking for one in found])
    fell_back = any(
        after.records[len(one.ranking.records) :] and after.records[-1].status in ("fell_back", "failed")
        for one, after in zip(found, judged, strict=True)
    )
    if asked.group_by is not None:
        judged = [GroupBy(by=asked.group_by).folded(ranking, asked.k) for ranking in judged]
    cut = [ranking.with_hits(ranking.hits[: asked.k]) for ranking in judged]
    return [replace(one, ranking=ranking) for one, ranking in zip(found, cut, strict=True)], fell_back


def _complain(found: Sequence[InForm]) -> None:
    """Why a search, or each of several, failed."""
    for one in found:
        if one.ranking.outcome == "failed":
            why = next((record.error for record in one.ranking.records if record.error), None) or "The search failed."
            complain(why if len(found) == 1 else f"{one.name}: {why}")


def _write_page(path: Path, index: Index, asked: Asked, answered: Answered) -> None:
    from mmrank.cli.forms import forms_shown
    from mmrank.cli.hits import asked as in_words
    from mmrank.cli.html import results_page
    from mmrank.cli.show import show

    found, conditions = answered.found, asked.conditions
    if len(found) == 1:
        shown: Search = show(index, found[0].ranking, conditions=conditions, seconds=answered.seconds)
    else:
        took = f"{len(found)} forms in {duration(answered.seconds)}"
        shown = forms_shown(index, found, conditions=[*conditions, took])
    path.write_text(results_page([shown], title=f"{in_words(asked.query)}: mmrank"), encoding="utf-8")


def check_page_path(path: Path) -> None:
    """Say that a page cannot be written before the work is done, not after it."""
    if path.is_dir():
        raise UsageError(f"--html {path} is a folder; name a file, such as {path / 'hits.html'}.")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--html {path}: the folder {path.absolute().parent} does not exist.")


def _query(
    text: str | None, images: list[Path] | tuple[Path, ...], video: Path | None, *, excluded: bool = False
) -> Query:
    """The query; with `excluded` its own files, where the index has them, are no answers to it."""
    from mmrank.media.uri import item_id

    files = [*images, *([video] if video else ())]
    for path in files:
        if not path.is_file():
            raise UsageError(f"There is no file {path} to search with.")
    places = dict.fromkeys(place for path in files for place in (path.absolute(), path.resolve()))
    query = Query(
        text=text,
        image=[str(path) for path in images] or None,
        video=str(video) if video else None,
        exclude=tuple(item_id(place) for place in places) if excluded else (),
    )
    if query.empty:
        raise UsageError("Nothing to search for: give a TEXT, an --image or a --video.")
    return query


def _open(directory: str, mode: Mode, machine: dict[str, Any]) -> Index:
    """The index with its own model, loaded before the search is timed; a search by words alone needs none."""
    from mmrank.index.index import Index
    from mmrank.index.store import Store

    if mode == "text":
        return Index.open(directory)
    spec = Store.open(directory).manifest.embedder
    with err().status("Loading the model ..."):
        from mmrank.embed.registry import load_embedder

        embedder = load_embedder(spec, **machine)
    return Index.open(directory, embedder)


def _print(query: Query, answered: Answered, *, json: bool) -> None:
    from mmrank.cli.forms import forms_json, forms_table
    from mmrank.cli.hits import hits_table, ranking_json

    console, found, several = out(), answered.found, len(answered.found) > 1
    if json:
        print_json(forms_json(query, found) if several else ranking_json(found[0].ranking))
        return
    longest = max(len(one.ranking) for one in found)
    if not longest:
        console.print("Nothing was found. A filter, a kind or rare words may leave nothing to search.")
    elif several:
        console.print(forms_table(found, width=console.width))
        _complain(found)
    else:
        console.print(hits_table(found[0].ranking, width=console.width))
    for one in found:
        told(one.ranking)
    each = f"in each of {len(found)} forms, " if several else ""
    say(f"{count(longest, 'hit')} {each}in {duration(answered.seconds)}")
