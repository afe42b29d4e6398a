"""The options of `mmrank search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmrank.index.options import Mode

Directory = Annotated[str, typer.Argument(metavar="DIR", help="The index: what --to named when it was built.")]
Text = Annotated[str | None, typer.Argument(metavar="TEXT", help="What to look for, in words.")]
Images = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="A picture to look for; with TEXT, the picture that TEXT changes. Repeatable."),
]
Video = Annotated[Path | None, typer.Option(metavar="FILE", help="A video to look for.")]
ExcludeReference = Annotated[
    bool, typer.Option("--exclude-reference", help="The pictures and the video of the query are no answers to it.")
]
HowMany = Annotated[int, typer.Option("-k", min=1, metavar="N", help="How many hits.")]
Where = Annotated[str | None, typer.Option(metavar="SQL", help="Only items for which this holds.")]
SearchMode = Annotated[Mode, typer.Option(help="By meaning, by words (BM25), or both, fused.")]
Compose = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FORM",
        help="How a picture and a text become one query: sum, slerp, image, text, intersection, sqaf@MODEL, "
        "caption@MODEL; weighted reads 'beach -people'. Several, with commas or repeated, stand side by side.",
    ),
]
GroupByName = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="NAME",
        help="One hit for each video or PDF (parent), or for each value of a metadata column, the rest behind it.",
    ),
]
DistinctOnly = Annotated[
    bool, typer.Option("--distinct", help="Near-identical pictures, and items of equal content, are one hit.")
]
DistinctFrom = Annotated[
    float | None,
    typer.Option(
        "--distinct-from",
        min=-1,
        max=1,
        metavar="COSINE",
        help="Hits of one kind whose vectors are this near are one, such as 0.95.",
    ),
]
Rerank = Annotated[
    str | None, typer.Option(metavar="RECIPE@MODEL", help="Let a judge order the best hits; see mmrank recipes.")
]
Depth = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="How many hits the judge looks at. Default: the recipe's.")
]
Page = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the hits to a page with thumbnails too.")]
