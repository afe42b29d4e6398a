"""A prompt file: the words of one way of asking, read from TOML and checked when it is loaded."""

from __future__ import annotations

import difflib
import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from mmrank.errors import RecipeError
from mmrank.prompts.slots import check_slots, slot_names

QueryKind: TypeAlias = Literal["text", "composed", "image", "video", "dialogue"]
QUERY_KINDS: tuple[QueryKind, ...] = get_args(QueryKind)

LayoutKind: TypeAlias = Literal["pair", "list", "sheet", "query"]
Quote: TypeAlias = Literal["tags", "none"]
LabelStyle: TypeAlias = Literal["numbers", "letters"]
Order: TypeAlias = Literal["given", "reversed"]

WORD_SLOTS = frozenset({"instruction", "count", "labels", "first", "last"})
"""Slots that stand for a few words. `instruction`: the task. `count`: how many candidates. `labels`: all of them,
"1, 2, 3". `first`, `last`: the first and last label."""

BLOCK_SLOTS = WORD_SLOTS - {"instruction"}
"""Those that differ between prompts of one query."""

_USER_SLOTS: dict[LayoutKind, tuple[str, ...]] = {
    "pair": ("query", "document"),
    "list": ("query", "candidates"),
    "sheet": ("query", "sheet"),
    "query": ("query",),
}
"""What the user template of each layout must hold, beside the slots of words it may hold."""

_QUERY_SLOTS: dict[QueryKind, tuple[frozenset[str], tuple[str, ...]]] = {
    "text": (frozenset({"text"}), ("text",)),
    "composed": (frozenset({"text", "reference"}), ("reference", "text")),
    "image": (frozenset({"reference"}), ("reference",)),
    "video": (frozenset({"reference"}), ("reference",)),
    "dialogue": (frozenset({"turns", "reference"}), ("turns",)),
}
"""Slots allowed and needed in the template of each kind of query."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class QueryTemplates(_Strict):
    """How each kind of Query is written where the user template has ``{query}``.

    Slots: `text`, `reference` (the query's pictures; of a video its rendering), `turns` (a query's text, when it
    has one, and its dialogue turns, a line each). What a file leaves out is written in these words; they are made to
    follow ``Query: ``.
    """

    text: str = "{text}"
    composed: str = "what a reference would be after a change.\nReference: {reference}\nChange to make to it: {text}"
    image: str = "what belongs to this reference.\nReference: {reference}"
    video: str = "what belongs to this reference, a video shown as frames in reading order.\nReference: {reference}"
    dialogue: str = "what this conversation is about, taken as a whole:\n{turns}"


class PromptFile(_Strict):
    """The words of one way of asking.

    `layout`: the layout it is written for; "query" shows no candidates and asks about the query alone. `source`: where
    the words come from. `exact`: they are a checkpoint's own form, on which it was trained, and must not be improved.
    `system`, `user`: the two messages; `candidate`: what stands for each candidate where a list has ``{candidates}``,
    with the slots `label`, `item`, `score` (of the previous stage) and `query` (for a checkpoint that reads it again
    with each candidate). `answer_prefix`: how the answer begins; the model goes on from there. `query`: see
    `QueryTemplates`; `kinds`: the kinds of query it can be used for. `instruction`: the task, when neither the query
    nor the recipe gives one. `quote`: "tags" puts every text of a query or candidate between ``<text>`` and
    ``</text>``; "none" only breaks control tokens (for exact forms). `labels`, `order`: how a list names its
    candidates, and whether it shows them best last.
    """

    name: str
    layout: LayoutKind
    source: str
    exact: bool = False
    system: str | None = None
    user: str
    candidate: str = ""
    answer_prefix: str = ""
    query: QueryTemplates = QueryTemplates()
    kinds: tuple[QueryKind, ...] = QUERY_KINDS
    instruction: str = ""
    quote: Quote = "tags"
    labels: LabelStyle = "numbers"
    order: Order = "given"

    @model_validator(mode="after")
    def _check(self) -> PromptFile:
        for kind, (allowed, needed) in _QUERY_SLOTS.items():
            check_slots(getattr(self.query, kind), f"query.{kind}", allowed=allowed, needed=needed)
        words = WORD_SLOTS - BLOCK_SLOTS if self.layout == "query" else WORD_SLOTS
        check_slots(self.system or "", "system", allowed=words)
        needed = _USER_SLOTS[self.layout]
        check_slots(self.user, "user", allowed=words | set(needed), needed=needed, repeated=("query",))
        if self.layout == "list":
            inside = {"label", "item", "score", "query"}
            check_slots(self.candidate, "candidate", allowed=inside, needed=("label", "item"), repeated=("label",))
        elif self.candidate:
            raise RecipeError(f"candidate is for layout list; this file is for layout {self.layout}.")
        if ("instruction" in self.slots) != bool(self.instruction):
            raise RecipeError("The slot {instruction} and a default instruction belong together: give both or neither.")
        if self.exact and self.quote != "none":
            raise RecipeError('An exact form must have quote = "none": tags would change the words it was trained on.')
        unsaid = set(self.kinds) - {"text"} - self.query.model_fields_set
        if self.exact and unsaid:
            raise RecipeError(
                f"An exact form must say how it writes each of its kinds of query; {', '.join(sorted(unsaid))} "
                "has no template in [query] (or leave the kind out of kinds)."
            )
        return self

    @property
    def slots(self) -> frozenset[str]:
        """The slots of the system and user templates."""
        return frozenset(slot_names(self.system or "") + slot_names(self.user))


def load_prompt(name: str) -> PromptFile:
    """A prompt file by name, or by the path of a file of your own (it ends in ``.toml``).

    Raises `RecipeError` when there is none, when it is not TOML, or when its fields or slots are wrong.

    >>> load_prompt("pair").layout
    'pair'
    """
    if name.endswith(".toml"):
        try:
            text = Path(name).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"The prompt file {name} cannot be read: {error}.") from error
        return _parse(text, name)
    return _bundled(name)


@cache
def prompt_names() -> tuple[str, ...]:
    """The names of the bundled prompt files, sorted.

    >>> "pair" in prompt_names()
    True
    """
    files = resources.files("mmrank.prompts").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


@cache
def _bundled(name: str) -> PromptFile:
    if name not in prompt_names():
        near = difflib.get_close_matches(name, prompt_names(), n=3)
        hint = f" Near it: {', '.join(near)}." if near else ""
        raise RecipeError(
            f"There is no prompt {name!r}.{hint} Bundled: {', '.join(prompt_names())}; "
            "a file of your own is given by its path, ending in .toml."
        )
    text = (resources.files("mmrank.prompts") / f"{name}.toml").read_text(encoding="utf-8")
    prompt = _parse(text, f"{name}.toml")
    if prompt.name != name:
        raise RecipeError(f"The prompt file {name}.toml calls itself {prompt.name!r}; the two names must be equal.")
    return prompt


def _parse(text: str, where: str) -> PromptFile:
    try:
        return PromptFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"The prompt file {where} is not valid TOML: {error}.") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {_reason(e['msg'])}" for e in error.errors())
        raise RecipeError(f"The prompt file {where} is wrong: {faults}.") from error


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ").rstrip(".")
