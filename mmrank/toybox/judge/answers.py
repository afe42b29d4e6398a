"""Worths to words: the answer in the form that was asked for."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from random import Random

from mmrank.toybox.judge.formats import Format
from mmrank.toybox.judge.question import Question

MIDDLE = 0.8
"""The worth at which the judge says yes and no alike: between the right answer's 1 and the nearest wrong one's 0.7."""

SHARPNESS = 12.0
"""Log-odds per worth: the right answer is at 2.4, its near-duplicates about 5 lower, strangers at -9."""

RELEVANT = 0.5
"""The least worth that is named where irrelevant candidates are left out: about one difference from the answer."""

EXCUSES = (
    "I am sorry, but I cannot tell these pictures apart.",
    "",
    "The most relevant one is the one that shows what the query describes.",
)


def log_odds(worth: float) -> float:
    """How sure the judge is of a yes.

    Example:
        >>> round(log_odds(1.0), 3), round(log_odds(0.7), 3)
        (2.4, -1.2)
    """
    return SHARPNESS * (worth - MIDDLE)


def probability(worth: float) -> float:
    """The probability of a yes."""
    return 1 / (1 + math.exp(-log_odds(worth)))


def best_first(worth: Sequence[float]) -> list[int]:
    """Positions, the worthiest first; of equals the earlier one.

    Example:
        >>> best_first([0.2, 0.9, 0.2])
        [1, 0, 2]
    """
    return sorted(range(len(worth)), key=lambda place: (-worth[place], place))


def written(question: Question, worth: Sequence[float], *, think: bool = False) -> str:
    """The whole answer, with its beginning even where that was given."""
    form, order = question.form, best_first(worth)
    ordered = [question.labels[place] for place in order]
    body = _body(form, question, worth, ordered)
    if form.thinks or think:
        tag = form.thinks or "think"
        musing = f"At first sight {' > '.join(f'[{label}]' for label in reversed(ordered))}, but on a closer look not."
        body = f"<{tag}>{musing if ordered != [''] else 'This may not be it, but let me look closer.'}</{tag}>\n{body}"
    return body


def _body(form: Format, question: Question, worth: Sequence[float], ordered: Sequence[str]) -> str:
    match form.kind:
        case "yes_no":
            return form.yes if log_odds(worth[0]) > 0 else form.no
        case "score_tag":
            return f"<score>{_of(worth[0], 100)}</score>"
        case "letter":
            return ordered[0]
        case "choice":
            return f"Ans: ({ordered[0]})"
        case "arrows":
            return " > ".join(f"[{label}]" for label in ordered)
        case "list":
            return f"[{', '.join(ordered)}]"
        case "answer_list":
            return f"<answer>[{', '.join(ordered)}]</answer>"
        case "spaces":
            worthy = [label for label, value in _pairs(question, worth) if value >= RELEVANT]
            return " ".join(label for label in ordered if label in worthy) or form.none
        case "json":
            most = re.fullmatch(r"top_(\d+)_indices", form.key)
            named = ordered[: int(most[1])] if most else ordered
            return json.dumps({"CoT": "Each part was compared.", form.key: [_number(label) for label in named]})
        case "json_scores":
            grades = {f"[{label}]" if form.bracketed else label: _of(v, 10) for label, v in _pairs(question, worth)}
            return f"<answer>{json.dumps(grades)}</answer>"


def spoiled(question: Question, worth: Sequence[float], dice: Random) -> str:
    """An answer that cannot be used, or not whole."""
    form = question.form
    if question.labels == ("",) or form.kind in {"letter", "json_scores"}:
        return dice.choice(EXCUSES)
    wrong = dice.choice(("excuse", "again", "beyond", "few"))
    if wrong == "excuse":
        return dice.choice(EXCUSES)
    order = best_first(worth)
    labels = {
        "again": [question.labels[order[0]]] * 3 + [question.labels[place] for place in order[1:]],
        "beyond": [str(len(order) + 1 + place) for place in order],
        "few": [question.labels[place] for place in order[: max(1, len(order) // 3)]],
    }[wrong]
    return _body(form, question, worth, labels)


def remainder(answer: str, prefix: str) -> str:
    """What is left to write of an answer that begins with a given prefix, or with its last words.

    Example:
        >>> remainder("[2] > [1]", "Order: ["), remainder("Ans: (2)", "Ans: (")
        ('2] > [1]', '2)')
    """
    for length in range(min(len(prefix), len(answer)), 0, -1):
        if prefix.endswith(answer[:length]):
            return answer[length:]
    return answer


def _pairs(question: Question, worth: Sequence[float]) -> list[tuple[str, float]]:
    return list(zip(question.labels, worth, strict=True))


def _of(worth: float, most: int) -> int:
    return min(most, max(0, round(most * worth)))


def _number(label: str) -> int | str:
    return int(label) if label.isdigit() else label
