"""Where in a model's text its answer stands: behind the reasoning, inside a tag, after "final answer", in a fence.

Every function takes time in proportion to the text and raises for no text. Tags are found one by one and paired
afterwards, because one regular expression over "from the opening to the closing tag" takes quadratic time on a text
that opens many and closes none.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_THINK = re.compile(r"<(/?)(?:think|thinking|thought|reason|reasoning)\s{0,3}>", re.IGNORECASE)
_FINAL = re.compile(
    r"\b(?:final|overall)[ _-]{1,2}(?:answer|ranking|order|ranked list)\b[\s:*=_`\"'-]{0,12}(?:is\b)?[\s:*]{0,4}",
    re.IGNORECASE,
)
_SAME = str.maketrans("［］【】（）｛｝＞，、；：〉", "[][](){}>,,;:>")
"""Brackets and joints of East Asian typesetting, as models write them in other languages."""


class Region(NamedTuple):
    """A stretch of a text. `meant`: the model itself marked it as its answer."""

    text: str
    meant: bool


def without_reasoning(text: str) -> str:
    """The text behind the last reasoning block; before it, when the block was never closed.

    The closing tag alone counts too: chat templates often write the opening tag into the prompt.

    >>> without_reasoning("<think>[1] or [2]?</think> [2] > [1]")
    ' [2] > [1]'
    >>> without_reasoning("[2] <think> or was it")
    '[2] '
    """
    start, opened = 0, -1
    for tag in _THINK.finditer(text):
        if tag.group(1):
            start, opened = tag.end(), -1
        elif opened < 0:
            opened = tag.start()
    return text[start:opened] if opened >= start else text[start:]


def last_tagged(text: str, tag: str) -> str | None:
    """What stands inside the last ``<tag>...</tag>``, or behind the last ``<tag>`` that was never closed; None
    without the tag.

    >>> last_tagged("<answer>[1]</answer> no, <answer> [2] </answer>", "answer")
    ' [2] '
    """
    closed: str | None = None
    opened: int | None = None
    for found in re.finditer(rf"<(/?){re.escape(tag)}\s{{0,3}}>", text, re.IGNORECASE):
        if not found.group(1):
            opened = found.end()
        elif opened is not None:
            closed, opened = text[opened : found.start()], None
    if closed is not None:
        return closed
    return None if opened is None else text[opened:]


def last_fenced(text: str) -> str | None:
    """What stands in the last closed code fence, without the line that names its language.

    >>> last_fenced("so:\\n```json\\n[2, 1]\\n```")
    '[2, 1]\\n'
    """
    pieces = text.split("```")
    if len(pieces) < 3:
        return None
    inside = pieces[len(pieces) - 2 if len(pieces) % 2 else len(pieces) - 3]
    first, newline, rest = inside.partition("\n")
    return rest if newline and (not first.strip() or first.strip().isalpha()) else inside


def after_final(text: str) -> str | None:
    """What stands behind the last "final answer" marker.

    >>> after_final("Perhaps [1]. **Final answer:** [2, 1]")
    '[2, 1]'
    """
    end = None
    for found in _FINAL.finditer(text):
        end = found.end()
    return None if end is None else text[end:]


def regions(text: str) -> list[Region]:
    """Where to look for the answer, the most certain place first.

    Reasoning is taken off; then come the answer tag, what follows a "final answer" marker, the last code fence, and
    the whole rest. East Asian brackets and commas are turned into plain ones.
    """
    plain = without_reasoning(text).translate(_SAME)
    marked = (last_tagged(plain, "answer"), after_final(plain), last_fenced(plain))
    return [*(Region(part, True) for part in marked if part and part.strip()), Region(plain, False)]
