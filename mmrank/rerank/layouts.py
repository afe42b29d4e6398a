"""Layouts: a Query and the candidates of one block become one Prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import ascii_uppercase
from typing import Protocol, TypeAlias

from mmrank.errors import RecipeError, UsageError
from mmrank.mllm.prompt import ImagePart, Message, Pair, Part, Prompt, TextPart
from mmrank.prompts.file import BLOCK_SLOTS, LabelStyle, LayoutKind, Order, PromptFile, QueryKind, Quote
from mmrank.rerank.quoting import plain, quoted
from mmrank.rerank.renderings import score_words
from mmrank.rerank.sheets import candidate_sheet
from mmrank.rerank.template import Value, fill
from mmrank.types import Hit, Query

QUERY_MARK = "query"
"""The span of the query; the span of the candidate in slot i of the block is marked ``str(i)``."""

MAX_LETTERS = len(ascii_uppercase)

_MOVING = BLOCK_SLOTS | {"document", "candidates", "sheet"}
"""Slots that differ between the prompts of one query: the shared prefix ends before them."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One candidate of a block: its Hit, and the parts that show it."""

    hit: Hit
    parts: tuple[Part, ...]


class Layout(Protocol):
    """What a layout does: one Prompt for one block, whose label i names slot i.

    `reference`: the parts that show the query's pictures (`Renderer.query`). Raises `RecipeError` when the prompt file
    is not made for such a query or such candidates, `UsageError` when a query has nothing to ask.
    """

    def __call__(self, query: Query, reference: tuple[Part, ...], slots: Sequence[Slot]) -> Prompt: ...


@dataclass(frozen=True, slots=True)
class PairLayout:
    """A query and one candidate: for yes/no and rubric questions.

    Where the prompt file shows the candidate first, the prompts of one candidate share it, whatever the query.

    `instruction`: the task, when the query gives none. `max_tokens_in`: the checkpoint's limit.

    >>> from mmrank.prompts import load_prompt
    >>> from mmrank.types import Item
    >>> slot = Slot(Hit(item=Item(id="a", kind="text"), score=0.0), (TextPart(text="a cat", data=True),))
    >>> prompt = PairLayout(load_prompt("qwen3_vl_reranker"))(Query(text="cats"), (), [slot])
    >>> prompt.text[-29:], prompt.shared
    ('<Query>:cats\\n<Document>:a cat', 4)
    """

    prompt: PromptFile
    instruction: str | None = field(default=None, kw_only=True)
    max_tokens_in: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_layout(self.prompt, "pair")

    def __call__(self, query: Query, reference: tuple[Part, ...], slots: Sequence[Slot]) -> Prompt:
        if len(slots) != 1:
            raise UsageError(f"A pair prompt shows one candidate; {len(slots)} came.")
        document = _quoted(slots[0].parts, self.prompt.quote)
        values = {"document": _marked(document, "0"), **_label_words(labels := label_names(1, self.prompt.labels))}
        made = _prompt(self, query, reference, values)
        words = _all_words(query)
        asked = (TextPart(text=plain(words), data=True),) if words.strip() else ()
        pair = Pair(
            query=(*_quoted(reference, "none"), *asked),
            document=_quoted(slots[0].parts, "none"),
            instruction=query.instruction or self.instruction or self.prompt.instruction or None,
        )
        marks = [part.mark for part in made.parts()]
        end = marks.index("0") + len(document) if document else 0
        if document and QUERY_MARK not in marks[:end]:
            made = replace(made, shared=end, lasting=True)
        return replace(made, labels=labels, pair=pair)


