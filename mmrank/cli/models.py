"""``mmrank models``: what can be named as a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Protocol

from mmrank.cli.options import Debug, Json
from mmrank.cli.output import out, print_json

EMBEDDER_KEYS = (
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
JUDGE_KEYS = ("alias", "spec", "default", "download_mb", "licence", "good_for", "recipes", "sees", "warning")


class Listed(Protocol):
    """What a row of the table needs."""

    @property
    def alias(self) -> str: ...
    @property
    def spec(self) -> str: ...
    @property
    def download_mb(self) -> int: ...
    @property
    def good_for(self) -> str: ...


def models(json: Json = False, debug: Debug = False) -> None:
    """List the embedding models and the judges to choose from.

    For each one: what it is good for, and how large its download is.
    """
    from mmrank.embed.registry import list_models
    from mmrank.mllm.registry import list_mllms

    embedders, judges = list_models(), list_mllms()
    if json:
        print_json(
            {
                "models": [{key: asdict(model)[key] for key in EMBEDDER_KEYS} for model in embedders],
                "judges": [{key: asdict(model)[key] for key in JUDGE_KEYS} for model in judges],
            }
        )
        return
    console = out()
    console.print("Embedding models, for an index", style="bold", markup=False)
    _print(embedders)
    console.print(
        "Use one with --model, by its short name or by the spec below it. Any other open_clip model works too:\n"
        "open_clip:MODEL/PRETRAINED, open_clip:hf-hub:ORG/NAME, or a folder that begins with /, . or ~.\n",
        markup=False,
        soft_wrap=True,
    )
    console.print("Judges, for reranking", style="bold", markup=False)
    _print(judges)
    console.print(
        "Use one behind a recipe, such as --rerank yes_no@qwen3-vl-reranker-8b (mmrank recipes lists them). Any other\n"
        "hub id or folder of a Qwen2-VL, Qwen2.5-VL, Qwen3-VL, InternVL (-HF) or LLaVA-OneVision works too,\n"
        "and any OpenAI-compatible server: openai:BASE_URL#MODEL.",
        markup=False,
        soft_wrap=True,
    )


def _print(known: Sequence[Listed]) -> None:
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
    out().print()


def download_size(megabytes: int) -> str:
    """A download in words.

    >>> download_size(605), download_size(1710), download_size(0)
    ('605 MB', '1.7 GB', 'bundled')
    """
    if megabytes == 0:
        return "bundled"
    return f"{megabytes} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
