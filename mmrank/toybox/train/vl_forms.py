"""The prompt forms toybox-vl is trained on, as segments of tokens.

The query stands before the candidate and again behind it: the model reads from left to right, so that only the second
time it can check word by word what it has seen, knowing the whole sentence already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from mmrank.toybox.train.vl_pack import Segment, Target, Tree
from mmrank.toybox.train.vl_words import LETTERS, MOST_NUMBERS, new_vocabulary

TASKS = ("caption", "pair", "list", "order", "read")
"""What a target belongs to: `read` is yes or no right after a candidate, before the answer's turn."""

BEGIN = "<|im_start|>user\n"
ASK = "<|im_end|>\n<|im_start|>assistant\n"
DONE = "<|im_end|>"

Part = str | tuple[int, int, int]
"""Text, or a picture: its number, and its grid's height and width in visual tokens."""

LABELS = (*LETTERS, *(str(number) for number in range(1, MOST_NUMBERS + 1)))
"""Names of candidates in lists and orders."""

YES_WEIGHT = 3.0
"""Weight of a candidate that fits, where one among several does, against one that does not."""

END_WEIGHT = 0.05
"""The end of a one-word answer is soon learned; more weight would only hide the word's own loss."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing to judge, and the truth about it.

    Attributes:
        parts: what is shown of it.
        facts: what of it fits the query (`vl_marks.Facts`); it fits when all do.
        words: marks of the query's words by token, in its second reading (`vl_marks.Mark`).
        cells: marks (cells, n) of the query's reference picture in its second reading, where it has one.
        distance: in how many things it is not what is asked for.
    """

    parts: Sequence[Part]
    facts: tuple[int, ...]
    words: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    cells: npt.NDArray[np.int64] | None = None
    distance: int = 0

    @property
    def fits(self) -> bool:
        """Whether it is what is asked for."""
        return all(self.facts)


@lru_cache(maxsize=1)
def vocabulary() -> Tokenizer:
    """The vocabulary, made once in each process."""
    return new_vocabulary()


@lru_cache(maxsize=50_000)
def ids(text: str) -> tuple[int, ...]:
    """Token ids of a text; special tokens are recognised."""
    return tuple(vocabulary().encode(text, add_special_tokens=False).ids)


@lru_cache(maxsize=1)
def marks() -> tuple[int, int, int]:
    """Ids of the tokens around and for a picture: start, placeholder, end."""
    (first,), (middle,), (last,) = (ids(f"<|{name}|>") for name in ("vision_start", "image_pad", "vision_end"))
    return first, middle, last


@lru_cache(maxsize=1)
def padding() -> int:
    """Id of the token that fills rows up."""
    return ids("<|endoftext|>")[0]


def add(segment: Segment, parts: Sequence[Part]) -> None:
    """Put text and pictures at the end of a segment."""
    start, placeholder, end = marks()
    for part in parts:
        if isinstance(part, str):
            segment.tokens += ids(part)
        else:
            number, height, width = part
            segment.pictures.append((len(segment.tokens) + 1, number, height, width))
            segment.tokens += [start, *[placeholder] * (height * width), end]


def answer(segment: Segment, text: str, task: str, weight: float = 1.0) -> None:
    """Put the answer at the end of a segment, every token of it to be learned."""
    words = ids(text)
    for token in (*words, *ids(DONE)):
        ends = len(words) == 1 and token != words[0]
        segment.targets.append(
            Target(len(segment.tokens) - 1, token, TASKS.index(task), END_WEIGHT if ends else weight)
        )
        segment.tokens.append(token)
    segment.tokens.pop()  # nothing is to be learned after the last one


def check(segment: Segment, query: Sequence[Part], candidate: Candidate, label: str = "") -> None:
    """Put `{candidate}\\nQuery: {query}\\nMatch {label}?`, with what is to be known at each place of it."""
    before = len(segment.pictures)
    if label:
        add(segment, [f"{label}:\n"])
    add(segment, [*candidate.parts, "\nQuery:"])
    start, pictures = len(segment.tokens), len(segment.pictures)
    shown, _, height, width = segment.pictures[-1] if pictures > before else (-1, 0, 0, 0)
    add(segment, query)
    for at in range(start, len(segment.tokens)):
        mark = candidate.words.get(segment.tokens[at])
        if mark is not None:
            segment.cells.append((at, np.array([(*mark, at - shown, height * width)])))
    if candidate.cells is not None:
        first, count = segment.pictures[pictures][0], len(candidate.cells)
        back = np.arange(first, first + count) - shown
        segment.cells.append((first, np.column_stack((candidate.cells, back, np.full(count, height * width)))))
    add(segment, [f"\nMatch {label}?" if label else "\nMatch?"])
    at = len(segment.tokens) - 1
    segment.matches.append((at, (*candidate.facts, LABELS.index(label) if label else -1)))
    word = ids("yes" if candidate.fits else "no")[0]
    segment.targets.append(Target(at, word, TASKS.index("read"), YES_WEIGHT if candidate.fits else 1.0))


