"""The prompt forms toybox-vl is trained on, as segments of tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from mmrank.toybox.train.vl_pack import Segment, Target, Tree
from mmrank.toybox.train.vl_words import LETTERS, new_vocabulary

TASKS = ("caption", "pair", "list", "order", "read")
"""What a target belongs to: `read` is yes or no right after a candidate, before the answer's turn."""

BEGIN = "<|im_start|>user\n"
ASK = "<|im_end|>\n<|im_start|>assistant\n"
DONE = "<|im_end|>"

Part = str | tuple[int, int, int]
"""Text, or a picture: its number, and its grid's height and width in visual tokens."""

Facts = tuple[int, ...]
"""What of a candidate fits a query: objects, ground, arrangement; 1 yes, 0 no, -1 not to be judged."""

FACTS = 3

CellFacts = npt.NDArray[np.int64]
"""What of each visual token of a candidate fits: (cells, `CELL_FACTS`), as in `Facts`; then the object it shows.

Whether what it shows (object or ground) is asked for, and whether an object that is asked for stands where it should.
The object is its number in `object_names()`, -1 for none.
"""

CELL_FACTS = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing to judge: its parts, what of it fits the query, and the same for its cells, where it is a picture."""

    parts: Sequence[Part]
    facts: Facts
    cells: CellFacts | None = None

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


END_WEIGHT = 0.05
"""The end of a one-word answer is soon learned; more weight would only hide the word's own loss."""


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


def read(segment: Segment, candidate: Candidate, after: str, weight: float) -> None:
    """Put a candidate and the text after it; whether it fits is to be known at that text's last token."""
    if candidate.cells is not None:
        segment.cells.append((len(segment.tokens) + 1, candidate.cells))
    add(segment, [*candidate.parts, after])
    at = len(segment.tokens) - 1
    right = ids("yes" if candidate.fits else "no")[0]
    segment.targets.append(Target(at, right, TASKS.index("read"), weight))
    segment.matches.append((at, candidate.facts))


def caption_tree(picture: Part, texts: Sequence[str], places: str | None) -> Tree:
    """`{picture}\\nCaption:` with several captions; `{picture}\\nObjects:` with the places of its objects."""
    root = Segment(None)
    add(root, [BEGIN, picture, "\n"])
    tree = [root]
    for question, wanted in (("Caption:", texts), ("Objects:", [places] if places else [])):
        if not wanted:
            continue
        ask = Segment(0)
        add(ask, [question, ASK])
        tree.append(ask)
        parent = len(tree) - 1
        for text in wanted:
            branch = Segment(parent)
            first = ids(text)[0]
            ask.targets.append(Target(len(ask.tokens) - 1, first, TASKS.index("caption"), 1.0))
            branch.tokens.append(first)
            for token in (*ids(text)[1:], *ids(DONE)):
                branch.targets.append(Target(len(branch.tokens) - 1, token, TASKS.index("caption"), 1.0))
                branch.tokens.append(token)
            branch.tokens.pop()
            tree.append(branch)
    return tree


def pair_tree(query: Sequence[Part], candidates: Sequence[Candidate]) -> Tree:
    """`Query: {query}\n{candidate} match?` -> yes or no, one branch for each candidate."""
    root = Segment(None)
    add(root, [BEGIN, "Query:", *query, "\n"])
    tree = [root]
    negatives = sum(not candidate.fits for candidate in candidates)
    for candidate in candidates:
        weight = min(3.0, max(1.0, float(negatives))) if candidate.fits else 1.0
        branch = Segment(0)
        read(branch, candidate, " match", weight)
        add(branch, ["?", ASK])
        answer(branch, "yes" if candidate.fits else "no", "pair", weight)
        branch.targets.pop()  # the end of the turn is learned from the other tasks
        branch.tokens.pop()
        tree.append(branch)
    return tree


def list_tree(query: Sequence[Part], candidates: Sequence[Candidate]) -> Tree:
    """`Query: {query}\n{candidate} A\n{candidate} B\n...Best:` -> the letter of the one that fits."""
    root = _listed(query, candidates, LETTERS)
    add(root, ["Best:", ASK])
    answer(root, LETTERS[[candidate.fits for candidate in candidates].index(True)], "list")
    return [root]


def order_tree(query: Sequence[Part], candidates: Sequence[Candidate], distances: Sequence[int]) -> Tree:
    """The same with numbers and `Order:` -> `[3] > [1] > [2]`, nearest first, ties in the order of the prompt."""
    root = _listed(query, candidates, [str(number) for number in range(1, len(candidates) + 1)])
    add(root, ["Order:", ASK])
    answer(root, order_text(distances), "order")
    return [root]


def order_text(distances: Sequence[int]) -> str:
    """Numbers from 1, nearest first: distances (2, 0, 1) give `[2] > [3] > [1]`."""
    order = sorted(range(len(distances)), key=lambda index: distances[index])
    return " > ".join(f"[{index + 1}]" for index in order)


def _listed(query: Sequence[Part], candidates: Sequence[Candidate], labels: Sequence[str]) -> Segment:
    root = Segment(None)
    add(root, [BEGIN, "Query:", *query, "\n"])
    for candidate, label in zip(candidates, labels, strict=False):
        read(root, candidate, f" {label}", 3.0 if candidate.fits else 1.0)
        add(root, ["\n"])
    return root


def sheet_tree(query: Sequence[Part], sheet: Part, distances: Sequence[int]) -> Tree:
    """`Query: {query}\n{sheet of numbered cells}\nOrder:` -> `[3] > [1] > [2]`."""
    root = Segment(None)
    add(root, [BEGIN, "Query:", *query, "\n", sheet, "\nOrder:", ASK])
    answer(root, order_text(distances), "order")
    return [root]
