"""From a model's text to one choice, to scores, or to the winner of a duel.

The same places are looked at, in the same order, as for whole orders (`mmrank.rerank.answer_text.regions`). Nothing
raises for any text, and the time is in proportion to its length.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from mmrank.rerank.answer_text import last_tagged, regions, without_reasoning
from mmrank.rerank.parse import WORDS, label_pattern
from mmrank.rerank.repair import Labels

_NUMBER = r"[-+]?\d{1,9}(?:\.\d{1,9})?"
_TIES: Final = re.compile(
    r"\b(?:neither|both|similar(?:ly)?|equal(?:ly)?|tied?|same|undecided|no preference|can ?not (?:tell|decide))\b",
    re.IGNORECASE,
)


class ChoiceRead(NamedTuple):
    """The position chosen (None: none was named), and how many labels before it named no slot."""

    position: int | None
    dropped: int = 0


def read_choice(text: str, labels: Labels, *, cut: bool = False) -> ChoiceRead:
    """The one slot a text names as the best: the first label in round brackets (UniME-V2, list mode).

    Without round brackets: in square brackets, then the one label of a text that holds nothing else, then the label
    behind "answer", "best" or a word such as "image". Labels that name no slot are passed over and counted.

    >>> read_choice("The best candidate is (2).", Labels(3))
    ChoiceRead(position=1, dropped=0)
    >>> read_choice("(9), I mean (3)", Labels(3))
    ChoiceRead(position=2, dropped=1)
    """
    if cut:
        text = text.rstrip("0123456789")
    label = label_pattern(labels)
    forms = (
        rf"\(\s{{0,2}}({label})\s{{0,2}}(?:\)|\Z)",
        rf"\[\s{{0,2}}({label})\s{{0,2}}\]",
        rf"\A[^\w-]{{0,20}}({label})[^\w]{{0,20}}\Z",
        rf"\b(?i:answer|best|choice|{WORDS})(?: is)?[\s:#=*_(]{{1,8}}({label})(?!\w|\.\d)",
    )
    most = 0
    for region in regions(text):
        for form in forms:
            dropped = 0
            for match in re.finditer(form, region.text):
                position = labels.position(match.group(1))
                if position is not None:
                    return ChoiceRead(position, dropped)
                dropped += 1
            most = max(most, dropped)
    return ChoiceRead(None, most)


class ScoresRead(NamedTuple):
    """A score for each position (None: the text gives none), and how many entries were dropped: labels that name no
    slot, labels named before, values out of range."""

    scores: tuple[float | None, ...]
    dropped: int

    @property
    def named(self) -> int:
        return sum(score is not None for score in self.scores)


def read_scores(text: str, labels: Labels, *, low: float = 0.0, high: float = 10.0, cut: bool = False) -> ScoresRead:
    """A number for each label, from JSON such as ``{"[1]": 5, "[2]": 8}`` (GroupRank).

    Looked for in the answer tag, behind "final answer", in the last code fence, from the last ``{`` on, and at last
    in the open text, where labels must stand in square brackets. Entries are read one by one, so a doubled ``]`` or a
    missing ``}`` costs nothing. The first place that scores a slot counts.

    >>> read_scores('<answer>{"[1]": 5, "[2]]": 7.5, "[3]": 11</answer>', Labels(3))
    ScoresRead(scores=(5.0, 7.5, None), dropped=1)
    """
    if cut:
        text = text.rstrip("0123456789.")
    word = rf"(?:(?i:{WORDS})[\s#_:]{{0,2}})?"
    name = rf"[\"']?\s{{0,2}}\[?\s{{0,2}}{word}({label_pattern(labels)})\s{{0,2}}\]{{0,2}}\s{{0,2}}[\"']?"
    entry = re.compile(rf"(?<![\w.-]){name}\s{{0,4}}[:=]\s{{0,4}}[\"']?({_NUMBER})(?![\w.])")
    bracketed = re.compile(
        rf"\[\s{{0,2}}{word}({label_pattern(labels)})\s{{0,2}}\]{{1,2}}[\"']?\s{{0,4}}[:=]\s{{0,4}}({_NUMBER})(?![\w]|\.\d)"
    )
    best = ScoresRead((None,) * len(labels), 0)
    for region in regions(text):
        brace = region.text.rfind("{")
        tries = [(entry, region.text)] if region.meant else []
        if not region.meant:
            tries = [*([(entry, region.text[brace:])] if brace >= 0 else []), (bracketed, region.text)]
        for pattern, place in tries:
            read = _scores(pattern, place, labels, low, high)
            if read.named:
                return read
            best = max(best, read, key=lambda found: found.dropped)
    return best


def _scores(entry: re.Pattern[str], text: str, labels: Labels, low: float, high: float) -> ScoresRead:
    scores: list[float | None] = [None] * len(labels)
    dropped = 0
    for match in entry.finditer(text):
        position, value = labels.position(match.group(1)), float(match.group(2))
        if position is None or scores[position] is not None or not low <= value <= high:
            dropped += 1
        else:
            scores[position] = value
    return ScoresRead(tuple(scores), dropped)


def read_score(text: str, *, tag: str = "score", low: int = 0, high: int = 100, cut: bool = False) -> int | None:
    """The whole number in the last score tag, or behind the last "score"; None when there is none within the range.

    >>> read_score("<think>9?</think> It fits. <score>85</score>"), read_score("Score: **40**/100"), read_score("good")
    (85, 40, None)
    """
    plain = without_reasoning(text)
    if cut:
        plain = plain.rstrip("0123456789.")
    number = r"[\s*_`]{0,6}([-+]?\d{1,9})(?:\.0{1,9})?(?!\d|\.\d)"
    inside = last_tagged(plain, tag)
    if inside is not None:
        match = re.match(number, inside)
    else:
        match = None
        for found in re.finditer(rf"(?i:\b{re.escape(tag)})\b(?: is)?[\s:=*_\"']{{1,8}}{number}", plain):
            match = found
    value = None if match is None else int(match.group(1))
    return value if value is not None and low <= value <= high else None


Duel = Literal[0, 1, "tie"]


def read_duel(text: str, labels: Labels) -> Duel | None:
    """Who wins a duel between two labels: position 0, position 1, "tie", or None when the text does not say.

    In each place: a label alone; the one label that stands in brackets, behind a word such as "answer" or "prefer", or
    before "is better" and the like; then words such as neither, both, similar (LLM-RankFusion).

    >>> labels = Labels(("A", "B"))
    >>> read_duel("B", labels), read_duel("Both fit equally.", labels), read_duel("A dog?", labels)
    (1, 'tie', None)
    """
    label = label_pattern(labels)
    alone = re.compile(rf"(?i:[^\w]{{0,20}}(?:(?:answer|{WORDS})[\W_]{{1,3}})?({label})[^\w]{{0,20}})")
    named = re.compile(
        rf"[\[(\"'*]({label})[\])\"'*.:]"
        rf"|\b(?i:answer|better|best|winner|choose|prefer|choice)(?i:[\s:*#](?:one|is|{WORDS})){{0,2}}"
        rf"[\s:*#\"'(\[]{{1,6}}({label})(?![\w'])"
        rf"|\b({label}) (?i:wins|(?:is|fits|matches) (?:the |clearly |slightly )?(?:better|best|closer|more|winner))\b"
    )
    for region in regions(text):
        match = alone.fullmatch(region.text.strip())
        if match:
            position = labels.position(match.group(1))
            if position is not None:
                return _side(position)
        found = {labels.position(m.group(m.lastindex or 0)) for m in named.finditer(region.text)} - {None}
        if len(found) == 1:
            return _side(next(position for position in found if position is not None))
        if _TIES.search(region.text):
            return "tie"
    return None


def _side(position: int) -> Duel:
    return 0 if position == 0 else 1
