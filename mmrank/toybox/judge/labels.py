"""Which label stands by which candidate: read from the text around the things, never assumed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmrank.toybox.judge.errors import RefusedError
from mmrank.toybox.judge.flow import Flow, Thing

_LABEL = r"(?P<label>\d{1,3}|[A-Z])"
_BRACKETED = re.compile(rf"(?P<open>[\[(]){_LABEL}(?P<close>[\])])")
"""``[3]``, ``(B)``: anywhere in the text."""
_AT_START = re.compile(
    rf"^[ \t]*(?P<open>(?:[A-Za-z]+[ \t-]+){{0,3}}#?){_LABEL}(?P<close>[.:)](?=\s|\ufffc|<|$)|(?=[ \t]*\ufffc)|$)", re.M
)
"""``Image 3:``, ``Candidate B:``, ``3.``, ``3)``: where a line begins."""
_AT_END = re.compile(rf"(?<=[ \t]){_LABEL}[ \t]*$", re.M)
"""``... 3``: where a line ends, behind what it names."""

_NOT_BETWEEN = re.compile(r"\b(query|question|search for|request|reference|change|conversation)\b", re.I)
"""Words that never stand between a label and its candidate."""

LONGEST_GAP = 120
"""Characters between a label and its candidate: room for a tag, a score, a time."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A label and the item it names. `start`, `end`: what the two take up in the text. `behind`: the label stands
    behind the item. `text`: the item is known by its words there, not by a picture."""

    label: str
    key: str
    start: int
    end: int
    behind: bool
    text: bool


@dataclass(frozen=True, slots=True)
class _Mark:
    style: tuple[str, ...]
    label: str
    start: int
    end: int


def candidates(flow: Flow, things: Sequence[Thing]) -> tuple[Candidate, ...]:
    """The labelled things in the order they stand, of the one style of label that names most of them.

    Raises:
        RefusedError: one label names two things, or a thing could be two items.
    """
    styles: dict[tuple[str, ...], list[_Mark]] = defaultdict(list)
    for mark in _marks(flow.text):
        if not any(thing.start <= mark.start and mark.end <= thing.end for thing in things):  # a number in a text
            styles[mark.style].append(mark)
    readings = {style: _claimed(flow.text, things, marks, behind=style[0] == "end") for style, marks in styles.items()}
    best = max(readings, key=lambda style: (len(readings[style]), *_last(readings[style])), default=None)
    if best is None:
        return ()
    made = tuple(_candidate(mark, thing, behind=best[0] == "end") for mark, thing in readings[best])
    labels = [each.label for each in made]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise RefusedError(f"label {twice} names two candidates of this prompt; labels must differ")
    return made


def _marks(text: str) -> Iterator[_Mark]:
    for match in _BRACKETED.finditer(text):
        yield _mark(match, match["open"], match["close"])
    for match in _AT_START.finditer(text):
        yield _mark(match, "line", match["open"].strip().lower(), match["close"])
    for match in _AT_END.finditer(text):
        yield _mark(match, "end")


def _mark(match: re.Match[str], *style: str) -> _Mark:
    kind = "number" if match["label"].isdigit() else "letter"
    return _Mark((*style, kind), match["label"], match.start(), match.end())


def _claimed(text: str, things: Sequence[Thing], marks: Sequence[_Mark], *, behind: bool) -> list[tuple[_Mark, Thing]]:
    """Each mark with the thing next to it: the first that follows, or with `behind` the last that went before."""
    found: list[tuple[_Mark, Thing]] = []
    for number, mark in enumerate(marks):
        if behind:
            since = marks[number - 1].end if number else 0
            near = [thing for thing in things if since <= thing.start and thing.end <= mark.start]
            gap = text[near[-1].end : mark.start] if near else ""
            near = near[-1:]
        else:
            until = marks[number + 1].start if number + 1 < len(marks) else len(text)
            near = [thing for thing in things if mark.end <= thing.start < until][:1]
            gap = text[mark.end : near[0].start] if near else ""
        if near and len(gap) <= LONGEST_GAP and not _NOT_BETWEEN.search(gap) and not (behind and "\n" in gap):
            found.append((mark, near[0]))
    return found


def _last(found: Sequence[tuple[_Mark, Thing]]) -> tuple[int, ...]:
    """Where the last thing stands: of styles that name equally many, the later one names the candidates."""
    return (found[-1][1].start, found[-1][0].start) if found else (0, 0)


def _candidate(mark: _Mark, thing: Thing, *, behind: bool) -> Candidate:
    if len(thing.items) != 1:
        what = "tells of " + (" and ".join(sorted(thing.items)) or "no item, it is a query's text")
        raise RefusedError(f"the text beside label {mark.label} {what}, so that it cannot be judged")
    start, end = min(mark.start, thing.start), max(mark.end, thing.end)
    return Candidate(mark.label, next(iter(thing.items)), start, end, behind, thing.words is not None)
