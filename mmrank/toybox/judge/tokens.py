"""Answers as tokens with log-probabilities, in the shape of the chat endpoint."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmrank.toybox.judge.answers import SHARPNESS, log_odds, remainder, written
from mmrank.toybox.judge.question import Question

_TOKEN = re.compile(r"\s?\w+|\s?[^\w\s]|\s+")

FILLERS = (
    "The",
    "I",
    "\n",
    "Yes",
    "No",
    "YES",
    "NO",
    "**",
    "<",
    "It",
    "This",
    "Based",
    "#",
    "-",
    "Sure",
    "Image",
    "To",
)
"""What models also consider, at small probabilities; more are made up by number."""


def tokens_of(text: str) -> list[str]:
    """A text cut into words and signs, each with the space before it.

    Example:
        >>> tokens_of("[2] > [1]")
        ['[', '2', ']', ' >', ' [', '1', ']']
    """
    return _TOKEN.findall(text)


def first_tokens(question: Question, worth: Sequence[float]) -> dict[str, float]:
    """Log-probabilities of the next token: of every answer that would be right if another candidate were the best."""
    logits: dict[str, list[float]] = defaultdict(list)
    if question.form.kind == "yes_no":
        logits[question.form.yes].append(log_odds(worth[0]))
        logits[question.form.no].append(0.0)
    else:
        for place, value in enumerate(worth):
            first = replace(question, labels=(question.labels[place], *_without(question.labels, place)))
            text = remainder(written(first, [1.0] + [0.0] * (len(worth) - 1)), question.prefix)
            logits[(tokens_of(text) or ["<|im_end|>"])[0]].append(SHARPNESS * value)
    return normalised({token: _sum(values) for token, values in logits.items()})


def normalised(logits: Mapping[str, float]) -> dict[str, float]:
    """Logits to log-probabilities.

    Example:
        >>> normalised({"yes": 0.0, "no": 0.0})["yes"] == -math.log(2)
        True
    """
    total = _sum(list(logits.values()))
    return {token: value - total for token, value in logits.items()}


def padded(logprobs: Mapping[str, float], count: int) -> list[tuple[str, float]]:
    """The `count` likeliest tokens, filled up with unlikely ones: servers give as many as were asked for."""
    ranked = sorted(logprobs.items(), key=lambda pair: (-pair[1], pair[0]))
    lowest = min(logprobs.values(), default=0.0)
    more = [token for token in (*FILLERS, *(f"<{number}>" for number in range(count))) if token not in logprobs]
    return (ranked + [(token, lowest - 2 - 0.5 * step) for step, token in enumerate(more)])[:count]


def logprobs_content(text: str, first: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    """`choices[0].logprobs.content` of an answer: the first token with its rivals, the others as certain."""
    rows = [_entry(token, 0.0) | {"top_logprobs": [_entry(token, 0.0)]} for token in tokens_of(text)] or [_entry("", 0)]
    chosen = dict(first).get(rows[0]["token"], 0.0)
    rows[0] = _entry(rows[0]["token"], chosen) | {"top_logprobs": [_entry(*pair) for pair in first]}
    return rows


def _entry(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _without(labels: Sequence[str], place: int) -> tuple[str, ...]:
    return tuple(label for other, label in enumerate(labels) if other != place)


def _sum(values: Sequence[float]) -> float:
    largest = max(values)
    return largest + math.log(sum(math.exp(value - largest) for value in values))