@dataclass(frozen=True, slots=True)
class ListLayout:
    """A query and several candidates, each behind its label.

    `labels`: "numbers" from 1, or "letters" from A (at most 26 candidates). `order`: "given", or "reversed" (the best
    candidate so far stands last, next to the query). Both are as the prompt file says when None, and always when that
    is a checkpoint's exact form. Labels keep naming slots: reversed, the list runs from the last label to the first.
    Spans are marked "query" and "0", "1", ... by slot. `instruction`, `max_tokens_in`: as in `PairLayout`.

    >>> from mmrank.prompts import load_prompt
    >>> from mmrank.types import Item
    >>> hit = Hit(item=Item(id="a", kind="text"), score=0.0)
    >>> slots = [Slot(hit, (TextPart(text=t, data=True),)) for t in ("a cat", "a dog")]
    >>> ListLayout(load_prompt("rankgpt"))(Query(text="cats"), (), slots).labels
    ('1', '2')
    """

    prompt: PromptFile
    labels: LabelStyle | None = field(default=None, kw_only=True)
    order: Order | None = field(default=None, kw_only=True)
    instruction: str | None = field(default=None, kw_only=True)
    max_tokens_in: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_layout(self.prompt, "list")
        _check_option("labels", self.labels, ("numbers", "letters", None))
        _check_option("order", self.order, ("given", "reversed", None))

    def __call__(self, query: Query, reference: tuple[Part, ...], slots: Sequence[Slot]) -> Prompt:
        own = self.prompt.exact
        labels = label_names(len(slots), self.prompt.labels if own or self.labels is None else self.labels)
        backwards = (self.prompt.order if own or self.order is None else self.order) == "reversed"
        asked = _asked(self, query, reference)
        candidates: list[Part] = []
        for i in reversed(range(len(slots))) if backwards else range(len(slots)):
            item = _marked(_quoted(slots[i].parts, self.prompt.quote), str(i))
            words = {"label": labels[i], "score": score_words(slots[i].hit.score)}
            line: dict[str, Value] = {**words, "item": item, "query": asked}
            candidates.extend(fill(self.prompt.candidate, line).parts)
        values = {"candidates": tuple(candidates), **_label_words(labels)}
        return replace(_prompt(self, query, reference, values), labels=labels)


@dataclass(frozen=True, slots=True)
class SheetLayout:
    """A query and one picture with all candidates on it, numbered from 1.

    `columns` per row, `cell`: width and height of each in pixels. Every candidate must be rendered as exactly one
    picture without text (image, page or sgrid). `instruction`, `max_tokens_in`: as in `PairLayout`.
    """

    prompt: PromptFile
    columns: int = 5
    cell: int = 336
    instruction: str | None = field(default=None, kw_only=True)
    max_tokens_in: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_layout(self.prompt, "sheet")
        if self.columns < 1 or self.cell < 1:
            raise RecipeError(f"A sheet of {self.columns} columns and cells of {self.cell} pixels cannot be drawn.")

    def __call__(self, query: Query, reference: tuple[Part, ...], slots: Sequence[Slot]) -> Prompt:
        labels = label_names(len(slots), "numbers")
        pictures = []
        for slot in slots:
            if len(slot.parts) != 1 or not isinstance(slot.parts[0], ImagePart):
                raise RecipeError(
                    f"Item {slot.hit.item.id!r} is not rendered as one picture, so it has no place on a sheet. Sheets "
                    "take images, pages and videos as sgrid, without captions, subtitles, page text and scores."
                )
            pictures.append(slot.parts[0].picture)
        sheet = ImagePart(picture=candidate_sheet(pictures, columns=self.columns, cell=self.cell))
        return replace(_prompt(self, query, reference, {"sheet": (sheet,), **_label_words(labels)}), labels=labels)


AnyLayout: TypeAlias = PairLayout | ListLayout | SheetLayout


def query_kind(query: Query) -> QueryKind:
    """Which of the prompt file's templates writes this query.

    >>> query_kind(Query(text="at night", image="a.jpg")), query_kind(Query(turns=("a dog?", "on a beach")))
    ('composed', 'dialogue')
    """
    if query.empty:
        raise UsageError(f"Query {query.id!r} is empty: it has no text, image, video or dialogue turns to judge by.")
    if query.turns:
        return "dialogue"
    if query.text and query.text.strip():
        return "composed" if query.composed else "text"
    return "video" if query.video is not None else "image"


def _prompt(layout: AnyLayout, query: Query, reference: tuple[Part, ...], values: Mapping[str, Value]) -> Prompt:
    """The two messages, filled, and how many of their leading parts all prompts of this query have in common."""
    prompt = layout.prompt
    all_values: dict[str, Value] = {
        "instruction": _task(layout, query),
        "query": _asked(layout, query, reference),
        **values,
    }
    messages: list[Message] = []
    shared, open_end = 0, True
    for role, template in (("system", prompt.system), ("user", prompt.user)):
        if template:
            filled = fill(template, all_values, moving=_MOVING)
            messages.append(Message(role="system" if role == "system" else "user", parts=filled.parts))
            shared += filled.shared if open_end else 0
            open_end = open_end and filled.shared == len(filled.parts)
    return Prompt(
        messages=tuple(messages),
        answer_prefix=prompt.answer_prefix,
        shared=shared,
        max_tokens_in=layout.max_tokens_in,
    )


