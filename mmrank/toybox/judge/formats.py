"""Which form of answer a prompt asks for, told by the prompt's own words about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

FormatKind: TypeAlias = Literal[
    "score_tag", "json", "json_scores", "answer_list", "arrows", "spaces", "list", "choice", "letter", "yes_no"
]

_SIGNS: tuple[tuple[FormatKind, re.Pattern[str]], ...] = (
    ("score_tag", re.compile(r"<score>")),
    ("json", re.compile(r"\btop_\w*indices\b")),
    ("json_scores", re.compile(r"\{\s*[\"']?\[?\w{1,3}\]?[\"']?\s*:\s*\d")),
    ("answer_list", re.compile(r"<answer>")),
    ("arrows", re.compile(r"\]\s*>\s*\[|\bOrder:\s*$")),
    ("spaces", re.compile(r"separated by (?:single )?spaces?|space[- ]separated", re.I)),
    ("list", re.compile(r"\[\s*\d+\s*,|list\b.{0,40}\bsquare brackets|bracketed list", re.I)),
    ("choice", re.compile(r"\(1\)|number .{0,30}\bbest\b|\bparenthes", re.I | re.S)),
    ("letter", re.compile(r"\b[A-Z]\s+or\s+[A-Z]\b|\bBest:\s*$")),
    ("yes_no", re.compile(r"\b(?:yes|no|true|false)\b|\bmatch\?\s*$", re.I)),
)
"""Tried in this order: signs that only one form has come first."""

PAIR_KINDS = frozenset({"score_tag", "yes_no"})
"""Forms that judge one candidate, which then needs no label."""

_WORD_PAIRS = (("yes", "no"), ("Yes", "No"), ("True", "False"), ("true", "false"), ("YES", "NO"))
_LAST_KEY = re.compile(r"\btop_(\w*?)_?indices\b")
_NONE = re.compile(r"\bnone\b[^.]{0,40}?\b(?:write|answer|say|reply)\W+(\w+)", re.I)
_SCORE_KEY = re.compile(r"[\"'](\[?)\w{1,3}\]?[\"']\s*:")


@dataclass(frozen=True, slots=True)
class Format:
    """A form of answer. `yes`, `no`: its two words. `key`: of its JSON list. `none`: its word for no candidate.
    `bracketed`: labels in its JSON stand in square brackets. `thinks`: it asks for reasoning in tags of that name."""

    kind: FormatKind
    yes: str = "yes"
    no: str = "no"
    key: str = "top_k_indices"
    none: str = "NONE"
    bracketed: bool = False
    thinks: str | None = None


def format_asked(text: str) -> Format | None:
    """The form a prompt asks for, None when nothing in it tells.

    Example:
        >>> format_asked("Write the numbers in the form [2] > [1] > [3].").kind
        'arrows'
        >>> format_asked("Does it match the query, Yes or No?").yes
        'Yes'
    """
    kind = next((kind for kind, sign in _SIGNS if sign.search(text)), None)
    if kind is None:
        return None
    keys = _LAST_KEY.findall(text)  # worked examples come before what is asked for
    none = _NONE.search(text)
    score_key = _SCORE_KEY.search(text)
    yes, no = _words(text)
    return Format(
        kind,
        yes=yes,
        no=no,
        key=f"top_{keys[-1]}_indices" if keys else "top_k_indices",
        none=none[1] if none else "NONE",
        bracketed=bool(score_key and score_key[1]),
        thinks=next((tag for tag in ("think", "reason", "reasoning") if f"<{tag}>" in text), None),
    )


def _words(text: str) -> tuple[str, str]:
    """The pair of words named closest to each other and to the end of the prompt."""
    found: list[tuple[int, tuple[str, str]]] = []
    for yes, no in _WORD_PAIRS:
        both = list(re.finditer(rf"\b{yes}\b(?:(?!\b{yes}\b).){{0,60}}?\b{no}\b", text, re.S))
        found += [(match.end(), (yes, no)) for match in both]
    return max(found)[1] if found else _WORD_PAIRS[0]
