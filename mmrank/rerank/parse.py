"""From a model's text to the labels it gave, best first, by the forms that papers ask for and what models make of them.

A text is read in places, the most certain first (`mmrank.rerank.answer_text.regions`): the answer tag, what follows
"final answer", the last code fence, the whole text behind the reasoning. In each place the form that was asked for is
tried first, then the other forms in the order of `CHAIN`, and the first that names enough slots is taken: one slot in a
place the model marked as its answer or under the key asked for, two in the open text. What names fewer, and at last
single labels scattered through sentences, is read only where that is allowed (`prose`), and is said to be ``loose``.

Where one form occurs several times in a place, the occurrence that names most slots counts, and of equals the last: a
model that thinks aloud ends with its answer, and one that repeats the example of the prompt begins with it.

Every step takes time in proportion to the text, no text raises, and numbers of any length are only texts here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from mmrank.rerank.answer_text import Region, regions
from mmrank.rerank.repair import Given, Labels

OrderFormat: TypeAlias = Literal["brackets", "list", "json", "answer_tag", "spaces"]
ORDER_FORMATS: tuple[OrderFormat, ...] = get_args(OrderFormat)
"""brackets: ``[2] > [1]`` (RankGPT). list: ``[2, 1]`` (ViC). json: ``{"top_2_indices": [2, 1]}`` (CoTRR).
answer_tag: ``<answer>[2, 1]</answer>`` (MM-R5). spaces: ``2 1`` (JointRank), what is left out is irrelevant."""

WORDS = "image|picture|photo|candidate|document|passage|page|video|clip|option|item|text|cell|number|no"
"""What a model may write before a label."""
_JOINTS = " \t\r\n[](){},;>=|\"'`*≻→"


class OrderRead(NamedTuple):
    """Labels as the model wrote them, best first, valid or not. `how`: the form they were found in; empty: none was.
    `loose`: they were gathered from sentences or a numbered list rather than read from a form of answer."""

    labels: tuple[Given, ...]
    how: str = ""
    loose: bool = False


Reader: TypeAlias = Callable[[str, Labels], Sequence[Given]]


def label_pattern(labels: Labels) -> str:
    """A regular expression for one label: any number where labels are numbers, so that wrong ones can be counted.

    >>> label_pattern(Labels(3)), label_pattern(Labels(("A", "B")))
    ('\\\\d+', '[A-Z]')
    """
    if labels.numeric:
        return r"\d+"
    if all(len(name) == 1 and "A" <= name <= "Z" for name in labels.names):
        return "[A-Z]"
    names = sorted(set(labels.names), key=len, reverse=True)
    return "(?:" + "|".join(re.escape(name) for name in names) + ")"


def free_labels(text: str, labels: Labels) -> Iterator[re.Match[str]]:
    """Every label that stands alone: no part of a word, a negative or a decimal number."""
    return re.finditer(rf"(?<![\w-])(?<!\d\.){label_pattern(labels)}(?!\w|\.\d)", text)


def _elements(content: str, labels: Labels) -> list[Given]:
    """The labels between the brackets of a list; an element that is none stays as text, so that it is counted."""
    pieces = re.split(r"[,;|]", content) if re.search(r"[,;|]", content) else content.split()
    label = rf"(?:[^\w-]*(?:[^\W\d_]{{1,20}}[\W_]{{0,3}})?)({label_pattern(labels)})[^\w]*"
    if not labels.numeric:
        label = rf"[^\w-]*(?:(?i:{WORDS})[\W_]{{1,3}})?({label_pattern(labels)})[^\w]*"
    found: list[Given] = []
    for piece in pieces:
        match = re.fullmatch(label, piece)
        if match:
            found.append(match.group(1))
        elif piece.strip():
            found.append(piece.strip()[:40])
    return found


def _best(candidates: Iterator[list[Given]], labels: Labels) -> list[Given]:
    """The candidate that names most slots; of equals the last."""
    best: list[Given] = []
    most = 0
    for candidate in candidates:
        count = labels.distinct(candidate)
        if count and count >= most:
            best, most = candidate, count
    return best


def _under_key(text: str, labels: Labels) -> list[Given]:
    """``"top_3_indices": [3, 1, 2]``, whatever surrounds it; the last one that names a slot."""
    found = re.finditer(r"top_\w{1,12}_ind(?:ices|exes)[\"']?\s{0,8}[:=]\s{0,8}\[([^\[\]]*)(?:\]|\Z)", text)
    return _best((_elements(match.group(1), labels) for match in found), labels)


def _under_any_key(text: str, labels: Labels) -> list[Given]:
    """``"ranking": [3, 1, 2]``."""
    found = re.finditer(r"\w[\"']?\s{0,8}:\s{0,8}\[([^\[\]]*)(?:\]|\Z)", text)
    return _best((_elements(match.group(1), labels) for match in found), labels)


def _listed(text: str, labels: Labels) -> list[Given]:
    """``[3, 1, 2]``. A list of one is an answer only where it is the only list: ``[3], then [1]`` is no list."""
    groups = [_elements(match.group(1), labels) for match in re.finditer(r"\[([^\[\]]*)(?:\]|\Z)", text)]
    named = [group for group in groups if labels.distinct(group)]
    return _best(iter(named if len(named) == 1 else [group for group in named if len(group) > 1]), labels)


def _chained(text: str, labels: Labels) -> list[Given]:
    """``[2] > [1]``, ``2 > 1``, ``Image 2 > Image 1``; brackets may also follow each other without an arrow."""
    joint = re.compile(rf"[{re.escape(_JOINTS)}#:_-]{{1,24}}(?i:(?:{WORDS})[{re.escape(_JOINTS)}#:._-]{{0,8}})?")
    brackets = re.compile(r"[\"'`]?\s{0,2}\][\"'`]?\s{0,8}[,;]?\s{0,8}[\"'`]?\[\s{0,2}[\"'`]?")

    def runs() -> Iterator[list[Given]]:
        run: list[Given] = []
        end = 0
        for match in free_labels(text, labels):
            gap = text[end : match.start()] if match.start() - end <= 32 else ""
            arrow = any(mark in gap for mark in ">≻→") and joint.fullmatch(gap)
            if run and not (arrow or brackets.fullmatch(gap)):
                yield run
                run = []
            run.append(match.group())
            end = match.end()
        yield run

    return _best((run for run in runs() if len(run) > 1), labels)


def _whole(text: str, labels: Labels) -> list[Given]:
    """A place that holds labels and nothing else, on one line or one to a line."""
    return [] if len(_ordinals(text)) > 1 else _only_labels(text, _standing(labels))


def _line(text: str, labels: Labels) -> list[Given]:
    """A line that holds labels and nothing else, but for words and a colon before them."""
    if len(_ordinals(text)) > 1:
        return []
    label, words = _standing(labels), re.compile(r"[^:\d\[\]]{0,60}:")
    lines = (line[match.end() :] if (match := words.match(line)) else line for line in text.splitlines())
    return _best((_only_labels(line, label) for line in lines), labels)


def _standing(labels: Labels) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){label_pattern(labels)}(?!\w)")


def _only_labels(text: str, label: re.Pattern[str]) -> list[Given]:
    text = text.strip().rstrip(".")
    return [] if label.sub("", text).strip(_JOINTS) else list(label.findall(text))


def _ordinals(text: str) -> list[tuple[int, str]]:
    """The lines that begin with 1., 2., 3., ... with what follows; the last such list in the text."""
    lines: list[tuple[int, str]] = []
    for match in re.finditer(r"^[ \t>*-]{0,8}(\d{1,4})[ \t]?[.):][ \t]{1,8}(\S.*)$", text, re.MULTILINE):
        place = int(match.group(1))
        if place == 1:
            lines = []
        if place == len(lines) + 1:
            lines.append((place, match.group(2)))
    return lines


def _numbered(text: str, labels: Labels) -> list[Given]:
    """``1. Image 3`` and so on, a line for each place; only when every line begins with a label."""
    start = re.compile(rf"[^\w-]{{0,6}}(?i:(?:{WORDS})[\W_]{{0,3}})?({label_pattern(labels)})(?!\w|\.\d)")
    found = [match.group(1) for _, rest in _ordinals(text) if (match := start.match(rest))]
    return list(found) if len(found) > 1 and len(found) == len(_ordinals(text)) else []


def _scattered(text: str, labels: Labels) -> list[Given]:
    """Labels in brackets or behind a word such as "image", wherever they stand, in the order they are first named."""
    label = label_pattern(labels)
    found = re.finditer(
        rf"[\[(]\s{{0,2}}({label})\s{{0,2}}[\])]|\b(?i:{WORDS})[ #:_]{{1,3}}[\[(]?({label})(?!\w|\.\d)", text
    )
    return list(dict.fromkeys(match.group(1) or match.group(2) for match in found))


READERS: Final[Mapping[str, Reader]] = {
    "key": _under_key,
    "list": _listed,
    "chain": _chained,
    "any key": _under_any_key,
    "labels alone": _whole,
    "line": _line,
}
CHAIN: Final = tuple(READERS)
"""The forms in the order they are tried after the one that was asked for."""
_FIRST: Final[Mapping[OrderFormat, tuple[str, ...]]] = {
    "brackets": ("chain",),
    "list": ("list",),
    "json": ("key", "any key"),
    "answer_tag": ("list",),
    "spaces": ("labels alone", "line"),
}
_ONE_IS_ENOUGH = ("key", "labels alone")
_LOOSE: Final[Mapping[str, Reader]] = {"numbered list": _numbered, "sentences": _scattered}


def read_order(
    text: str, format: OrderFormat, labels: int | Sequence[str] | Labels, *, prose: bool = True, cut: bool = False
) -> OrderRead:
    """The labels a text gives, best first, as they are written there; `mmrank.rerank.repair.repair` makes an order.

    Args:
        text: what the model wrote, with the prompt's answer prefix before it.
        format: the form the prompt asks for.
        labels: the prompt's labels, or how many slots are labelled 1, 2, 3, ...
        prose: whether labels may be gathered from the open text when it holds no form of answer. Reasoning without
            tags names labels everywhere, so prompts that ask for reasoning must say no.
        cut: the text ended at the token limit: a number at its end may lack digits and is not read, and nothing is
            gathered from the open text.

    >>> read_order("I think [2] > [1] > [3].", "brackets", 3).labels
    ('2', '1', '3')
    >>> read_order("<think>[1, 2, 3]?</think><answer>[3, 1, 2]</answer>", "answer_tag", 3).labels
    ('3', '1', '2')
    >>> read_order("Sorry, I cannot see any images.", "brackets", 3).how
    ''
    """
    known = labels if isinstance(labels, Labels) else Labels(labels)
    if cut:
        text = text.rstrip("0123456789")
    chain = (*_FIRST[format], *(name for name in CHAIN if name not in _FIRST[format]))
    for region in regions(text):
        for name in chain:
            found = READERS[name](region.text, known)
            enough = 1 if region.meant or name in _ONE_IS_ENOUGH else min(2, len(known))
            if found and known.distinct(found) >= enough:
                return OrderRead(tuple(found), name)
        if region.meant or (prose and not cut):
            read = _loosely(region, known)
            if read.labels:
                return read
    return OrderRead(())


def _loosely(region: Region, labels: Labels) -> OrderRead:
    for name, reader in _LOOSE.items():
        found = reader(region.text, labels)
        if labels.distinct(found):
            return OrderRead(tuple(found), name, loose=True)
    return OrderRead(())


def says_none(text: str, sentinel: str) -> bool:
    """Whether the answer is the word for "none of them": alone in a place, or alone on its last line.

    >>> says_none("I looked at all of them.\\nNONE.", "none")
    True
    """
    word = sentinel.casefold()
    for region in regions(text):
        lines = region.text.split("\n") if region.text.strip() else []
        last = next((line for line in reversed(lines) if line.strip()), "")
        if any(part.strip(" \t\r\n.!*\"'`[](){}").casefold() == word for part in (region.text, last)):
            return True
    return False