def pair_tree(query: Sequence[Part], candidates: Sequence[Candidate], asked: Sequence[bool] | None = None) -> Tree:
    """`Query: {query}\\n{candidate}\\nQuery: {query}\\nMatch?` -> yes or no, one branch for each candidate.

    `asked`: which of them come to the answer's turn; the others end before it. All by default.
    """
    root = Segment(None)
    add(root, [BEGIN, "Query:", *query, "\n"])
    tree = [root]
    for candidate, ends in zip(candidates, asked or [True] * len(candidates), strict=True):
        branch = Segment(0)
        check(branch, query, candidate)
        if ends:
            add(branch, [ASK])
            answer(branch, "yes" if candidate.fits else "no", "pair", YES_WEIGHT if candidate.fits else 1.0)
            branch.targets.pop()  # the end of the turn is learned from the other tasks
            branch.tokens.pop()
        tree.append(branch)
    return tree


def list_tree(query: Sequence[Part], candidates: Sequence[Candidate]) -> Tree:
    """The same for each candidate, with letters, in one row, then `Best:` -> the letter of the one that fits.

    `A:\\n{candidate}\\nQuery: {query}\\nMatch A?\\nB: ...`
    """
    root = _listed(query, candidates, LETTERS, ["Best:", ASK])
    best = [candidate.fits for candidate in candidates].index(True)
    root.copies.append((len(root.tokens) - 1, root.matches[best][0]))
    answer(root, LETTERS[best], "list")
    return [root]


def order_tree(query: Sequence[Part], candidates: Sequence[Candidate]) -> Tree:
    """The same with numbers and `Order:` -> `[3] > [1] > [2]`, nearest first, ties in the order of the prompt."""
    labels = [str(number) for number in range(1, len(candidates) + 1)]
    root = _listed(query, candidates, labels, ["Order:", ASK])
    judged = {ids(label)[0]: at for label, (at, _) in zip(labels, root.matches, strict=True)}
    start = len(root.targets)
    answer(root, order_text([candidate.distance for candidate in candidates]), "order")
    root.copies += [(goal.at, judged[goal.token]) for goal in root.targets[start:] if goal.token in judged]
    return [root]


def sheet_tree(query: Sequence[Part], sheet: Part, distances: Sequence[int]) -> Tree:
    """`Query: {query}\n{sheet of numbered cells}\nQuery: {query}\nOrder:` -> `[3] > [1] > [2]`, as above."""
    root = Segment(None)
    add(root, [BEGIN, "Query:", *query, "\n", sheet, "\nQuery:", *query, "\nOrder:", ASK])
    answer(root, order_text(distances), "order")
    return [root]


def order_text(distances: Sequence[int]) -> str:
    """Numbers from 1, nearest first: distances (2, 0, 1) give `[2] > [3] > [1]`."""
    order = sorted(range(len(distances)), key=lambda index: distances[index])
    return " > ".join(f"[{index + 1}]" for index in order)


def _listed(
    query: Sequence[Part], candidates: Sequence[Candidate], labels: Sequence[str], end: Sequence[str]
) -> Segment:
    root = Segment(None)
    add(root, [BEGIN, "Query:", *query, "\n"])
    for candidate, label in zip(candidates, labels, strict=False):
        check(root, query, candidate, label)
        add(root, ["\n"])
    add(root, end)
    return root


def caption_tree(picture: Part, texts: Sequence[str], places: str = "") -> Tree:
    """`{picture}\\nCaption:` -> each of some texts, and `{picture}\\nObjects:` -> places."""
    root = Segment(None)
    add(root, [BEGIN, picture, "\n"])
    tree = [root]
    for question, wanted in (("Caption:", texts), ("Objects:", [places] if places else [])):
        for text in wanted:
            branch = Segment(0)
            add(branch, [question, ASK])
            answer(branch, text, "caption")
            tree.append(branch)
    return tree