def _task(layout: AnyLayout, query: Query) -> Value:
    """The query's own instruction, or the recipe's, or the prompt file's; nothing where there is none."""
    if query.instruction:
        return (TextPart(text=plain(query.instruction), data=True),)
    return layout.instruction or layout.prompt.instruction


def _asked(layout: AnyLayout, query: Query, reference: tuple[Part, ...]) -> tuple[Part, ...]:
    """What stands where a template has ``{query}``: behind the task, where the file has no other place for it."""
    asked, task = _query_parts(query, reference, layout.prompt), _task(layout, query)
    if "instruction" not in layout.prompt.slots and task:
        asked = (TextPart(text=task) if isinstance(task, str) else task[0], TextPart(text="\n"), *asked)
    return _marked(asked, QUERY_MARK)


def _query_parts(query: Query, reference: tuple[Part, ...], prompt: PromptFile) -> tuple[Part, ...]:
    """The query as the prompt file writes queries of its kind."""
    kind = query_kind(query)
    if kind not in prompt.kinds:
        raise RecipeError(
            f"Prompt {prompt.name!r} is made for {' and '.join(prompt.kinds)} queries; query {query.id!r} is "
            f"of kind {kind}. Choose another recipe, or give the query as one of those."
        )
    if (query.images or query.video is not None) and not reference:
        raise UsageError(f"Query {query.id!r} has pictures, but none came with it; pass Renderer.query(query).")
    template: str = getattr(prompt.query, kind)
    if reference and "{reference}" not in template:  # a dialogue about a picture, in a file that has no place for one
        template = "{reference}\n" + template
    values = {
        "text": _quoted([TextPart(text=query.text or "", data=True)], prompt.quote),
        "turns": _quoted([TextPart(text=_all_words(query), data=True)], prompt.quote),
        "reference": _quoted(reference, prompt.quote),
    }
    return fill(template, values).parts


def _all_words(query: Query) -> str:
    """The text of a query (of a dialogue: the caption it began with) and its turns, a line each."""
    return "\n".join([*([query.text] if query.text else []), *query.turns])


def _quoted(parts: Sequence[Part], quote: Quote) -> tuple[Part, ...]:
    """The parts with their data texts as blocks ("tags"), or with control tokens broken only ("none")."""
    write = quoted if quote == "tags" else plain
    return tuple(replace(p, text=write(p.text)) if isinstance(p, TextPart) and p.data else p for p in parts)


def _marked(parts: Sequence[Part], mark: str) -> tuple[Part, ...]:
    return tuple(replace(part, mark=mark) for part in parts)


def label_names(count: int, style: LabelStyle) -> tuple[str, ...]:
    """The labels of a prompt with so many candidates. Raises `RecipeError` when the letters do not suffice.

    >>> label_names(3, "letters")
    ('A', 'B', 'C')
    """
    if count < 1:
        raise UsageError("A prompt needs at least one candidate; none came.")
    if style == "numbers":
        return tuple(str(i) for i in range(1, count + 1))
    if count > MAX_LETTERS:
        raise RecipeError(
            f"{count} candidates came for a prompt that names them by letters, of which there are {MAX_LETTERS}. "
            'Choose a smaller window, or labels = "numbers".'
        )
    return tuple(ascii_uppercase[:count])


def _label_words(labels: tuple[str, ...]) -> dict[str, Value]:
    return {"count": str(len(labels)), "labels": ", ".join(labels), "first": labels[0], "last": labels[-1]}


def _check_layout(prompt: PromptFile, layout: LayoutKind) -> None:
    if prompt.layout != layout:
        raise RecipeError(
            f"Prompt {prompt.name!r} is written for layout {prompt.layout}, and the recipe uses layout {layout}; "
            "choose a prompt file of that layout."
        )


def _check_option(name: str, value: str | None, allowed: tuple[str | None, ...]) -> None:
    if value not in allowed:
        raise RecipeError(f"layout {name} is {value!r}; it must be one of {', '.join(filter(None, allowed))}.")
