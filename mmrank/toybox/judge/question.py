"""A request understood: what is asked, which items are judged under which labels, in which form to answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from mmrank.toybox.judge.errors import RefusedError, short
from mmrank.toybox.judge.flow import PICTURE, Flow, Reader, Thing
from mmrank.toybox.judge.formats import PAIR_KINDS, Format, format_asked
from mmrank.toybox.judge.known import Knowledge
from mmrank.toybox.judge.labels import Candidate, candidates
from mmrank.toybox.judge.truth import relevance

_SIDE = re.compile(
    r"(?:\b|(?-i:(?<=[a-z\d])(?=[A-Z])))"
    r"(?:(?P<query>query|question|reference|change|conversation)|(?P<candidate>document|candidate|passage))\b"
    r"[\s>*]{0,4}(?:is\s*)?:",
    re.I,
)
"""Words that name the side of a pair which follows them: ``<Query>:``, ``**Document**:``, ``Candidate:``.

(Not ``page``: a page's text layer is introduced as "Text on the page:".)"""

Side = Literal["query", "candidate"]


@dataclass(frozen=True, slots=True)
class Question:
    """`worth`: by candidate, 0 to 1, in the order the labels stand. `labels` of a pair: one empty text."""

    form: Format
    labels: tuple[str, ...]
    worth: tuple[float, ...]
    prefix: str = ""


def understood(reader: Reader, flow: Flow) -> Question | None:
    """What a chat asks; None when it holds neither a picture nor any text of the collection (small talk).

    Raises:
        RefusedError: it holds something, but no query, candidates or form of answer that can be told.
    """
    things = _said_once(flow, reader.things(flow))
    if not things and not flow.pictures:
        return None
    form = format_asked(flow.text)
    if form is None:
        raise RefusedError(f"no form of answer can be told from the prompt, which ends: {short(flow.text[-100:])!r}")
    sheets = [seen.cells for seen in flow.pictures if seen.cells]
    if form.kind in PAIR_KINDS:
        asked, judged = _sides(flow, things)
        keys: tuple[str, ...] = (one_item(judged),)
        labels: tuple[str, ...] = ("",)
    elif sheets:
        if len(sheets) > 1:
            raise RefusedError(f"{len(sheets)} numbered sheets came in one prompt; one can be judged")
        labels, keys = tuple(label for label, _ in sheets[0]), tuple(key for _, key in sheets[0])
        asked = things
    else:
        found = candidates(flow, things)
        if not found:
            raise RefusedError(
                f"no labelled candidates are in the prompt: {len(things)} known things, none of them beside a label"
            )
        labels, keys = tuple(each.label for each in found), tuple(each.key for each in found)
        asked = _outside(things, found)
    answers = right_answers(reader.known, asked)
    return Question(form, labels, tuple(relevance(reader.known, answers, key) for key in keys), flow.prefix)


def _said_once(flow: Flow, things: Sequence[Thing]) -> list[Thing]:
    """The things without a query's repetitions behind its candidates, where a form has them."""
    starts = [match.end() for match in _SIDE.finditer(flow.text) if match["query"]]
    runs = [
        [thing for thing in things if start <= thing.start < end] for start, end in pairwise([*starts, len(flow.text)])
    ]
    told = [[(thing.items, thing.words) for thing in run] for run in runs]
    if len(runs) < 2 or not told[-1] or any(run[: len(told[-1])] != told[-1] for run in told):
        return list(things)
    before = [thing for thing in things if thing.start < starts[0]]
    return [*before, *runs[0], *(thing for run in runs[1:] for thing in run[len(told[-1]) :])]


def right_answers(known: Knowledge, asked: Sequence[Thing]) -> set[str]:
    """The items that answer the query made of some things: a text, a reference picture, or both.

    Raises:
        RefusedError: no query is there, two are, or the collection has none of this kind.
    """
    texts = list(dict.fromkeys(thing.words for thing in asked if thing.words is not None))
    references = list(dict.fromkeys(one_item([thing]) for thing in asked if thing.words is None))
    if len(references) > 1:
        raise RefusedError(f"the query shows {' and '.join(references)}; one reference can be judged")
    reference = references[0] if references else None
    if not texts:
        if reference is None:
            raise RefusedError("no query of this toy collection is in the prompt; send one of its queries")
        return {reference}
    answers = [known.asks.get(words, {}).get(reference, set()) for words in texts]
    if reference is None:  # a caption used as a query asks for what it tells of
        answers = [found or known.tells.get(words, set()) for found, words in zip(answers, texts, strict=True)]
    said = " / ".join(" ".join(words) for words in texts)
    if not any(answers):
        about = f" about {reference}" if reference else " without a reference"
        raise RefusedError(f"the collection has no query {short(said)!r}{about}")
    right = {frozenset(found) for found in answers if found}
    if len(right) > 1:
        raise RefusedError(f"the prompt asks for several things at once: {short(said)!r}")
    return set(next(iter(right)))


def _outside(things: Sequence[Thing], found: Sequence[Candidate]) -> list[Thing]:
    """The things that belong to no candidate.

    Between two candidates lies only more of one of them (a caption, a page's text). What lies behind the last may be
    more of that one too, or the query.
    """
    for one, other in pairwise(found):
        owner = other if one.behind else one
        for thing in things:
            if one.end <= thing.start and thing.end <= other.start and thing.items != {owner.key}:
                other_one = " and ".join(sorted(thing.items)) or "a query"
                raise RefusedError(f"label {owner.label} stands by {owner.key}, and by {other_one} as well")
    first, last = found[0], found[-1]
    ahead = [thing for thing in things if thing.end <= first.start]
    after = [thing for thing in things if thing.start >= last.end]
    while first.behind and first.text and len(ahead) > 1 and ahead[-1].words is None and ahead[-1].items == {first.key}:
        ahead.pop()  # the picture of a page, whose text the label stands behind
    if not last.behind:
        more = [thing for thing in after if thing.items == {last.key}]
        after = [thing for thing in after if thing not in (more if ahead else more[: len(after) - 1])]
    return ahead + after


def _sides(flow: Flow, things: Sequence[Thing]) -> tuple[list[Thing], list[Thing]]:
    """Query and candidate of a pair: by the words that name the sides, else by order, the candidate last."""
    named: dict[Side, list[Thing]] = {"query": [], "candidate": []}
    unnamed: list[Thing] = []
    names = list(_SIDE.finditer(flow.text))
    for thing in things:
        before = [match for match in names if match.end() <= thing.start]
        if not before:
            unnamed.append(thing)
        else:
            named["query" if before[-1]["query"] else "candidate"].append(thing)
    asked, judged = named["query"], named["candidate"]
    if asked and not judged and unnamed:
        judged = unnamed
    elif judged and not asked and unnamed:
        asked = unnamed
    elif not judged:
        asked, judged = _split_last(asked or unnamed)
    if not asked or not judged:
        raise RefusedError(
            f"{len(things)} known things are in the prompt ({flow.text.count(PICTURE)} pictures), but not both a query "
            "and a candidate"
        )
    return asked, judged


def _split_last(things: Sequence[Thing]) -> tuple[list[Thing], list[Thing]]:
    """The last item, with whatever else tells of it at the end, apart from what comes before."""
    place = len(things)
    while place > 1 and things[place - 1].items and things[place - 1].items == things[-1].items:
        place -= 1
        if things[place].words is None:  # its picture: captions and texts follow, nothing of it goes before
            break
    return list(things[:place]), list(things[place:])


def one_item(things: Sequence[Thing]) -> str:
    items = frozenset.intersection(*(thing.items for thing in things))
    if len(items) != 1:
        told = sorted({item for thing in things for item in thing.items})
        raise RefusedError(f"a candidate is not one item of the collection but {' and '.join(told) or 'a query text'}")
    return next(iter(items))
