"""The prompt that asks for a caption of what a query is after. It shows the query alone, no candidates."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from mmrank.compose.sides import query_text
from mmrank.mllm.prompt import Message, Part, Prompt, TextPart
from mmrank.prompts.file import PromptFile
from mmrank.rerank.layouts import query_kind
from mmrank.rerank.quoting import plain, quoted
from mmrank.rerank.renderings import Renderer, RenderSettings
from mmrank.rerank.template import fill
from mmrank.types import Query

CACHE_BYTES = 64 << 20
"""A reference is shown once; its pixels need not be kept longer than a batch."""


@cache
def _renderer() -> Renderer:
    return Renderer(RenderSettings(), cache_bytes=CACHE_BYTES)


def caption_prompt(query: Query, prompt: PromptFile) -> Prompt:
    """One call about one query, as `prompt`, a file of layout "query", writes it.

    Raises `MediaError` when a picture or video of the query cannot be read, `UsageError` for an empty query.

    >>> from mmrank.prompts import load_prompt
    >>> caption_prompt(Query(text="a beach"), load_prompt("target_caption")).messages[1].parts[1].text
    '<text>a beach</text>'
    """
    kind = query_kind(query)
    write = quoted if prompt.quote == "tags" else plain
    reference = _renderer().query(query)
    template: str = getattr(prompt.query, kind)
    if reference and "{reference}" not in template:  # a dialogue about a picture
        template = "{reference}\n" + template
    texts = {
        "text": (TextPart(text=write(query.text or ""), data=True),),
        "turns": (TextPart(text=write(query_text(query)), data=True),),
        "reference": tuple(_shown(part, prompt) for part in reference),
    }
    task: str | tuple[Part, ...] = prompt.instruction
    if query.instruction:
        task = (TextPart(text=plain(query.instruction), data=True),)
    values = {"query": fill(template, texts).parts, "instruction": task}
    messages = []
    if prompt.system:
        messages.append(Message(role="system", parts=fill(prompt.system, values).parts))
    messages.append(Message(role="user", parts=fill(prompt.user, values).parts))
    return Prompt(messages=tuple(messages), answer_prefix=prompt.answer_prefix)


def _shown(part: Part, prompt: PromptFile) -> Part:
    """A part of the reference; a text beside it (subtitles) is data as any."""
    if isinstance(part, TextPart) and part.data and prompt.quote == "tags":
        return replace(part, text=quoted(part.text))
    return part
