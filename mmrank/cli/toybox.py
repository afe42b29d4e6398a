"""``mmrank toybox``: a made-up collection of any size, with the truth about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmrank.cli.options import Debug, Json
from mmrank.cli.output import count, err, out, print_json, stdout_for_json
from mmrank.errors import UsageError

_OWN = frozenset({"media", "captions.jsonl", "queries.jsonl", "cirr", "msrvtt"})
"""What a toy collection consists of; a folder with anything else in it is someone's and is left alone."""


def toybox(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write it: a new or empty folder.")],
    *,
    images: Annotated[int, typer.Option(min=0, help="Photos, and pictures of the CIRR part.")] = 120,
    videos: Annotated[int, typer.Option(min=0, help="Clips, and test clips of the MSR-VTT part.")] = 16,
    pages: Annotated[int, typer.Option(min=0, help="PDF pages, six to a report.")] = 16,
    notes: Annotated[int, typer.Option(min=0, help="Markdown notes.")] = 12,
    seed: Annotated[int, typer.Option(help="The same seed and numbers give the same collection.")] = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a made-up collection of any size, with queries and their right answers.

    Photos, clips, PDF reports and notes about emoji scenes, the same ones for the same seed. DIR/media is the folder
    to index, DIR/queries.jsonl holds queries with their one right answer, and DIR/cirr and DIR/msrvtt hold the same
    world in the layout of those data sets.
    """
    _refuse_foreign(directory)
    from mmrank.toybox import write_toybox

    with stdout_for_json(json), err().status("Drawing the collection ..."):
        made = write_toybox(directory, images=images, videos=videos, pages=pages, notes=notes, seed=seed)
    kinds = {kind: sum(item.kind == kind for item in made.items) for kind in ("image", "video", "page", "text")}
    if json:
        print_json({"folder": str(made.folder), "media": str(made.media), "items": kinds, "queries": len(made.queries)})
        return
    console = out()
    words = ", ".join(count(number, kind) for kind, number in kinds.items())
    console.print(f"Wrote {words} to {made.media}", markup=False, soft_wrap=True)
    console.print(f"and {count(len(made.queries), 'query', 'queries')} with their answers.", markup=False)
    console.print(
        f"\nNext:\n  mmrank index {made.media} --to {made.folder}-index --model toybox\n"
        f'  mmrank search {made.folder}-index "a dog and a pizza"\n'
        f"  mmrank eval toybox-cirr --root {made.folder} --model toybox",
        markup=False,
        soft_wrap=True,
    )


def _refuse_foreign(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is a file; name a folder to write the collection to.")
    foreign = (
        sorted(entry.name for entry in directory.iterdir() if entry.name not in _OWN) if directory.is_dir() else []
    )
    if foreign:
        raise UsageError(
            f"{directory} holds {foreign[0]}{' and more' if len(foreign) > 1 else ''}, which is not of a toy "
            "collection. Name a new or empty folder: earlier toy files in it are replaced."
        )
