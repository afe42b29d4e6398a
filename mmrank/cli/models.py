"""``mmrank models``: what can be named as a model."""

from __future__ import annotations

from dataclasses import asdict

from mmrank.cli.options import Debug, Json
from mmrank.cli.output import out, print_json


def models(json: Json = False, debug: Debug = False) -> None:
    """List the embedding models to choose from.

    For each one: what it is good for, and how large its download is.
    """
    from mmrank.embed.registry import list_models

    known = list_models()
    if json:
        keys = (
            "alias",
            "spec",
            "default",
            "dimension",
            "download_mb",
            "kinds",
            "licence",
            "good_for",
            "requires",
            "warning",
        )
        print_json({"models": [{key: asdict(model)[key] for key in keys} for model in known]})
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("model", no_wrap=True, style="bold")
    table.add_column("download", no_wrap=True, justify="right")
    table.add_column("good for", ratio=1)
    for model in known:
        words = Text(model.good_for)
        if model.spec != model.alias:
            words.append(f"\n{model.spec}", style="dim")
        table.add_row(model.alias, download_size(model.download_mb), words)
    out().print(table)
    out().print(
        "\nUse one with --model, by its short name or by the spec below it. Any other open_clip model works too:\n"
        "open_clip:MODEL/PRETRAINED, open_clip:hf-hub:ORG/NAME, or a folder that begins with /, . or ~.",
        markup=False,
        soft_wrap=True,
    )


def download_size(megabytes: int) -> str:
    """A download in words.

    >>> download_size(605), download_size(1710), download_size(0)
    ('605 MB', '1.7 GB', 'bundled')
    """
    if megabytes == 0:
        return "bundled"
    return f"{megabytes} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
